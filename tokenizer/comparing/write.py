"""The files of tokenizer/comparison, all made in one pass over the held-out documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.comparing.compare import COMPARISON, Comparer
from tokenizer.comparing.counters import open_counter
from tokenizer.comparing.published import list_published
from tokenizer.comparing.rates import list_intervals
from tokenizer.comparing.segments import ChangeCounter, SentencePicker, show_segmentation
from tokenizer.encoding.encoder import Encoder
from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.record import write_text

BASE, EXTENDED = "base", "extended"


def write_comparison(
    paths: Mapping[str, Path],
    batches: Iterable[pa.RecordBatch],
    out: Path,
    *,
    learned: Sequence[str],
    seed: int = 1,
    workers: int = 1,
) -> pa.Table:
    """Compare tokenizers and write all that is found to a folder; returns comparison.parquet.

    Args:
        paths: tokenizer files by name; `base` and `extended` are SentencePiece models.
        batches: columns text, prompt, category, language, and source where it is known.
        learned: languages that pieces were learned for.

    Raises:
        TongwenError: a file is not the tokenizer that its name says.
    """
    comparer = Comparer(
        {name: open_counter(path) for name, path in paths.items()}, seed=seed, workers=workers
    )
    base, extended = Encoder(paths[BASE]), Encoder(paths[EXTENDED])
    picker = SentencePicker(tuple(dict.fromkeys((*learned, "en"))))
    changes = ChangeCounter(base, extended, learned)
    with progress("comparing tokenizers", unit="characters") as advance:
        for batch in batches:
            picker.add(batch)
            changes.add(batch)
            advance(comparer.add(batch))
    table = comparer.finish()
    pq.write_table(table, out / "comparison.parquet", compression="zstd")
    pq.write_table(list_intervals(comparer), out / "intervals.parquet", compression="zstd")
    _write_json(out / "published.json", list_published())
    _write_json(out / "unchanged.json", changes.list_changes())
    shown = show_segmentation(picker.list_sentences(), base, extended)
    _write_json(out / "segmentation.json", shown)
    return table


def read_comparison(folder: Path) -> tuple[pa.Table, pa.Table | None]:
    """The sums and the confidence intervals of a finished comparison.

    Raises:
        TongwenError: an earlier version made it, with fewer columns.
    """
    table, intervals = pq.read_table(folder / "comparison.parquet"), folder / "intervals.parquet"
    if missing := sorted(set(COMPARISON.names) - set(table.column_names)):
        raise TongwenError(
            f"comparison.parquet has no {', '.join(missing)}: an earlier version wrote it",
            where=str(folder),
            do="build it again with --redo",
        )
    return table, pq.read_table(intervals) if intervals.exists() else None


def _write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
