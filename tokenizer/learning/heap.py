"""A heap of pairs, the most frequent on top, corrected late; compiled.

A pair stands in the heap once, with a count that may have fallen since.  Only on top is the count
compared with the true one, and corrected.  The price is 12 bytes a pair.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_NONE = np.int64(-1)


class Heap(NamedTuple):
    """Entries of pairs, the best on top: the highest count, then the smallest key.

    Attributes:
        counts: as they were when the entry was put here.
        entries: numbers of the pairs.
        size: how many there are.
    """

    counts: NDArray[np.int64]
    entries: NDArray[np.int32]
    size: NDArray[np.int64]


def build_heap(counts: NDArray[np.int64], keys: NDArray[np.uint64], size: int) -> Heap:
    """A heap of the first `size` pairs, with room for as many as there is room for pairs."""
    heap = Heap(counts.copy(), np.arange(len(counts), dtype=np.int32), np.array([size]))
    _order(heap, keys)
    return heap


@njit(cache=True)
def _order(heap, keys):  # pyright: ignore
    for at in range(heap.size[0] // 2 - 1, -1, -1):
        _sink(heap, keys, at)


@njit(cache=True, inline="always")
def _is_better(heap, keys, at, count, entry):  # pyright: ignore
    if heap.counts[at] != count:
        return heap.counts[at] > count
    return keys[heap.entries[at]] < keys[entry]


@njit(cache=True)
def _sink(heap, keys, at):  # pyright: ignore
    count, entry, size = heap.counts[at], heap.entries[at], heap.size[0]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _is_better(
            heap, keys, child + 1, heap.counts[child], heap.entries[child]
        ):
            child += 1
        if not _is_better(heap, keys, child, count, entry):
            break
        heap.counts[at], heap.entries[at] = heap.counts[child], heap.entries[child]
        at = child
    heap.counts[at], heap.entries[at] = count, entry


@njit(cache=True)
def push(heap, keys, count, entry):  # pyright: ignore
    """Put an entry in that is not there."""
    at = heap.size[0]
    heap.size[0] = at + 1
    while at > 0:
        parent = (at - 1) // 2
        if _is_better(heap, keys, parent, count, entry):
            break
        heap.counts[at], heap.entries[at] = heap.counts[parent], heap.entries[parent]
        at = parent
    heap.counts[at], heap.entries[at] = count, entry


@njit(cache=True)
def find_best(heap, keys, counts, floor):  # pyright: ignore
    """The entry with the highest true count, left on top; -1 if none counts `floor`."""
    while heap.size[0] > 0:
        entry = heap.entries[0]
        count = counts[entry]
        if count >= floor and count == heap.counts[0]:
            return np.int64(entry)
        if count < floor:
            drop_best(heap, keys)
        else:
            heap.counts[0] = count
            _sink(heap, keys, 0)
    return _NONE


@njit(cache=True)
def drop_best(heap, keys):  # pyright: ignore
    """Take the entry on top out."""
    size = heap.size[0] - 1
    heap.size[0] = size
    if size > 0:
        heap.counts[0], heap.entries[0] = heap.counts[size], heap.entries[size]
        _sink(heap, keys, 0)
