"""Where the duplicate search reads documents from: a folder of Parquet shards, or a table.

Both give record batches again and again, in the same order, and only those that hold a wanted row.
"""

from __future__ import annotations

import threading
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

_OPEN = threading.local()
_TABLE_ROWS = 1000
_PART_CHUNKS, _MOST_PARTS = 16, 4096
"""Chunks of a part: some 32 MB of text; of 10 TB, more.  Each part is a file of every table."""


@dataclass(frozen=True)
class Chunk:
    """A record batch and the row number of its first row."""

    first: int
    batch: pa.RecordBatch


@dataclass(frozen=True)
class Part:
    """Consecutive chunks of a source: what one task works on.

    Attributes:
        number: of the part, from 0.
        chunks: the numbers of its chunks.
        first: row number of its first row.
        num_rows: how many it has.
    """

    number: int
    chunks: range
    first: int
    num_rows: int

    def own(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some rising rows that lie in this part."""
        return rows[slice(*np.searchsorted(rows, (self.first, self.first + self.num_rows)))]


@dataclass(frozen=True)
class Source:
    """Documents as a sequence of chunks of known length.

    Attributes:
        lengths: rows of each chunk.
        load: the chunk of a number, with the columns asked for.
        identity: names, sizes and times of the files; "" for a table.
    """

    lengths: tuple[int, ...]
    load: Callable[[int, Sequence[str]], pa.RecordBatch]
    identity: str = ""

    @property
    def num_rows(self) -> int:
        return sum(self.lengths)

    def cut(self) -> list[Part]:
        """The source in parts of 16 chunks or, if those were too many, of more."""
        parts, first = [], 0
        chunks = max(_PART_CHUNKS, len(self.lengths) // _MOST_PARTS)
        for start in range(0, len(self.lengths), chunks):
            numbers = range(start, min(start + chunks, len(self.lengths)))
            num_rows = sum(self.lengths[number] for number in numbers)
            parts.append(Part(len(parts), numbers, first, num_rows))
            first += num_rows
        return parts

    def read(
        self,
        columns: Sequence[str],
        wanted: NDArray[np.int64] | None = None,
        part: Part | None = None,
    ) -> Iterator[Chunk]:
        """The chunks in order, of one part or of all.

        Args:
            wanted: rising rows; only chunks that hold one of them are read.
        """
        first = part.first if part else 0
        for number in part.chunks if part else range(len(self.lengths)):
            length = self.lengths[number]
            if wanted is None or np.diff(np.searchsorted(wanted, (first, first + length)))[0]:
                yield Chunk(first, self.load(number, columns))
            first += length

    def take(
        self, columns: Sequence[str], rows: NDArray[np.int64], part: Part | None = None
    ) -> Iterator[Chunk]:
        """Some rising rows only; `Chunk.first` is then the place of its first row in `rows`."""
        for chunk in self.read(columns, rows, part):
            start, stop = np.searchsorted(rows, (chunk.first, chunk.first + len(chunk.batch)))
            yield Chunk(int(start), pc.take(chunk.batch, pa.array(rows[start:stop] - chunk.first)))


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
    identity: list[str] = []
    for path in list_shards(folder):
        metadata, status = pq.read_metadata(path), path.stat()
        identity.append(f"{path} {status.st_size} {status.st_mtime_ns}")
        for group in range(metadata.num_row_groups):
            places.append((path, group))
            lengths.append(metadata.row_group(group).num_rows)

    def load(number: int, columns: Sequence[str]) -> pa.RecordBatch:
        path, group = places[number]
        table = _open_shard(path).read_row_group(group, columns=list(columns), use_threads=False)
        return _to_batch(table, columns)

    return Source(tuple(lengths), load, "\n".join(identity))


def _open_shard(path: Path) -> pq.ParquetFile:
    """The shard, opened once for the row groups that a thread reads one after the other."""
    status = path.stat()
    key = (path, status.st_ino, status.st_size, status.st_mtime_ns)
    if getattr(_OPEN, "key", None) != key:
        _OPEN.file, _OPEN.key = pq.ParquetFile(path), key
    return _OPEN.file


def open_table(table: pa.Table) -> Source:
    """The rows of a table of `text` and, optionally, the other columns of the documents table.

    A prompt, category, language or source that is not there is "", an origin the row's number.
    The ids are always the content hashes, as in the documents table.

    Raises:
        TongwenError: it has no column `text`.
    """
    if "text" not in table.column_names:
        expected = "text; optional: prompt, origin, category, language, source"
        raise TongwenError("the table has no column 'text'", expected=expected)
    whole = _complete(table)
    starts = range(0, len(whole), _TABLE_ROWS)

    def load(number: int, columns: Sequence[str]) -> pa.RecordBatch:
        part = whole.slice(starts[number], _TABLE_ROWS).select(list(columns))
        return _to_batch(part, columns)

    lengths = tuple(min(_TABLE_ROWS, len(whole) - start) for start in starts)
    return Source(lengths, load)


def _complete(table: pa.Table) -> pa.Table:
    from corpus.records import hash_document

    names, size = table.column_names, len(table)
    text = table["text"].to_pylist()
    prompt = table["prompt"].to_pylist() if "prompt" in names else [""] * size
    ids = (hash_document(before, after) for before, after in zip(prompt, text, strict=True))
    columns: dict[str, Any] = {
        "id": pa.array(ids, pa.string()),
        "text": table["text"].cast(pa.string()),
        "prompt": pa.array(prompt, pa.string()),
        "origin": table["origin"] if "origin" in names else pa.array(map(str, range(size))),
    }
    for name in ("category", "language", "source"):
        columns[name] = table[name] if name in names else pa.array([""] * size, pa.string())
    return pa.table(columns)


def join_columns(one: Any, other: Any, between: str) -> Any:
    """Strings of two columns (arrays or chunked arrays) joined row by row."""
    return pc.call_function("binary_join_element_wise", [one, other, between])


def _to_batch(table: pa.Table, columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [column.combine_chunks() for column in table.select(list(columns)).columns]
    flat = [array.chunk(0) if isinstance(array, pa.ChunkedArray) else array for array in arrays]
    return pa.record_batch(flat, names=list(columns))
