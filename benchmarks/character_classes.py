"""Counting characters by class and script, beside DuckDB counting Han characters alone.

    python benchmarks/character_classes.py FILE...      # JSON lines with `text`, plain or .zst

Both read the same Arrow column and take turns on one thread; medians of CPU seconds.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import duckdb
import pyarrow as pa
import zstandard

from corpus.counting.character_classes import COUNTS, count_characters

_ROUNDS = 7
_HAN = "SELECT sum(len(regexp_extract_all(text, '\\p{Han}'))) FROM texts"


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a file of JSON lines."""
    with path.open("rb") as file:
        plain = zstandard.ZstdDecompressor().stream_reader(file) if path.suffix == ".zst" else file
        for line in io.TextIOWrapper(io.BufferedReader(plain), encoding="utf-8"):  # pyright: ignore[reportArgumentType]
            fields = json.loads(line)
            yield fields.get("text") or fields.get("target") or ""


def measure(work: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def compare(path: Path) -> None:
    """Print one line for a file."""
    column = pa.array(read_texts(path), pa.large_string())
    size = sum(len(text.encode()) for text in column.to_pylist())
    with duckdb.connect(config={"threads": 1}) as database:
        database.register("texts", pa.table({"text": column}))
        contenders = {
            "ours": lambda: count_characters(column),
            "DuckDB": lambda: database.execute(_HAN).fetchall(),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(_ROUNDS + 1):
            for name, work in contenders.items():
                seconds[name].append(measure(work))
        (peer,) = database.execute(_HAN).fetchall()
    han = int(count_characters(column)[:, COUNTS.index("han")].sum())
    speeds = ", ".join(f"{name} {size / median(s[1:]) / 1e6:,.0f}" for name, s in seconds.items())
    print(f"{path.name}: {size / 1e6:.1f} MB, MB/s: {speeds}; Han {han:,} and {peer[0]:,}")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        compare(Path(name))
