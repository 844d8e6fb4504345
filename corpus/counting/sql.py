"""Questions in SQL to the statistics of a finished run, and to the texts behind them.

The database is opened read-only, without access to files, the network or further extensions, and
with its settings locked, so a question can be passed on from anywhere: it can read what is
described here and nothing else.  The texts come through Arrow from the Parquet shards.  The price:
a question about texts reads every shard (only the columns that it needs).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from corpus.counting.statistics import DATABASE
from corpus.counting.tables import TABLES
from corpus.counting.views import TEXTS, VIEWS
from corpus.sources import list_shards
from tongwen.errors import TongwenError
from tongwen.recipe import load_recipe
from tongwen.run import RunFolder

Place = RunFolder | Path | str
"""A run folder, its path, or the path of the recipe (a TOML file)."""

_BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Column:
    """A column of a table or view: its name, DuckDB's type and what it says."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Description:
    """A table or view as a question can use it."""

    name: str
    kind: str
    comment: str
    columns: tuple[Column, ...]

    def list_words(self) -> tuple[str, str, list[tuple[str, str, str]]]:
        """Name, comment, and name, type and comment of each column."""
        columns = [(column.name, column.type, column.comment) for column in self.columns]
        return f"{self.name} ({self.kind})", self.comment, columns


@dataclass(frozen=True)
class Answer:
    """What a question gives; the batches can be read once, while the connection is open."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


@contextmanager
def open_statistics(
    place: Place, *, memory: int | None = None, workers: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to stats.duckdb that can read its tables, its views and `texts`, and no more.

    Args:
        place: a run folder or a recipe.
        memory: bytes before DuckDB spills into the run folder; by default most of the machine's.
        workers: threads; by default all cores.

    Raises:
        TongwenError: the statistics are not finished.
    """
    run = _find_run(place)
    config: dict[str, Any] = {"temp_directory": str(run.root / f".sql-{os.getpid()}")}
    if memory is not None:
        config["memory_limit"] = f"{max(1, memory // 10**6)}MB"
    if workers is not None:
        config["threads"] = workers
    with _connect(_find_database(run), config) as connection:
        _add_texts(connection, run)
        _lock(connection)
        yield connection


def query_statistics(place: Place, query: str) -> pa.Table:
    """The rows that a question in SQL gives.

    Args:
        place: a run folder or a recipe.
        query: one statement, e.g. "SELECT * FROM by_source".

    Raises:
        TongwenError: the statistics are not finished, or DuckDB refuses the question.
    """
    with open_statistics(place) as connection:
        answer = ask(connection, query)
        return pa.Table.from_batches(answer.batches, answer.schema)


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> Answer:
    """Run a question; what it gives is read batch by batch.

    Raises:
        TongwenError: DuckDB refuses the question (perhaps only while it is read), or it gives no
            rows.
    """
    try:
        answer = connection.sql(query)
        if answer is None:
            raise _refuse(connection, query, "the statement gives no rows")
        reader = _to_reader(answer)
    except (duckdb.Error, pa.ArrowException) as error:
        raise _refuse(connection, query, str(error)) from None
    return Answer(reader.schema, _read(connection, query, reader))


def _read(
    connection: duckdb.DuckDBPyConnection, query: str, reader: pa.RecordBatchReader
) -> Iterator[pa.RecordBatch]:
    with reader:
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise _refuse(connection, query, str(error)) from None
            yield batch


def describe_statistics(connection: duckdb.DuckDBPyConnection) -> list[Description]:
    """Every table and view, with what is said about it."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal "
        "ORDER BY column_index"
    ).fetchall()
    found: list[Description] = []
    for relation in (*TABLES, TEXTS, *VIEWS):
        columns = tuple(
            Column(name, kind, relation.columns.get(name, ""))
            for table, name, kind in rows
            if table == relation.name
        )
        if columns:
            found.append(Description(relation.name, relation.kind, relation.comment, columns))
    return found


def _find_run(place: Place) -> RunFolder:
    if isinstance(place, RunFolder):
        return place
    path = Path(place)
    return RunFolder(load_recipe(path).folder if path.suffix == ".toml" else path)


def _find_database(run: RunFolder) -> Path:
    path = run.finished("corpus/statistics") / DATABASE
    if not path.exists():
        raise TongwenError(
            f"the statistics have no {DATABASE}",
            where=str(path),
            expected="what `tongwen corpus stats` makes",
            do="make it again: tongwen corpus stats RECIPE --redo",
        )
    return path


def _connect(path: Path, config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path), read_only=True, config=config)
    except (duckdb.Error, OSError) as error:
        raise TongwenError(
            f"the statistics cannot be opened: {error}",
            where=str(path),
            expected="the database that tongwen wrote, open in no other way in this process",
            do="if it is damaged, make it again: tongwen corpus stats RECIPE --redo",
        ) from None


def _lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Forbid all access to the outside; connections of one process share their settings."""
    (locked,) = connection.execute("SELECT current_setting('lock_configuration')").fetchall()
    if not locked[0]:
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")


def _add_texts(connection: duckdb.DuckDBPyConnection, run: RunFolder) -> None:
    """`texts`, unless the documents were removed."""
    import pyarrow.dataset as ds

    if run.record("corpus/documents") is None:
        return
    shards = [str(path) for path in list_shards(run.path("corpus/documents"))]
    schema = pa.schema([(name, pa.string()) for name in TEXTS.columns])
    connection.register(TEXTS.name, ds.dataset(shards, schema=schema, format="parquet"))


def _to_reader(answer: Any) -> pa.RecordBatchReader:
    """DuckDB 2 calls it `to_arrow_reader`, 1 `fetch_arrow_reader`."""
    name = "to_arrow_reader" if hasattr(answer, "to_arrow_reader") else "fetch_arrow_reader"
    return getattr(answer, name)(_BATCH_ROWS)


def _refuse(connection: duckdb.DuckDBPyConnection, query: str, why: str) -> TongwenError:
    names = ", ".join(each.name for each in describe_statistics(connection))
    return TongwenError(
        why,
        where=query,
        expected=f"a SELECT over {names}",
        do="list their columns: tongwen corpus sql RECIPE",
    )
