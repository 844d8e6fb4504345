"""Pairs of neighbouring pieces that are frequent enough, with their places; compiled.

A pair is known by the ids of its halves.  All its places come into being at once, when the younger
half is made; from then on its count only falls.  So the places are one plain slice, written once,
never linked and never corrected: a place that no longer holds shows it by its ids (see `stretch`),
and leaving a pair is a subtraction.  A pair below the floor can be dropped for good.

The price is 28 bytes a pair, 8 to 16 of the hash table, and 4 bytes a place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.heap import Heap, build_heap

ENTRIES, PLACES = 0, 1
_EMPTY = np.int32(-1)
_NONE = np.int64(-1)
_SHIFT = np.uint64(32)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)


class Pairs(NamedTuple):
    """Pairs in the order they were made in; those that are merged count 0.

    Attributes:
        keys: ids of the left and the right half, 32 bits each.
        counts: weighted number of places that still hold.
        starts, sizes: the slice of `places`; its positions rise.
        table: open-addressing table of entries by key.
        places: where the pair stood when it was made: first positions of the left halves.
        used: entries, places.
    """

    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int32]
    table: NDArray[np.int32]
    places: NDArray[np.int32]
    used: NDArray[np.int64]


def make_pairs(entries: int, places: int) -> Pairs:
    """Room for so many pairs and places."""
    return Pairs(
        keys=np.zeros(entries, np.uint64),
        counts=np.zeros(entries, np.int64),
        starts=np.zeros(entries, np.int64),
        sizes=np.zeros(entries, np.int32),
        table=np.full(1 << (2 * entries).bit_length(), _EMPTY, np.int32),
        places=np.empty(places, np.int32),
        used=np.zeros(2, np.int64),
    )


@njit(cache=True, inline="always")
def make_key(left, right):  # pyright: ignore
    """The key of a pair."""
    return (np.uint64(left) << _SHIFT) | np.uint64(right)


@njit(cache=True, inline="always")
def hash_key(key, mask):  # pyright: ignore
    """Where to begin looking for a key in a table of `mask` + 1 slots, at most 2^32."""
    return ((key * _FACTOR) >> _SHIFT) & mask


@njit(cache=True)
def find_pair(pairs, key):  # pyright: ignore
    """The entry of a pair, or -1."""
    mask = np.uint64(len(pairs.table) - 1)
    slot = hash_key(key, mask)
    while pairs.table[slot] >= 0:
        if pairs.keys[pairs.table[slot]] == key:
            return np.int64(pairs.table[slot])
        slot = (slot + _ONE) & mask
    return _NONE


@njit(cache=True)
def lower_count(pairs, key, weight):  # pyright: ignore
    """Take a weight off a pair's count, if it is known."""
    entry = find_pair(pairs, key)
    if entry >= 0:
        pairs.counts[entry] -= weight


@njit(cache=True)
def add_pair(pairs, key, count, size):  # pyright: ignore
    """Enter a pair that is not there; returns where its places go."""
    entry, start = pairs.used[ENTRIES], pairs.used[PLACES]
    pairs.keys[entry], pairs.counts[entry] = key, count
    pairs.starts[entry], pairs.sizes[entry] = start, size
    _enter(pairs, entry)
    pairs.used[ENTRIES] = entry + 1
    pairs.used[PLACES] = start + size
    return start


@njit(cache=True)
def _enter(pairs, entry):  # pyright: ignore
    mask = np.uint64(len(pairs.table) - 1)
    slot = hash_key(pairs.keys[entry], mask)
    while pairs.table[slot] >= 0:
        slot = (slot + _ONE) & mask
    pairs.table[slot] = entry


def make_room(pairs: Pairs, floor: int, entries: int, places: int) -> tuple[Pairs, Heap]:
    """Room for so many more, after dropping what can never be merged.

    Args:
        floor: pairs that count less are dropped.

    Returns:
        The pairs, numbered anew, and a heap of them.
    """
    _compact(pairs, floor)
    wanted, room = int(pairs.used[ENTRIES]) + entries, int(pairs.used[PLACES]) + places
    if wanted > len(pairs.keys) * 3 // 4:
        larger = make_pairs(2 * wanted, 0)
        for old, new in zip(pairs[:4], larger[:4], strict=True):
            new[: len(old)] = old
        pairs = larger._replace(places=pairs.places, used=pairs.used)
    if room > len(pairs.places) * 3 // 4:
        longer = np.empty(room + room // 2, np.int32)
        longer[: pairs.used[PLACES]] = pairs.places[: pairs.used[PLACES]]
        pairs = pairs._replace(places=longer)
    _reindex(pairs)
    return pairs, build_heap(pairs.counts, pairs.keys, int(pairs.used[ENTRIES]))


@njit(cache=True)
def _compact(pairs, floor):  # pyright: ignore
    kept = end = np.int64(0)
    for entry in range(pairs.used[ENTRIES]):
        if pairs.counts[entry] < floor:
            continue
        start, size = pairs.starts[entry], np.int64(pairs.sizes[entry])
        for step in range(size):
            pairs.places[end + step] = pairs.places[start + step]
        pairs.keys[kept], pairs.counts[kept] = pairs.keys[entry], pairs.counts[entry]
        pairs.starts[kept], pairs.sizes[kept] = end, size
        kept, end = kept + 1, end + size
    pairs.used[ENTRIES], pairs.used[PLACES] = kept, end


@njit(cache=True)
def _reindex(pairs):  # pyright: ignore
    pairs.table[:] = _EMPTY
    for entry in range(pairs.used[ENTRIES]):
        _enter(pairs, entry)
