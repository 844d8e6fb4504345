"""What the peers' Python scripts share: lines in, shingles, Parquet out."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

NUM_PERM, NGRAM, THRESHOLD = 128, 5, 0.8
BANDS, ROWS = 18, 7
"""The bands and rows that ours has by default, for all who let them be set."""
_BATCH = 1000
_SCHEMA = pa.schema([("text", pa.string()), ("lang", pa.string()), ("id", pa.int64())])


def read_batches(path: str) -> Iterator[list[dict[str, Any]]]:
    """The lines of a file of JSON lines, a thousand at a time."""
    with Path(path).open("rb") as file:
        while batch := list(islice(file, _BATCH)):
            yield [orjson.loads(line) for line in batch]


def shingle(line: dict[str, Any]) -> list[str]:
    """Five characters of Chinese, five words of anything else."""
    text = line["text"]
    if line["lang"] == "zh":
        return [text[i : i + NGRAM] for i in range(len(text) - NGRAM + 1)] or [text]
    words = text.split()
    return [" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)] or [text]


class Output:
    """Writes the kept lines to one Parquet file."""

    def __init__(self, path: str) -> None:
        self._writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd", compression_level=1)
        self.seen = self.kept = 0

    def write(self, lines: Sequence[dict[str, Any]], keep: Sequence[bool]) -> None:
        """Write those of the lines that stay."""
        chosen = [line for line, stays in zip(lines, keep, strict=True) if stays]
        self._writer.write_table(pa.Table.from_pylist(chosen, _SCHEMA))
        self.seen += len(lines)
        self.kept += len(chosen)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
