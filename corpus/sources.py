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
    """The document shards of a folder, in order; Parquet, or Arrow's own files.

    Raises:
        TongwenError: there is none.
    """
    shards = sorted(folder.glob("part-*.parquet")) or sorted(folder.glob("part-*.arrow"))
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
        status, groups = path.stat(), _measure_groups(path)
        identity.append(f"{path} {status.st_size} {status.st_mtime_ns}")
        places += [(path, group) for group in range(len(groups))]
        lengths += groups

    def load(number: int, columns: Sequence[str]) -> pa.RecordBatch:
        return _read_group(*places[number], tuple(columns))

    return Source(tuple(lengths), load, "\n".join(identity))


def _measure_groups(path: Path) -> list[int]:
    """Rows of each row group (record batch) of a shard."""
    if path.suffix == ".arrow":
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_file(file, options=_pick(path, ()))
            return [reader.get_batch(group).num_rows for group in range(reader.num_record_batches)]
    metadata = pq.read_metadata(path)
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def _read_group(path: Path, group: int, columns: tuple[str, ...]) -> pa.RecordBatch:
    if path.suffix == ".arrow":
        return _open_arrow(path, columns).get_batch(group).select(list(columns))
    file = _open_shard(path, lambda: pq.ParquetFile(path))
    return _to_batch(file.read_row_group(group, columns=list(columns), use_threads=False), columns)


def _open_arrow(path: Path, columns: tuple[str, ...]) -> pa.RecordBatchFileReader:
    def open_file() -> pa.RecordBatchFileReader:
        # Not mapped: what is mapped counts as memory of the process.
        return pa.ipc.open_file(pa.OSFile(str(path)), options=_pick(path, columns))

    return _open_shard(path, open_file, columns)


def _pick(path: Path, columns: Sequence[str]) -> pa.ipc.IpcReadOptions:
    """Read these columns only; the first, where there is none."""
    with pa.OSFile(str(path)) as file:
        names = pa.ipc.open_file(file).schema.names
    numbers = [names.index(column) for column in columns] or [0]
    return pa.ipc.IpcReadOptions(included_fields=numbers, use_threads=False)


def _open_shard(path: Path, open_file: Callable[[], Any], columns: tuple[str, ...] = ()) -> Any:
    """The shard, opened once for the row groups that a thread reads one after the other."""
    status = path.stat()
    key = (path, columns, status.st_ino, status.st_size, status.st_mtime_ns)
    if getattr(_OPEN, "key", None) != key:
        _OPEN.file, _OPEN.key = open_file(), key
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
    from corpus.reading.records import hash_document

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
    # Arrow would look for a date library before it believes that a string is one.
    joint = pa.scalar(between, pa.string())
    return pc.call_function("binary_join_element_wise", [one, other, joint])


def _to_batch(table: pa.Table, columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [column.combine_chunks() for column in table.select(list(columns)).columns]
    flat = [array.chunk(0) if isinstance(array, pa.ChunkedArray) else array for array in arrays]
    return pa.record_batch(flat, names=list(columns))
