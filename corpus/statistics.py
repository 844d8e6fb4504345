"""What the corpus holds, by category, language and source; DuckDB counts it out of core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from corpus.documents import open_writer, to_batch
from tongwen.record import Counts

_KEYS = [(name, pa.string()) for name in ("category", "language", "source")]
_NUMBERS = (
    "documents",
    "kept_documents",
    "exact_duplicates",
    "near_duplicates",
    "characters",
    "bytes",
    "length_p05",
    "length_p50",
    "length_p95",
)
STATISTICS = pa.schema([*_KEYS, *((name, pa.int64()) for name in _NUMBERS)])
REJECTS_BY_REASON = pa.schema(
    [("file", pa.string()), ("reason", pa.string()), ("lines", pa.int64())]
)

_STATISTICS = """
    WITH rows AS (
        SELECT
            category, language, source, kind,
            length(text) + length(prompt) AS characters,
            strlen(text) + strlen(prompt) AS bytes
        FROM read_parquet($documents)
        LEFT JOIN (SELECT id, origin, kind FROM read_parquet($duplicates)) USING (id, origin)
    )
    SELECT
        category, language, source,
        count(*) AS documents,
        count(*) FILTER (kind IS NULL) AS kept_documents,
        count(*) FILTER (kind = 'exact') AS exact_duplicates,
        count(*) FILTER (kind = 'near') AS near_duplicates,
        coalesce(sum(characters) FILTER (kind IS NULL), 0)::BIGINT AS characters,
        coalesce(sum(bytes) FILTER (kind IS NULL), 0)::BIGINT AS bytes,
        coalesce(quantile_disc(characters, 0.05) FILTER (kind IS NULL), 0)::BIGINT AS length_p05,
        coalesce(quantile_disc(characters, 0.50) FILTER (kind IS NULL), 0)::BIGINT AS length_p50,
        coalesce(quantile_disc(characters, 0.95) FILTER (kind IS NULL), 0)::BIGINT AS length_p95
    FROM rows GROUP BY ALL ORDER BY category, language, source
"""
_REJECTS = """
    SELECT file, reason, count(*) AS lines
    FROM read_parquet($rejects) GROUP BY ALL ORDER BY file, reason
"""
_TOTALS = """
    SELECT count(*), count(DISTINCT (category, language)), sum(kept_documents)::BIGINT,
        sum(characters)::BIGINT, sum(bytes)::BIGINT
    FROM read_parquet($statistics)
"""
_FETCH_ROWS = 10_000
_MINIMUM = 200_000_000
"""DuckDB needs so much to read Parquet at all."""


def write_statistics(
    *, documents: Path, duplicates: Path, out: Path, memory: int, workers: int
) -> Counts:
    """Write statistics.parquet and rejects_by_reason.parquet into `out`.

    Characters, bytes and lengths (in characters) are those of kept documents, text and prompt
    together.

    Args:
        documents, duplicates: finished outputs.
        memory: bytes that DuckDB may use before it spills into `out`.
    """
    statistics = out / "statistics.parquet"
    shards, doubles = documents / "part-*.parquet", duplicates / "duplicates.parquet"
    with connect(out, memory, workers) as database:
        names = {"documents": str(shards), "duplicates": str(doubles)}
        _write_query(database, _STATISTICS, names, statistics, STATISTICS)
        names = {"rejects": str(documents / "rejects.parquet")}
        path = out / "rejects_by_reason.parquet"
        _write_query(database, _REJECTS, names, path, REJECTS_BY_REASON)
        totals = database.execute(_TOTALS, {"statistics": str(statistics)}).fetchone()
    keys = ("rows", "groups", "kept_documents", "characters", "bytes")
    return dict(zip(keys, (value or 0 for value in totals or (0,) * 5), strict=True))


@contextmanager
def connect(folder: Path, memory: int, workers: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills into a hidden folder below `folder`, removed afterwards."""
    spill = folder / ".duckdb"
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{max(memory, _MINIMUM) // 10**6}MB",
        "threads": workers,
        "temp_directory": str(spill),
        "preserve_insertion_order": False,
    }
    try:
        with duckdb.connect(":memory:", config=config) as database:
            yield database
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _write_query(
    database: duckdb.DuckDBPyConnection,
    query: str,
    names: dict[str, str],
    path: Path,
    schema: pa.Schema,
) -> None:
    """Stream the rows of a query to a Parquet file."""
    answer = database.execute(query, names)
    with open_writer(path, schema) as writer:
        while rows := answer.fetchmany(_FETCH_ROWS):
            writer.write_batch(to_batch(rows, schema))
