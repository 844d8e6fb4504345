"""Which pairs are worth listing, and where they stand; compiled.

Counts only fall, so a pair below the count of the last piece to be learned need never be listed.
That count is not known beforehand: the floor is a quarter of the count that as many pairs as
pieces are wanted reach now, and where learning gets down to it, the text as it is then is counted
anew with a lower one.  Counting needs room for every distinct pair, so it is done in parts by hash
where there are too many for one table of 256 MiB.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.pairs import (
    ENTRIES,
    PLACES,
    Pairs,
    add_pair,
    find_pair,
    hash_key,
    make_key,
    make_pairs,
)
from tokenizer.learning.stretch import Pieces, Text, can_pair, weigh

_MOST_SLOTS = 1 << 24
_SHARE = 4
_SPARE = 1024
_ONE = np.uint64(1)
_HIGH = np.uint64(48)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_STEPS = 16


def list_pairs(
    text: Text, pieces: Pieces, *, longest: int, wanted: int, floor: int, min_count: int
) -> tuple[Pairs, int]:
    """List the pairs that may be among the best `wanted`.

    Args:
        longest: characters of the longest pair.
        floor: the lowest count that is listed is below this one.
        min_count: and not below this one.

    Returns:
        The pairs, and the lowest count that is listed.
    """
    slots = min(1 << (2 * len(text.cells)).bit_length(), _MOST_SLOTS)
    table = np.zeros((slots, 2), np.int64)
    limits, parts = _Limits(longest, wanted, floor, min_count), 1
    while (found := _count_parts(text, pieces, table, parts, limits)) is None:
        parts *= 2
    del table
    pairs, lowest = found
    return _place(text, pieces, pairs), lowest


class _Limits(NamedTuple):
    longest: int
    wanted: int
    floor: int
    min_count: int


def _count_parts(
    text: Text, pieces: Pieces, table: NDArray[np.int64], parts: int, limits: _Limits
) -> tuple[NDArray[np.int64], int] | None:
    """Keys and counts, and the lowest of them; None where a part is too large for the table."""
    found, lowest = [], limits.min_count
    for part in range(parts):
        if not _count_pairs(text, pieces, limits.longest, part, parts, table):
            return None
        if part == 0:
            enough = int(_find_floor(table, max(limits.wanted // parts, 1))) // _SHARE
            lowest = max(min(enough, limits.floor - 1), limits.min_count)
        found.append(_select(table, lowest))
    return np.concatenate(found), lowest


@njit(cache=True)
def _count_pairs(text, pieces, longest, part, parts, table):  # pyright: ignore
    """Count the pairs of one part by hash; False if the table is too small for them."""
    table[:] = 0
    of, which, room = np.uint64(parts - 1), np.uint64(part), len(table) * 3 // 4
    cells, lengths = text.cells, pieces.lengths
    at, left = np.int64(1), cells[0, 0]
    while at < len(cells):
        right = cells[at, 0]
        if left > 0 and right > 0 and can_pair(pieces, left, right, longest):
            key = make_key(left, right)
            if (key * _MIX) >> _HIGH & of == which:
                room -= _count_key(table, np.int64(key), weigh(text, cells[at, 1]))
                if room < 0:
                    return False
        left = right
        at += np.int64(lengths[right])
    return True


@njit(cache=True, inline="always")
def _count_key(table, key, weight):  # pyright: ignore
    """Add to the count of a key; returns 1 if it is new."""
    mask = np.uint64(len(table) - 1)
    slot = hash_key(np.uint64(key), mask)
    while table[slot, 0] != key and table[slot, 0] != 0:
        slot = (slot + _ONE) & mask
    new = table[slot, 0] == 0
    table[slot, 0] = key
    table[slot, 1] += weight
    return np.int64(new)


@njit(cache=True)
def _find_floor(table, wanted):  # pyright: ignore
    """A count that at least `wanted` of the counts reach, to one part in 16; 0 if too few do."""
    classes = np.zeros(64 * _STEPS, np.int64)
    for count in table[:, 1]:
        if count > 0:
            classes[_classify(count)] += 1
    total = 0
    for place in range(len(classes) - 1, -1, -1):
        total += classes[place]
        if total >= wanted:
            power, step = np.int64(place // _STEPS), np.int64(place % _STEPS)
            return (np.int64(_STEPS + step) << power) // _STEPS
    return np.int64(0)


@njit(cache=True)
def _classify(count):  # pyright: ignore
    """A number that rises with the count: its power of two and sixteenths of it."""
    power = np.int64(0)
    while count >> (power + 1):
        power += 1
    fraction = (count << 4) >> power if power < 58 else count >> (power - 4)
    return power * _STEPS + fraction - _STEPS


@njit(cache=True)
def _select(table, lowest):  # pyright: ignore
    """The keys that count enough, and their counts."""
    size = 0
    for count in table[:, 1]:
        size += count >= lowest
    found = np.empty((size, 2), np.int64)
    size = 0
    for slot in range(len(table)):
        if table[slot, 1] >= lowest:
            found[size, 0], found[size, 1] = table[slot, 0], table[slot, 1]
            size += 1
    return found


def _place(text: Text, pieces: Pieces, found: NDArray[np.int64]) -> Pairs:
    """Pairs with their counts, and their places in the text."""
    pairs = make_pairs(len(found) * 2 + _SPARE, 0)
    _enter_all(pairs, found)
    _count_places(text, pieces, pairs)
    total = int(pairs.sizes.sum(dtype=np.int64))
    pairs = pairs._replace(places=np.empty(total + total // 2 + _SPARE, np.int32))
    _write_places(text, pieces, pairs)
    return pairs


@njit(cache=True)
def _enter_all(pairs, found):  # pyright: ignore
    for number in range(len(found)):
        add_pair(pairs, np.uint64(found[number, 0]), found[number, 1], 0)


@njit(cache=True)
def _count_places(text, pieces, pairs):  # pyright: ignore
    cells = text.cells
    at, left = np.int64(1), cells[0, 0]
    while at < len(cells):
        right = cells[at, 0]
        if left > 0 and right > 0:
            entry = find_pair(pairs, make_key(left, right))
            if entry >= 0:
                pairs.sizes[entry] += 1
        left = right
        at += np.int64(pieces.lengths[right])


@njit(cache=True)
def _write_places(text, pieces, pairs):  # pyright: ignore
    end = np.int64(0)
    for entry in range(pairs.used[ENTRIES]):
        pairs.starts[entry] = end
        end += pairs.sizes[entry]
        pairs.sizes[entry] = 0
    pairs.used[PLACES] = end
    cells = text.cells
    at, left = np.int64(1), cells[0, 0]
    while at < len(cells):
        right = cells[at, 0]
        if left > 0 and right > 0:
            entry = find_pair(pairs, make_key(left, right))
            if entry >= 0:
                place = pairs.starts[entry] + pairs.sizes[entry]
                pairs.places[place] = at - np.int64(pieces.lengths[left])
                pairs.sizes[entry] += 1
        left = right
        at += np.int64(pieces.lengths[right])
