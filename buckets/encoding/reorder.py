"""The index in a curriculum's order: by length, or by a column of a table of the user's.

The price: the table's ids and values pass through DuckDB beside the index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from buckets.encoding.index import BLOCK, DocumentIndex
from buckets.encoding.tables import NAMES, open_database, register_rows, write_rows
from tongwen.errors import TongwenError
from tongwen.recipe import Curriculum
from tongwen.record import identify_file

_BY_LENGTH = f"""
    SELECT {NAMES} FROM entries
    ORDER BY cell, length {{direction}}, key, high, low, start
"""
_BY_VALUE = f"""
    SELECT {NAMES} FROM entries LEFT JOIN valued
        ON valued.id = lower(lpad(to_hex(high), 16, '0') || lpad(to_hex(low), 16, '0'))
    ORDER BY cell, value {{direction}} NULLS LAST, key, high, low, start
"""


def reorder_index(
    index: DocumentIndex,
    limit_C: NDArray[np.uint64],
    curriculum: Curriculum,
    table: Path | None,
    memory: str,
    workers: int,
) -> DocumentIndex:
    """The documents with a key up to their cell's limit, reordered; see `TokenStore.reorder`.

    Raises:
        TongwenError: the table cannot be read, lacks `id` or the column, or has an id twice.
    """
    path = index.path.with_name(f"curriculum-{_identify(index, limit_C, curriculum, table)}.bin")
    if path.exists():
        return DocumentIndex(path)
    with open_database(index.path.parent, memory, workers) as database:
        if table is not None:
            _load_values(database, table, curriculum.by)
        query = (_BY_LENGTH if table is None else _BY_VALUE).format(
            direction="DESC" if curriculum.descending else "ASC"
        )
        register_rows(database, "entries", _choose(index, limit_C))
        write_rows(database, query, path, len(index), "ordering documents")
    return DocumentIndex(path)


def _identify(
    index: DocumentIndex, limit_C: NDArray[np.uint64], curriculum: Curriculum, table: Path | None
) -> str:
    mark = identify_file(table) if table is not None and table.is_file() else ""
    text = f"{index.path.name}\n{limit_C.tolist()}\n{curriculum.model_dump_json()}\n{mark}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _choose(index: DocumentIndex, limit_C: NDArray[np.uint64]) -> Iterator[NDArray[np.void]]:
    for first in range(0, len(index), BLOCK):
        rows = index.rows[first : first + BLOCK]
        yield rows[rows["key"] <= limit_C[rows["cell"]]]
        index.release()


def _load_values(database: duckdb.DuckDBPyConnection, table: Path, column: str) -> None:
    """The table `valued` (id, value), each id once; what is no number is no value."""
    kinds = _describe(database, table)
    for name in ("id", column):
        if name not in kinds:
            raise _refuse(table, f"the curriculum's table has no column {name!r}", ", ".join(kinds))
    quoted = '"' + column.replace('"', '""') + '"'
    is_float = kinds[column] in ("FLOAT", "DOUBLE")
    value = f"CASE WHEN isnan({quoted}) THEN NULL ELSE {quoted} END" if is_float else quoted
    try:
        database.execute(
            f"CREATE TEMP TABLE valued AS SELECT id::VARCHAR AS id, {value} AS value "
            "FROM read_parquet($path) WHERE id IS NOT NULL",
            {"path": str(table)},
        )
    except duckdb.Error as error:
        raise _refuse(table, f"the curriculum's table cannot be read: {error}") from None
    twice = database.execute(
        "SELECT id, count(*) FROM valued GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1"
    ).fetchall()
    if twice:
        raise _refuse(table, f"the curriculum's table has the id {twice[0][0]} {twice[0][1]} times")


def _describe(database: duckdb.DuckDBPyConnection, table: Path) -> dict[str, str]:
    """Name and type of each column."""
    try:
        rows = database.execute(
            "DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(table)}
        ).fetchall()
    except duckdb.Error as error:
        raise _refuse(table, f"the curriculum's table cannot be read: {error}") from None
    return {row[0]: row[1] for row in rows}


def _refuse(table: Path, what: str, there: str = "") -> TongwenError:
    return TongwenError(
        what,
        where=str(table),
        expected="a Parquet file with `id`, each once, and the column that `by` names"
        + (f"; it has {there}" if there else ""),
        do="correct [stages.curriculum] or the table",
    )
