"""Index files and Parquet tables as tables of DuckDB, and answers as index files.

Rows go in and out as Arrow batches, so neither side holds more than a few thousand of them; what
DuckDB cannot keep within its memory it spills into the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.encoding.index import INDEX
from corpus.counting.statistics import connect
from tongwen.progress import progress
from tongwen.recipe import parse_bytes

NAMES = ", ".join(f'"{name}"' for name in INDEX.names or ())
_SCHEMA = pa.schema(
    [(name, pa.from_numpy_dtype(INDEX.fields[name][0])) for name in INDEX.names or ()]  # pyright: ignore
)
_BATCH_ROWS = 1 << 16


@contextmanager
def open_database(folder: Path, memory: str, workers: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills into `folder`."""
    with connect(folder, parse_bytes(memory) // 2, workers) as database:
        yield database


def register_rows(
    database: duckdb.DuckDBPyConnection, name: str, blocks: Iterable[NDArray[np.void]]
) -> None:
    """Rows of INDEX as a table that can be read once."""
    batches = (_to_batch(block) for block in blocks)
    database.register(name, pa.RecordBatchReader.from_batches(_SCHEMA, batches))


def write_rows(
    database: duckdb.DuckDBPyConnection, query: str, path: Path, total: int, label: str
) -> None:
    """Write a query's rows as a file of INDEX, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    found = database.sql(query)
    with partial.open("wb") as file, progress(label, total=total, unit="documents") as advance:
        for batch in to_reader(found):
            file.write(_from_batch(batch).data.cast("B") if batch.num_rows else b"")
            advance(batch.num_rows)
    partial.replace(path)


def to_reader(answer: Any) -> pa.RecordBatchReader:
    """DuckDB 2 calls it `to_arrow_reader`, 1 `fetch_arrow_reader`."""
    name = "to_arrow_reader" if hasattr(answer, "to_arrow_reader") else "fetch_arrow_reader"
    return getattr(answer, name)(_BATCH_ROWS)


def _to_batch(rows: NDArray[np.void]) -> pa.RecordBatch:
    columns = [pa.array(np.ascontiguousarray(rows[name])) for name in _SCHEMA.names]
    return pa.record_batch(columns, schema=_SCHEMA)


def _from_batch(batch: pa.RecordBatch) -> NDArray[np.void]:
    rows = np.empty(batch.num_rows, INDEX)
    for name in _SCHEMA.names:
        rows[name] = batch.column(name).to_numpy()
    return rows
