"""A heap of pairs, the most frequent on top; compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Heap(NamedTuple):
    """Candidates, the best on top: the highest count, then the smallest text."""

    counts: NDArray[np.int64]
    keys: NDArray[np.uint64]
    places: NDArray[np.int32]
    spans: NDArray[np.uint8]
    size: NDArray[np.int64]


def make_heap(num_positions: int) -> Heap:
    """An empty heap for that many positions."""
    room = 2 * num_positions + 16
    return Heap(
        counts=np.zeros(room, np.int64),
        keys=np.zeros(room, np.uint64),
        places=np.zeros(room, np.int32),
        spans=np.zeros(room, np.uint8),
        size=np.zeros(1, np.int64),
    )


@njit(cache=True)
def _is_better(symbols, heap, one, two):  # pyright: ignore
    if heap.counts[one] != heap.counts[two]:
        return heap.counts[one] > heap.counts[two]
    first, second = heap.places[one], heap.places[two]
    length = min(heap.spans[one], heap.spans[two])
    for step in range(length):
        a, b = symbols.codes[first + step], symbols.codes[second + step]
        if a != b:
            return a < b
    return heap.spans[one] < heap.spans[two]


@njit(cache=True)
def _swap(heap, one, two):  # pyright: ignore
    heap.counts[one], heap.counts[two] = heap.counts[two], heap.counts[one]
    heap.keys[one], heap.keys[two] = heap.keys[two], heap.keys[one]
    heap.places[one], heap.places[two] = heap.places[two], heap.places[one]
    heap.spans[one], heap.spans[two] = heap.spans[two], heap.spans[one]


@njit(cache=True)
def push(symbols, heap, count, key, place, span):  # pyright: ignore
    """Put a candidate in."""
    at = heap.size[0]
    heap.size[0] += 1
    heap.counts[at], heap.keys[at] = count, key
    heap.places[at], heap.spans[at] = place, span
    while at > 0 and _is_better(symbols, heap, at, (at - 1) // 2):
        _swap(heap, at, (at - 1) // 2)
        at = (at - 1) // 2


@njit(cache=True)
def drop_top(symbols, heap):  # pyright: ignore
    """Take the best candidate out."""
    heap.size[0] -= 1
    size = heap.size[0]
    _swap(heap, 0, size)
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _is_better(symbols, heap, child + 1, child):
            child += 1
        if not _is_better(symbols, heap, child, at):
            return
        _swap(heap, at, child)
        at = child
