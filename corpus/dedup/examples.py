"""Some near duplicates beside the documents that stay, for a person to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.dedup.findings import NEAR, Findings
from corpus.documents import open_writer, to_batch
from corpus.sources import Source

NUM_EXAMPLES, NUM_CHARACTERS = 50, 600
EXAMPLES = pa.schema(
    [
        ("id", pa.string()),
        ("keeper", pa.string()),
        ("jaccard", pa.float64()),
        ("text", pa.string()),
        ("keeper_text", pa.string()),
    ]
)


def write_examples(found: Findings, path: Path) -> None:
    """Write up to 50 near pairs, spread evenly over the documents, texts cut at 600 characters."""
    near = np.flatnonzero(found.kinds == NEAR)
    chosen = near[np.linspace(0, len(near) - 1, min(NUM_EXAMPLES, len(near))).astype(np.int64)]
    pairs = np.stack([found.rows[chosen], found.keepers[chosen]], axis=1)
    texts = _read_texts(found.source, np.unique(pairs))
    rows = [
        (texts[row][0], texts[keeper][0], jaccard, texts[row][1], texts[keeper][1])
        for (row, keeper), jaccard in zip(
            pairs.tolist(), found.jaccard[chosen].tolist(), strict=True
        )
    ]
    with open_writer(path, EXAMPLES) as writer:
        writer.write_batch(to_batch(rows, EXAMPLES))


def _read_texts(source: Source, rows: NDArray[np.int64]) -> dict[int, tuple[str, str]]:
    """Row -> id and the start of prompt and text."""
    texts: dict[int, tuple[str, str]] = {}
    for chunk in source.take(("id", "prompt", "text"), rows):
        own = rows[chunk.first : chunk.first + len(chunk.batch)].tolist()
        for row, document in zip(own, chunk.batch.to_pylist(), strict=True):
            prompt, text = document["prompt"], document["text"]
            whole = f"{prompt}\n{text}" if prompt else text
            texts[row] = (document["id"], whole[:NUM_CHARACTERS])
    return texts
