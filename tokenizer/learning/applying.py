"""One merge: a new piece wherever its pair stands, and the pairs it makes with its neighbours.

The old pairs of all its neighbours lose what the new ones gain, so both are summed up for each
neighbour in arrays by id, and the hash table is asked once for every distinct neighbour, not for
every place.  New pairs below the floor are never entered; their places are not written either.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.pairs import add_pair, lower_count, make_key
from tokenizer.learning.stretch import can_pair, join, weigh

_NOWHERE = np.int64(-1)


class Side(NamedTuple):
    """Neighbours on one side of a new piece.

    Attributes:
        ids: of the neighbour, a place; 0 for none.
        counts, sizes: weight and number of places, a neighbouring id.
        starts: where the places of its pair go, or -1.
        distinct: neighbouring ids that occur.
    """

    ids: NDArray[np.int32]
    counts: NDArray[np.int64]
    sizes: NDArray[np.int32]
    starts: NDArray[np.int64]
    distinct: NDArray[np.int32]


class Scratch(NamedTuple):
    """Room for one merge.

    Attributes:
        places, weights: of the new piece.
        left, right: its neighbours.
    """

    places: NDArray[np.int32]
    weights: NDArray[np.int32]
    left: Side
    right: Side


def make_scratch(num_places: int, num_ids: int) -> Scratch:
    """Room for a merge at so many places, with so many ids."""

    def make_side() -> Side:
        return Side(
            np.empty(num_places, np.int32),
            np.zeros(num_ids, np.int64),
            np.zeros(num_ids, np.int32),
            np.zeros(num_ids, np.int64),
            np.empty(num_ids, np.int32),
        )

    return Scratch(
        np.empty(num_places, np.int32), np.empty(num_places, np.int32), make_side(), make_side()
    )


@njit(cache=True)
def apply_merge(text, pieces, pairs, scratch, entry, halves, limits):  # pyright: ignore
    """Merge a pair at all its places and enter the new pairs.

    Args:
        halves: ids of the left half, the right half and the new piece.
        limits: the longest piece, the lowest count that is entered.
    """
    size = _join_places(text, pieces, pairs, scratch, entry, halves)
    pairs.counts[entry] = 0
    lefts = _sum_up(text, scratch, scratch.left, size)
    rights = _sum_up(text, scratch, scratch.right, size)
    first, second, made = halves
    for left in scratch.left.distinct[:lefts]:
        lower_count(pairs, make_key(left, first), scratch.left.counts[left])
        _enter(pieces, pairs, scratch.left, left, (left, made), limits)
    for right in scratch.right.distinct[:rights]:
        before = first if right == made else right
        lower_count(pairs, make_key(second, before), scratch.right.counts[right])
        _enter(pieces, pairs, scratch.right, right, (made, right), limits)
    pairs.counts[entry] = 0
    _write_places(pieces, pairs, scratch, size)
    _clear(scratch.left, lefts)
    _clear(scratch.right, rights)
    return size


@njit(cache=True)
def _join_places(text, pieces, pairs, scratch, entry, halves):  # pyright: ignore
    """Join the halves, in order; a new piece just behind another is that one's right neighbour."""
    cells = text.cells
    first, second, made = halves
    length = np.int64(pieces.lengths[first])
    span = length + np.int64(pieces.lengths[second])
    begin, size = pairs.starts[entry], np.int64(0)
    lefts, rights = scratch.left.ids, scratch.right.ids
    for number in range(begin, begin + np.int64(pairs.sizes[entry])):
        at = np.int64(pairs.places[number])
        if cells[at, 0] != first or cells[at + length, 0] != second:
            continue
        join(cells, at, at + length, span, made)
        left = cells[at - 1, 0]
        if left == made:
            rights[size - 1], left = made, 0
        scratch.places[size], scratch.weights[size] = at, cells[at, 1]
        lefts[size], rights[size] = left, cells[at + span, 0]
        size += 1
    return size


@njit(cache=True)
def _sum_up(text, scratch, side, size):  # pyright: ignore
    """Sum up the weights and the places of each neighbour; returns how many there are."""
    distinct = 0
    for number in range(size):
        other = side.ids[number]
        if other > 0:
            if side.sizes[other] == 0:
                side.distinct[distinct] = other
                distinct += 1
            side.sizes[other] += 1
            side.counts[other] += weigh(text, scratch.weights[number])
    return distinct


@njit(cache=True)
def _enter(pieces, pairs, side, other, halves, limits):  # pyright: ignore
    left, right = halves
    side.starts[other] = _NOWHERE
    if side.counts[other] >= limits[1] and can_pair(pieces, left, right, limits[0]):
        key = make_key(left, right)
        side.starts[other] = add_pair(pairs, key, side.counts[other], side.sizes[other])


@njit(cache=True)
def _write_places(pieces, pairs, scratch, size):  # pyright: ignore
    left, right = scratch.left, scratch.right
    for number in range(size):
        at, other = scratch.places[number], left.ids[number]
        if other > 0 and left.starts[other] >= 0:
            pairs.places[left.starts[other]] = at - np.int32(pieces.lengths[other])
            left.starts[other] += 1
        other = right.ids[number]
        if other > 0 and right.starts[other] >= 0:
            pairs.places[right.starts[other]] = at
            right.starts[other] += 1


@njit(cache=True)
def _clear(side, distinct):  # pyright: ignore
    for other in side.distinct[:distinct]:
        side.counts[other] = 0
        side.sizes[other] = 0
