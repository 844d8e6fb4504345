"""Entries of a key and a row, cut by the first bits of the key into parts that fit in memory.

Equal keys meet in one partition, whichever shard they come from; that is all a shuffle is for.  A
task writes the entries of its documents to one file, already in the order of the partitions and
with the start of each; another task reads one partition out of all those files.

    file of a task:  starts (partitions + 1 numbers) | entries, partition after partition
    entry:           one or two words of a key, then the row: 16 or 24 bytes

So a shuffle writes and reads every entry once, in as many files as there were tasks.  Keys are
hashes: their first bits are spread evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numba import njit
from numpy.typing import NDArray

Entries = NDArray[np.uint64]

ENTRY_MEMORY = 100
"""Bytes that grouping needs for an entry: the entry twice, table, links, members, pairs."""
LARGEST, FEW = 1 << 21, 1024
"""Entries of a partition, also where memory would allow more: larger ones are not faster.  But no
more than some thousand partitions for that: each is a place in the file of every task."""

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@dataclass(frozen=True)
class Cut:
    """How entries are cut: into 2^bits partitions."""

    bits: int

    @property
    def num_parts(self) -> int:
        return 1 << self.bits


def choose_cut(num_entries: int, memory: int) -> Cut:
    """The fewest partitions of which one fits into `memory` bytes."""
    most = max(1, min(max(LARGEST, num_entries // FEW), memory // ENTRY_MEMORY))
    return Cut(max(0, (max(1, num_entries) - 1) // most).bit_length())


def write_partitions(path: Path, entries: Entries, cut: Cut) -> Path:
    """Write entries of shape (n, words + 1) in the order of their partitions."""
    starts, ordered = np.zeros(cut.num_parts + 1, np.uint64), np.empty_like(entries)
    scatter(entries, np.uint64(0), np.uint64(cut.bits), starts, ordered)
    return write_arrays(path, (starts, ordered))


def read_partition(paths: Sequence[Path], part: int, cut: Cut, words: int) -> Entries:
    """The entries of one partition from all files, in the order of the files."""
    width = words + 1
    found = [np.empty((0, width), np.uint64)]
    for path in paths:
        with path.open("rb") as file:
            first, last = np.fromfile(file, np.uint64, 2, offset=8 * part).tolist()
            if last > first:
                file.seek(8 * (cut.num_parts + 1 + width * first))
                found.append(
                    np.fromfile(file, np.uint64, width * (last - first)).reshape(-1, width)
                )
    return np.concatenate(found)


def write_arrays(path: Path, arrays: Iterable[NDArray[Any]]) -> Path:
    """Write plain numbers, one array after the other, to a file that is whole or absent."""

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            for array in arrays:
                append_array(file, array)

    return write_whole(path, write)


def append_array(file: BinaryIO, array: NDArray[Any]) -> None:
    """Write plain numbers; unlike `ndarray.tofile` a full disk is said to be one."""
    file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def write_whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Write a file under a temporary name and rename it, so that it is whole or absent."""
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    partial.replace(path)
    return path


@njit(**_OPTIONS)
def scatter(entries: Any, skip: Any, bits: Any, starts: Any, ordered: Any) -> None:
    """Order entries by `bits` bits of their first word, after `skip` bits; stable.

    `starts` comes with 2^bits + 1 zeros and becomes the start of each part.
    """
    if bits == np.uint64(0):
        starts[1] = entries.shape[0]
        ordered[:] = entries
        return
    shift = np.uint64(64) - bits
    for i in range(entries.shape[0]):
        starts[((entries[i, 0] << skip) >> shift) + np.uint64(1)] += np.uint64(1)
    for part in range(1, starts.shape[0]):
        starts[part] += starts[part - 1]
    place = starts[:-1].copy()
    for i in range(entries.shape[0]):
        part = (entries[i, 0] << skip) >> shift
        at = place[part]
        place[part] = at + np.uint64(1)
        for word in range(entries.shape[1]):
            ordered[at, word] = entries[i, word]
