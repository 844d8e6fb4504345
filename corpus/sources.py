"""Where the duplicate search reads documents from: a folder of Parquet shards, or a table.

Both give record batches again and again, in the same order, and only those that hold a wanted row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tongwen.errors import TongwenError

_TABLE_ROWS = 1000


@dataclass(frozen=True)
class Chunk:
    """A record batch and the row number of its first row."""

    first: int
    batch: pa.RecordBatch


@dataclass(frozen=True)
class Source:
    """Documents as a sequence of parts of known length.

    Attributes:
        lengths: rows of each part.
        load: the part of a number, with the columns asked for.
    """

    lengths: tuple[int, ...]
    load: Callable[[int, Sequence[str]], pa.RecordBatch]

    @property
    def num_rows(self) -> int:
        return sum(self.lengths)

    def read(
        self, columns: Sequence[str], wanted: NDArray[np.int64] | None = None
    ) -> Iterator[Chunk]:
        """The parts in order; with `wanted` (rising rows) only those that hold one of them."""
        first = 0
        for number, length in enumerate(self.lengths):
            if wanted is None or np.diff(np.searchsorted(wanted, (first, first + length)))[0]:
                yield Chunk(first, self.load(number, columns))
            first += length


def list_shards(folder: Path) -> list[Path]:
    """The document shards of a folder, in order.

    Raises:
        TongwenError: there is none.
    """
    shards = sorted(folder.glob("part-*.parquet"))
    if not shards:
        raise TongwenError(
            "no documents there", where=str(folder), expected="part-00000.parquet and more"
        )
    return shards


def open_folder(folder: Path) -> Source:
    """The row groups of a folder of document shards.

    Raises:
        TongwenError: there is none.
    """
    places: list[tuple[Path, int]] = []
    lengths: list[int] = []
    for path in list_shards(folder):
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            places.append((path, group))
            lengths.append(metadata.row_group(group).num_rows)

    def load(number: int, columns: Sequence[str]) -> pa.RecordBatch:
        path, group = places[number]
        with pq.ParquetFile(path) as file:
            table = file.read_row_group(group, columns=list(columns), use_threads=False)
        return _to_batch(table, columns)

    return Source(tuple(lengths), load)


def open_table(table: pa.Table) -> Source:
    """The rows of a table of `text` and, optionally, `prompt` ("") and `origin` (the row number).

    The ids are always the content hashes, as in the documents table.

    Raises:
        TongwenError: it has no column `text`.
    """
    if "text" not in table.column_names:
        expected = "text; optional: prompt, origin"
        raise TongwenError("the table has no column 'text'", expected=expected)
    whole = _complete(table)
    starts = range(0, len(whole), _TABLE_ROWS)

    def load(number: int, columns: Sequence[str]) -> pa.RecordBatch:
        part = whole.slice(starts[number], _TABLE_ROWS).select(list(columns))
        return _to_batch(part, columns)

    return Source(tuple(min(_TABLE_ROWS, len(whole) - start) for start in starts), load)


def _complete(table: pa.Table) -> pa.Table:
    from corpus.records import hash_document

    names = table.column_names
    text = table["text"].to_pylist()
    prompt = table["prompt"].to_pylist() if "prompt" in names else [""] * len(table)
    ids = (hash_document(before, after) for before, after in zip(prompt, text, strict=True))
    columns = {
        "id": pa.array(ids, pa.string()),
        "origin": table["origin"] if "origin" in names else pa.array(map(str, range(len(table)))),
        "prompt": pa.array(prompt, pa.string()),
        "text": table["text"],
    }
    return pa.table(columns)


def join_columns(one: Any, other: Any, between: str) -> Any:
    """Strings of two columns (arrays or chunked arrays) joined row by row."""
    return pc.call_function("binary_join_element_wise", [one, other, between])


def _to_batch(table: pa.Table, columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [column.combine_chunks() for column in table.select(list(columns)).columns]
    flat = [array.chunk(0) if isinstance(array, pa.ChunkedArray) else array for array in arrays]
    return pa.record_batch(flat, names=list(columns))
