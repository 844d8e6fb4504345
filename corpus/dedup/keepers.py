"""Which of several documents alike stays: an order over documents, the best first.

    earliest   the file's name, then the line
    longest    the most characters, text and prompt together
    priority   the first pattern of the list that the source matches
    order      DuckDB's ORDER BY, over the columns of documents and `characters`, `file`, `line`

Ties go to the earliest.  The order looks at documents, never at rows: it is the same whatever the
order or the sizes of the shards.  Only documents that resemble another are ranked, so it costs
nothing for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus.sources import Source
from tongwen.errors import TongwenError
from tongwen.recipe import Duplicates

Rows = NDArray[np.int64]

_ZERO = pa.scalar("0", pa.string())
_LOCATION = r"^(?P<file>(?s:.*?)):?(?P<line>[0-9]{1,18})$"
_ALL = ("id", "text", "prompt", "category", "language", "source", "origin")


def rank_rows(source: Source, rows: Rows, settings: Duplicates) -> Rows:
    """The place of each of some rising rows in the order, 0 for the best.

    Raises:
        TongwenError: `order` is no valid expression.
    """
    if settings.keep == "order":
        best = _sort_by_expression(source, rows, settings.order)
    else:
        best = _sort(_read(source, rows, settings.keep), settings)
    ranks = np.empty(len(rows), np.int64)
    ranks[best] = np.arange(len(rows))
    return ranks


_NEEDED = {
    "earliest": ("origin",),
    "longest": ("origin", "text", "prompt"),
    "priority": ("origin", "source"),
}


def _read(source: Source, rows: Rows, keep: str) -> pa.Table:
    """What the order looks at, a row for each document."""
    schema = pa.schema([("file", pa.string()), ("line", pa.int64())])
    extra = {"longest": ("characters", pa.int64()), "priority": ("source", pa.string())}
    schema = schema.append(pa.field(*extra[keep])) if keep in extra else schema
    batches = (
        locate(chunk.batch).select(schema.names) for chunk in source.take(_NEEDED[keep], rows)
    )
    return pa.Table.from_batches(batches, schema)


def locate(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With `file` and `line` of the origin and, where there is text, the number of `characters`."""
    origin = batch.column("origin")
    options = pc.ExtractRegexOptions(pattern=_LOCATION)
    location = pc.call_function("extract_regex", [origin], options)
    file, line = location.flatten()
    found: dict[str, Any] = {
        "file": pc.call_function("coalesce", [file, origin]),
        "line": pc.call_function("coalesce", [line, _ZERO]).cast(pa.int64()),
    }
    if "text" in batch.schema.names:
        lengths = [
            pc.call_function("utf8_length", [batch.column(name)]) for name in ("text", "prompt")
        ]
        found["characters"] = pc.call_function("add", lengths).cast(pa.int64())
    found |= {name: batch.column(name) for name in batch.schema.names}
    return pa.record_batch(list(found.values()), names=list(found))


def _sort(documents: pa.Table, settings: Duplicates) -> Rows:
    """Row numbers of the table, best first."""
    keys = [documents["line"].to_numpy(), _number_names(documents["file"])]
    if settings.keep == "longest":
        keys.append(-documents["characters"].to_numpy())
    if settings.keep == "priority":
        keys.append(_match(documents["source"], settings.priority))
    return np.lexsort(keys).astype(np.int64)


def _number_names(names: pa.ChunkedArray) -> Rows:
    """Numbers that sort as the names do."""
    encoded, known = _encode(names)
    place = np.empty(len(known), np.int64)
    place[sorted(range(len(known)), key=known.__getitem__)] = np.arange(len(known))
    return place[encoded]


def _match(sources: pa.ChunkedArray, patterns: tuple[str, ...]) -> Rows:
    """The number of the first pattern that a source matches; their count where none does."""
    encoded, known = _encode(sources)
    last = len(patterns)
    places = (
        next((place for place, glob in enumerate(patterns) if fnmatchcase(name, glob)), last)
        for name in known
    )
    return np.fromiter(places, np.int64, len(known))[encoded]


def _encode(names: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """Numbers of names, and the different names."""
    whole: Any = names.combine_chunks()
    encoded = whole.dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()


def _sort_by_expression(source: Source, rows: Rows, order: str) -> Rows:
    """Numbers of the rows, best first; DuckDB reads only the columns that the expression names."""
    import duckdb

    query = f"SELECT place FROM documents ORDER BY {order}\n, file, line, id, place"
    config: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": False}
    where = f"corpus.duplicates.order = {order!r}"
    try:
        with duckdb.connect(":memory:", config=config) as database:
            database.register("documents", _stream(source, rows))
            places = database.execute(query).fetchnumpy()["place"]
    except duckdb.Error as error:
        raise TongwenError(
            f"DuckDB does not take the expression: {error}",
            where=where,
            expected=f"what follows ORDER BY, over {', '.join(_ALL)}, characters, file, line",
            do='for example order = "length(text) DESC, source"',
        ) from None
    if len(places) != len(rows):
        expected = "what follows ORDER BY, without LIMIT"
        raise TongwenError("the expression drops rows", where=where, expected=expected)
    return np.asarray(places, np.int64)


def _stream(source: Source, rows: Rows) -> pa.RecordBatchReader:
    names = {"file": pa.string(), "line": pa.int64(), "characters": pa.int64()}
    names |= dict.fromkeys(_ALL, pa.string())
    schema = pa.schema([*names.items(), ("place", pa.int64())])

    def read() -> Iterator[pa.RecordBatch]:
        for chunk in source.take(_ALL, rows):
            batch = locate(chunk.batch)
            place = pa.array(np.arange(chunk.first, chunk.first + len(batch)))
            columns = [*(batch.column(name) for name in names), place]
            yield pa.record_batch(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, read())
