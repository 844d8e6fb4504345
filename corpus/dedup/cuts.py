"""The tables of boilerplate, and the texts without it.

`paragraphs.parquet` says what is boilerplate, the most frequent first; `cuts.parquet` which bytes
of which kept documents go for it.  Cuts come in the order of the documents and of the text, so both
are read side by side and neither is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.documents import open_writer, to_batch
from corpus.sources import join_columns
from tongwen.errors import TongwenError

CUTS, PARAGRAPHS = "cuts.parquet", "paragraphs.parquet"
CUTS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),
        ("start", pa.int64()),
        ("stop", pa.int64()),
        ("key", pa.string()),
    ]
)
PARAGRAPHS_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("documents", pa.int64()),
        ("characters", pa.int64()),
        ("text", pa.string()),
    ]
)
_SORT = """
    SELECT key, documents, characters, text FROM read_parquet($paths)
    ORDER BY documents DESC, key
"""
_ROWS_AT_ONCE = 10_000
_WAITING = pa.schema([("name", pa.string()), ("start", pa.int64()), ("stop", pa.int64())])


def join_key(table: pa.Table) -> pa.ChunkedArray:
    """What tells documents apart: id and origin."""
    return join_columns(table["id"], table["origin"], " ")


class CutReader:
    """Walks through the cuts beside the kept documents."""

    def __init__(self, path: Path) -> None:
        self._path, self._parts = path, _read(path)
        self._waiting = _WAITING.empty_table()

    def apply(self, kept: pa.Table) -> pa.Table:
        """The next kept documents (with `id`, `origin` and `text`), their texts cut.

        Raises:
            TongwenError: the cuts are of other documents.
        """
        places = self._find(join_key(kept).combine_chunks())
        cuts = self._waiting.slice(0, len(places))
        self._waiting = self._waiting.slice(len(places))
        if not len(places):
            return kept
        starts, stops = (cuts[name].to_numpy() for name in ("start", "stop"))
        text = cut_texts(kept["text"].combine_chunks(), places, starts, stops)
        return kept.set_column(kept.column_names.index("text"), "text", text)

    def close(self) -> None:
        """All cuts must have been applied.

        Raises:
            TongwenError: some were not.
        """
        if len(self._waiting) or next(self._parts, None) is not None:
            raise self._refuse()

    def _find(self, names: pa.Array) -> NDArray[np.int64]:
        """The place in `names` of each next cut that is of one of them."""
        options = pc.SetLookupOptions(names)
        while True:
            found = pc.call_function("index_in", [self._waiting["name"]], options)
            places = found.fill_null(-1).to_numpy().astype(np.int64)
            own = places[places >= 0]
            # Where all that is read is of these documents, there may be more.
            if len(own) < len(places) or (part := next(self._parts, None)) is None:
                break
            self._waiting = pa.concat_tables([self._waiting, part])
        if (places[: len(own)] < 0).any() or (np.diff(own) < 0).any():
            raise self._refuse()
        return own

    def _refuse(self) -> TongwenError:
        return TongwenError(
            "the cuts are not those of the kept documents",
            where=str(self._path),
            expected="the table that was written with the duplicates beside it",
            do="build them again: tongwen corpus dedup RECIPE --redo",
        )


def _read(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["id", "origin", "start", "stop"])
            columns = [join_key(table), table["start"], table["stop"]]
            yield pa.Table.from_arrays(columns, schema=_WAITING)


def cut_texts(
    texts: pa.Array,
    places: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> pa.Array:
    """Texts without some of their bytes.

    Args:
        texts: strings.
        places: for each cut the number of its text, rising.
        starts, stops: bytes of the text that go, rising and not overlapping.
    """
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, 4 * texts.offset)
    begin = offsets[places].astype(np.int64)
    inner = np.stack([begin + starts, begin + stops], axis=1).reshape(-1)
    data = memoryview(texts.buffers()[2])
    bounds = [int(offsets[0]), *inner.tolist(), int(offsets[-1])]
    left = b"".join(data[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True))
    lengths = np.diff(offsets).astype(np.int64)
    np.subtract.at(lengths, places, stops - starts)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]).astype(np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(left))


def write_tables(
    cuts: Sequence[Path], paragraphs: Sequence[Path], out: Path, memory: int, workers: int
) -> None:
    """Join the tables of all parts; paragraphs are sorted on the way, in `memory` bytes.

    Args:
        cuts, paragraphs: a file of each for every part, in the order of the parts.
    """
    with open_writer(out / CUTS, CUTS_SCHEMA) as writer:
        for path in cuts:
            table = pq.read_table(path)
            if len(table):
                writer.write_table(table)
    with open_writer(out / PARAGRAPHS, PARAGRAPHS_SCHEMA) as writer:
        for rows in _sort(paragraphs, out, memory, workers):
            writer.write_batch(to_batch(rows, PARAGRAPHS_SCHEMA))


def _sort(
    paths: Sequence[Path], folder: Path, memory: int, workers: int
) -> Iterator[list[tuple[Any, ...]]]:
    if not paths:
        return
    from corpus.counting.statistics import connect

    with connect(folder, memory, workers) as database:
        answer = database.execute(_SORT, {"paths": list(map(str, paths))})
        while rows := answer.fetchmany(_ROWS_AT_ONCE):
            yield rows
