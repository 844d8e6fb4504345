"""The index of the store: 64 bytes for each document, in a file that is mapped, not loaded.

The price: pages that were touched count as this process's memory until `release` is called, though
the system may take them back at any time.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INDEX = np.dtype(
    [
        ("cell", "<i4"),
        ("length", "<i4"),
        ("key", "<u8"),
        ("high", "<u8"),
        ("low", "<u8"),
        ("prompt", "<i4"),
        ("origin_length", "<i4"),
        ("start", "<i8"),
        ("origin_start", "<i8"),
        ("used", "<i8"),
    ]
)
"""An encoded document.

cell: number of its cell.  length: tokens with BOS and EOS.  key: place in the order of use.
high, low: its id's 128 bits.  prompt: tokens of BOS and prompt.  start: its first token in the
store.  origin_start, origin_length: its origin's bytes.  used: tokens of it that were consumed
before, over all epochs.
"""

BLOCK = 1 << 16
"""Rows that are worked on at once: 4 MB."""


class MappedArray:
    """A file of numbers, mapped for reading.

    Attributes:
        values: the array; it must not be used after the file was removed and written anew.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._map: mmap.mmap | None = None
        self.values: NDArray[Any] = np.empty(0, dtype)
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            if path.stat().st_size:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self.values = np.frombuffer(self._map, dtype)

    def release(self) -> None:
        """Give the memory of pages that were read back to the system; they are read again when
        they are needed."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


class DocumentIndex:
    """Encoded documents in the order of their use, cell by cell.

    Attributes:
        path: the file.
        rows: an array of INDEX over the mapped file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mapped = MappedArray(path, INDEX)
        self.rows: NDArray[np.void] = self._mapped.values

    def __len__(self) -> int:
        return len(self.rows)

    def bounds(self, cell: int) -> tuple[int, int]:
        """The first row of a cell and the one after its last."""
        cells = self.rows["cell"]
        # NumPy's own bisection would copy the whole column first.
        first = bisect_left(cells, cell)
        return first, bisect_left(cells, cell + 1, lo=first)

    def release(self) -> None:
        """Give the memory of rows that were read back to the system."""
        self._mapped.release()


def read_blocks(path: Path, count: int) -> Iterator[NDArray[np.void]]:
    """The first `count` rows of a file of INDEX, some at a time."""
    with path.open("rb", buffering=0) as file:
        for first in range(0, count, BLOCK):
            size = min(BLOCK, count - first)
            block = np.fromfile(file, INDEX, size)
            assert len(block) == size, f"{path} is shorter than what was committed"
            yield block
