"""What the corpus holds: stats.duckdb for people who ask, and small Parquet tables for the report.

Documents go into the database without their text, a hundred thousand at a time; all sums are made
from there, out of core (lengths are counted before quantiles are taken, for DuckDB keeps every
value of a quantile in memory).  The file is written in the storage format that every DuckDB since
1.0 opens.  The price: its bytes are not reproducible, so it has no SHA-256 in the record; those of
the Parquet files are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from corpus.counting.character_classes import CLASSES
from corpus.counting.measures import MEASURES, measure_documents
from corpus.counting.tables import TABLES
from corpus.counting.views import KINDS, REJECTS_BY_REASON, VIEWS, select_quantiles
from corpus.documents import open_writer, to_batch
from tongwen.record import Counts

DATABASE = "stats.duckdb"

_KEYS = [(name, pa.string()) for name in ("category", "language", "source")]
_NUMBERS = (
    "documents",
    "kept_documents",
    *(f"{kind}_duplicates" for kind in KINDS),
    "characters",
    "bytes",
    "length_p05",
    "length_p50",
    "length_p95",
)
STATISTICS = pa.schema([*_KEYS, *((name, pa.int64()) for name in _NUMBERS)])
REJECTS_BY_REASON_TABLE = pa.schema(
    [("file", pa.string()), ("reason", pa.string()), ("lines", pa.int64())]
)
_COUNTED = ("documents", "characters", *CLASSES, "simplified", "traditional")
CHARACTERS = pa.schema([*_KEYS[:2], *((name, pa.int64()) for name in _COUNTED)])

_LENGTHS = {"length_p05": 5, "length_p50": 50, "length_p95": 95}
_OF_KINDS = "\n".join(
    f"coalesce(sum(sums.documents) FILTER (duplicate_kind = '{kind}'), 0)::BIGINT,"
    for kind in KINDS
)
_STATISTICS = f"""
    SELECT category, language, source,
        sum(sums.documents)::BIGINT,
        coalesce(sum(sums.documents) FILTER (duplicate_kind IS NULL), 0)::BIGINT,
        {_OF_KINDS}
        coalesce(sum(characters) FILTER (duplicate_kind IS NULL), 0)::BIGINT,
        coalesce(sum(bytes) FILTER (duplicate_kind IS NULL), 0)::BIGINT,
        {", ".join(f"coalesce(any_value({name}), 0)" for name in _LENGTHS)}
    FROM group_sums AS sums
    LEFT JOIN ({select_quantiles("category, language, source", _LENGTHS)}) AS lengths
        USING (category, language, source)
    GROUP BY category, language, source ORDER BY category, language, source
"""
_CHARACTERS = f"""
    SELECT category, language, {", ".join(f"sum({name})::BIGINT" for name in _COUNTED)}
    FROM group_sums WHERE duplicate_kind IS NULL
    GROUP BY category, language ORDER BY category, language
"""
_TOTALS = """
    SELECT count(DISTINCT (category, language, source)), count(DISTINCT (category, language)),
        sum(documents) FILTER (duplicate_kind IS NULL)::BIGINT,
        sum(characters) FILTER (duplicate_kind IS NULL)::BIGINT,
        sum(bytes) FILTER (duplicate_kind IS NULL)::BIGINT
    FROM group_sums
"""
_FETCH_ROWS = 10_000
_INSERT_ROWS = 122_880
"""Rows of a row group of DuckDB."""

_MINIMUM = 200_000_000
"""DuckDB needs so much to read Parquet at all."""

_OTHERS = 400_000_000
"""What the compiled loops, Arrow and a few row groups take beside DuckDB."""

_STORAGE = "v1.0.0"


def write_statistics(
    *, documents: Path, duplicates: Path, out: Path, memory: int, workers: int
) -> Counts:
    """Write stats.duckdb, statistics.parquet, characters.parquet and rejects_by_reason.parquet.

    In the Parquet files characters, bytes and lengths (in characters) are those of kept documents,
    prompt and text together, without the boilerplate that is cut.

    Args:
        documents, duplicates: finished outputs.
        memory: bytes; DuckDB spills into `out` when it has used what others leave of them.

    Raises:
        TongwenError: the duplicates are of other documents.
    """
    rows = measure_documents(documents, duplicates, workers=workers)
    room = memory - min(memory // 2, _OTHERS)
    with connect(out, room, workers, out / DATABASE) as database:
        _fill(database, rows, documents / "rejects.parquet")
        _write_query(database, _STATISTICS, out / "statistics.parquet", STATISTICS)
        _write_query(database, _CHARACTERS, out / "characters.parquet", CHARACTERS)
        path = out / "rejects_by_reason.parquet"
        _write_query(database, REJECTS_BY_REASON.query, path, REJECTS_BY_REASON_TABLE)
        totals = database.execute(_TOTALS).fetchall()
        database.execute("CHECKPOINT")
    keys = ("rows", "groups", "kept_documents", "characters", "bytes")
    return dict(zip(keys, (value or 0 for value in totals[0]), strict=True))


@contextmanager
def connect(
    folder: Path, memory: int, workers: int, database: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that spills into a hidden folder below `folder`, removed afterwards.

    Args:
        database: a file, made where it is not there; by default it is in memory.
    """
    spill = folder / ".duckdb"
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{max(memory, _MINIMUM) // 10**6}MB",
        "threads": workers,
        "temp_directory": str(spill),
        "preserve_insertion_order": False,
        "storage_compatibility_version": _STORAGE,
    }
    try:
        with duckdb.connect(str(database or ":memory:"), config=config) as connection:
            yield connection
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _fill(
    database: duckdb.DuckDBPyConnection, rows: Iterable[pa.RecordBatch], rejects: Path
) -> None:
    """Make every table and view."""
    _insert(database, "CREATE TABLE documents AS", MEASURES.empty_table())
    for table in _collect(rows):
        _insert(database, "INSERT INTO documents", table)
    database.execute("CREATE TABLE rejects AS FROM read_parquet($path)", {"path": str(rejects)})
    for relation in (*TABLES, *VIEWS):
        for statement in relation.statements():
            database.execute(statement)


def _collect(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches joined to as many rows as DuckDB keeps together."""
    waiting: list[pa.RecordBatch] = []
    num_waiting = 0
    for batch in rows:
        waiting.append(batch)
        num_waiting += len(batch)
        if num_waiting >= _INSERT_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, num_waiting = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def _insert(database: duckdb.DuckDBPyConnection, action: str, table: pa.Table) -> None:
    database.register("incoming", table)
    database.execute(f"{action} SELECT * FROM incoming")
    database.unregister("incoming")


def _write_query(
    database: duckdb.DuckDBPyConnection, query: str, path: Path, schema: pa.Schema
) -> None:
    """Stream the rows of a query to a Parquet file."""
    answer = database.execute(query)
    with open_writer(path, schema) as writer:
        while rows := answer.fetchmany(_FETCH_ROWS):
            writer.write_batch(to_batch(rows, schema))
