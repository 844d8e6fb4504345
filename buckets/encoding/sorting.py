"""The index in the order of use, out of core.

The sorted file is named for what it was made of, so it is made once and never taken for another.

The price: the rows pass through DuckDB, which may write them to the disk and read them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from buckets.encoding.ids import parse_ids
from buckets.encoding.index import DocumentIndex, read_blocks
from buckets.encoding.tables import NAMES, open_database, register_rows, write_rows
from tongwen.errors import TongwenError
from tongwen.record import identify_file

_ORDER = "cell, key, high, low, start"
_SORT = f"SELECT {NAMES} FROM entries ORDER BY {_ORDER}"
_SORT_USED = f"""
    WITH sums AS (SELECT high, low, sum(tokens)::BIGINT AS before FROM consumed GROUP BY high, low)
    SELECT {NAMES.replace('"used"', "coalesce(before, 0) AS used")}
    FROM entries LEFT JOIN sums USING (high, low) ORDER BY {_ORDER}
"""
_CONSUMED = pa.schema([("high", pa.uint64()), ("low", pa.uint64()), ("tokens", pa.int64())])
_BATCH_ROWS = 1 << 16


def sort_entries(
    entries: Path, count: int, consumed: Path | None, memory: str, workers: int
) -> DocumentIndex:
    """The first `count` rows of a file of INDEX, sorted; see `TokenStore.sort`."""
    mark = identify_file(consumed) if consumed is not None else "new"
    path = entries.with_name(f"sorted-{count}-{mark}.bin")
    if not path.exists():
        with open_database(entries.parent, memory, workers) as database:
            register_rows(database, "entries", read_blocks(entries, count))
            if consumed is not None:
                _register_consumed(database, consumed)
            query = _SORT if consumed is None else _SORT_USED
            write_rows(database, query, path, count, "sorting documents")
    return DocumentIndex(path)


def _register_consumed(database: duckdb.DuckDBPyConnection, path: Path) -> None:
    names = pq.read_schema(path).names
    if "id" not in names or "tokens" not in names:
        raise TongwenError(
            "the table of what was consumed lacks a column",
            where=str(path),
            expected="id and tokens",
        )
    batches = _read_consumed(path)
    database.register("consumed", pa.RecordBatchReader.from_batches(_CONSUMED, batches))


def _read_consumed(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=["id", "tokens"]):
            high_N, low_N = parse_ids(batch.column("id"))
            tokens = batch.column("tokens").cast(pa.int64())
            yield pa.record_batch([pa.array(high_N), pa.array(low_N), tokens], schema=_CONSUMED)
