"""Each document's row of the statistics: its keys, its characters counted, and what became of it.

Duplicates and cuts come in the order of the documents and are walked through beside their keys;
threads then read the row groups, cut the texts and count.  So nothing is joined by hashing, and
memory is a few row groups.  The price: ids and origins are read twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.counting.character_classes import COUNTS, count_characters, to_columns
from corpus.dedup.cuts import CUTS, cut_texts
from corpus.engine import LocalEngine
from corpus.hashing.signatures import string_buffers
from corpus.sources import Source, join_columns, open_folder
from tongwen.errors import TongwenError
from tongwen.progress import progress

_NAMES = ("id", "origin", "category", "language", "source")
_STRINGS = [(name, pa.string()) for name in (*_NAMES, "kind_of_text")]
_LENGTHS = (COUNTS[0], "bytes", "prompt_characters", "cut_characters")
_NUMBERS = [(name, pa.int64()) for name in (*_LENGTHS, *COUNTS[1:])]
_FATE = [
    ("kept", pa.bool_()),
    ("duplicate_kind", pa.string()),
    ("keeper", pa.string()),
    ("jaccard", pa.float64()),
]
MEASURES = pa.schema([*_STRINGS, *_NUMBERS, *_FATE])
"""Columns of the table `documents` in stats.duckdb."""

_DUPLICATE = pa.schema([("kind", pa.string()), *_FATE[2:]])
_CUT = pa.schema([("start", pa.int64()), ("stop", pa.int64())])
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class _Group:
    """A row group: its number, the fate of each document, and the cuts with their documents."""

    number: int
    fates: pa.RecordBatch
    places: NDArray[np.int64]
    cuts: pa.Table


def measure_documents(
    documents: Path, duplicates: Path, *, workers: int = 1
) -> Iterator[pa.RecordBatch]:
    """Rows of `MEASURES` in the order of the documents, a batch for each row group.

    Args:
        documents: a folder of document shards.
        duplicates: the folder of what goes, in the order of the documents.

    Raises:
        TongwenError: the duplicates are of other documents.
    """
    source = open_folder(documents)
    with progress("counting characters", total=source.num_rows, unit="documents") as advance:
        groups = _walk(source, duplicates)
        for batch in LocalEngine(workers).map(partial(_measure, source), groups):
            yield batch
            advance(len(batch))


def _walk(source: Source, duplicates: Path) -> Iterator[_Group]:
    gone, cuts = Beside(duplicates / "duplicates.parquet", _DUPLICATE), duplicates / CUTS
    # Runs of earlier versions have none.
    shortened = Beside(cuts, _CUT) if cuts.exists() else None
    nothing = (np.empty(0, np.int64), _CUT.empty_table())
    for number in range(len(source.lengths)):
        keys = _join_key(source.load(number, ("id", "origin")))
        fates = _spread(*gone.find(keys), len(keys))
        yield _Group(number, fates, *(shortened.find(keys) if shortened else nothing))
    for table in (gone, shortened):
        if table is not None:
            table.close()


def _join_key(table: pa.RecordBatch) -> pa.Array:
    return join_columns(table["id"], table["origin"], " ")


def _spread(places: NDArray[np.int64], rows: pa.Table, num: int) -> pa.RecordBatch:
    """`kept`, and the rows at their places; null elsewhere."""
    numbers, kept = np.zeros(num, np.int64), np.ones(num, np.bool_)
    numbers[places], kept[places] = np.arange(len(places)), False
    taken = rows.take(pa.array(numbers, mask=kept))
    columns = [pa.array(kept), *(column.combine_chunks() for column in taken.columns)]
    return pa.record_batch(columns, names=[name for name, _ in _FATE])


def _measure(source: Source, group: _Group) -> pa.RecordBatch:
    """The rows of a row group."""
    batch = source.load(group.number, (*_NAMES, "text", "prompt"))
    text, prompt = batch["text"], batch["prompt"]
    counts, cut = count_characters(text), np.zeros(len(batch), np.int64)
    if len(group.places):
        starts, stops = (group.cuts[name].to_numpy() for name in _CUT.names)
        before, text = counts, cut_texts(text, group.places, starts, stops)
        counts = count_characters(text)
        cut = before[:, 0] - counts[:, 0]
    of_prompt = count_characters(prompt)
    found = {name: batch[name] for name in _NAMES} | to_columns(counts + of_prompt)
    found["kind_of_text"] = pa.array(np.where(of_prompt[:, 0] > 0, "qa", "text"), pa.string())
    found["bytes"] = pa.array(_count_bytes(text) + _count_bytes(prompt))
    found["prompt_characters"], found["cut_characters"] = pa.array(of_prompt[:, 0]), pa.array(cut)
    found |= {name: group.fates[name] for name, _ in _FATE}
    return pa.record_batch([found[name] for name in MEASURES.names], schema=MEASURES)


def _count_bytes(column: pa.Array) -> NDArray[np.int64]:
    return np.diff(string_buffers(column)[1])


class Beside:
    """Walks through a table beside the documents: it has rows for some of them, in their order."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._parts = self._read(path)
        self._keys = pa.chunked_array([], pa.string())
        self._rows = schema.empty_table()

    def _read(self, path: Path) -> Iterator[pa.RecordBatch]:
        columns = ["id", "origin", *self._schema.names]
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False)

    def find(self, keys: pa.Array) -> tuple[NDArray[np.int64], pa.Table]:
        """The rows of the next documents.

        Args:
            keys: id and origin of the documents, joined.

        Returns:
            For each row the place of its document in `keys`, and the rows.
        """
        places = self._place(keys)
        # Where all that was read is of these documents, there may be more.
        while len(places) == len(self._keys) and (part := next(self._parts, None)) is not None:
            table = pa.Table.from_batches([part]).select(self._schema.names).cast(self._schema)
            self._keys = pa.chunked_array([*self._keys.chunks, _join_key(part)], pa.string())
            self._rows = pa.concat_tables([self._rows, table])
            places = self._place(keys)
        found = self._rows.slice(0, len(places))
        self._rows, self._keys = self._rows.slice(len(places)), self._keys.slice(len(places))
        return places, found

    def _place(self, keys: pa.Array) -> NDArray[np.int64]:
        """Places of the rows that wait, up to the first that is of a later document."""
        found = pc.call_function("index_in", [self._keys], pc.SetLookupOptions(keys))
        places = found.fill_null(-1).to_numpy()
        later = np.flatnonzero(places < 0)
        return places[: later[0]] if len(later) else places

    def close(self) -> None:
        """All rows must have been found.

        Raises:
            TongwenError: some were not.
        """
        if len(self._keys) or any(len(part) for part in self._parts):
            raise TongwenError(
                "the duplicates are not those of the documents",
                where=str(self._path),
                expected="rows of these documents, in their order",
                do="build them again: tongwen corpus dedup RECIPE --redo",
            )
