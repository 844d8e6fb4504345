"""A merge that wakes older pieces: place by place, with no short cuts; rare.

Behind each new piece the older ones that have become possible are merged at once, the lowest rank
first, for their score is higher; only then comes the next place.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.pairs import Pairs, add_pair, lower_count, make_key
from tokenizer.learning.stretch import Pieces, Text, can_pair, join, weigh

_WORST = np.int64(2**62)


def apply_waking(
    text: Text,
    pieces: Pieces,
    pairs: Pairs,
    entry: int,
    halves: tuple[int, int, int],
    rules: NDArray[np.int64],
    limits: NDArray[np.int64],
) -> None:
    """Merge a pair at all its places and the older pieces that this wakes; enter the new pairs.

    Args:
        entry: the pair.
        halves: ids of the left half, the right half and the new piece.
        rules: (older pieces, 4): ids of the halves and of the piece, rank.
        limits: the longest piece, the lowest count that is entered.
    """
    size = int(pairs.sizes[entry])
    places = np.empty(size, np.int64)
    size = _merge_places(text, pieces, pairs, entry, halves, rules, places)
    pairs.counts[entry] = 0
    _enter_pairs(text, pieces, pairs, _find_new_pairs(text, pieces, places[:size]), limits)


@njit(cache=True)
def _merge_places(text, pieces, pairs, entry, halves, rules, places):  # pyright: ignore
    """Returns how many pieces were made; the last position of each is in `places`."""
    first, second, made = halves
    length, begin, size = np.int64(pieces.lengths[first]), pairs.starts[entry], 0
    for number in range(begin, begin + np.int64(pairs.sizes[entry])):
        at = np.int64(pairs.places[number])
        if text.cells[at, 0] != first or text.cells[at + length, 0] != second:
            continue
        _join_at(text, pieces, pairs, at, made)
        at = _settle(text, pieces, pairs, at, rules)
        places[size] = at + np.int64(pieces.lengths[text.cells[at, 0]]) - 1
        size += 1
    return size


@njit(cache=True)
def _settle(text, pieces, pairs, at, rules):  # pyright: ignore
    """Merge what has become possible around a new piece; returns where the result begins."""
    while True:
        here = text.cells[at, 0]
        before = text.cells[at - 1, 0]
        after = text.cells[at + np.int64(pieces.lengths[here]), 0]
        left, right = _find_rule(rules, before, here), _find_rule(rules, here, after)
        if left < 0 and right < 0:
            return at
        if right < 0 or (left >= 0 and rules[left, 3] <= rules[right, 3]):
            at -= np.int64(pieces.lengths[before])
            _join_at(text, pieces, pairs, at, rules[left, 2])
        else:
            _join_at(text, pieces, pairs, at, rules[right, 2])


@njit(cache=True)
def _find_rule(rules, left, right):  # pyright: ignore
    for rule in range(len(rules)):
        if rules[rule, 0] == left and rules[rule, 1] == right:
            return rule
    return -1


@njit(cache=True)
def _join_at(text, pieces, pairs, at, made):  # pyright: ignore
    """Join a piece with the next one; their pairs, with each other and around, count less."""
    cells, lengths = text.cells, pieces.lengths
    left = cells[at, 0]
    middle = at + np.int64(lengths[left])
    right = cells[middle, 0]
    span = np.int64(lengths[left]) + np.int64(lengths[right])
    weight = weigh(text, cells[at, 1])
    lower_count(pairs, make_key(cells[at - 1, 0], left), weight)
    lower_count(pairs, make_key(left, right), weight)
    lower_count(pairs, make_key(right, cells[at + span, 0]), weight)
    join(cells, at, middle, span, np.int32(made))


def _find_new_pairs(text: Text, pieces: Pieces, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the pairs around new pieces begin, each once, in order.

    Args:
        ends: positions that were the last of a new piece; it may have been absorbed since.
    """
    ids, lengths = text.cells[:, 0], pieces.lengths.astype(np.int64)
    ends = np.unique(ends[ids[ends] > 0])
    begins = ends - lengths[ids[ends]] + 1
    before = begins[ids[begins - 1] > 0]
    before -= lengths[ids[before - 1]]
    return np.unique(np.concatenate([before, begins[ids[ends + 1] > 0]]))


def _enter_pairs(
    text: Text, pieces: Pieces, pairs: Pairs, places: NDArray[np.int64], limits: NDArray[np.int64]
) -> None:
    left = text.cells[places, 0].astype(np.uint64)
    right = text.cells[places + pieces.lengths[left], 0].astype(np.uint64)
    keys, which = np.unique(left << np.uint64(32) | right, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(keys) + 1))
    for number, key in enumerate(keys):
        members = places[order[ends[number] : ends[number + 1]]]
        _enter_pair(text, pieces, pairs, key, members, limits)


@njit(cache=True)
def _enter_pair(text, pieces, pairs, key, members, limits):  # pyright: ignore
    left, right = key >> np.uint64(32), key & np.uint64(0xFFFFFFFF)
    if not can_pair(pieces, left, right, limits[0]):
        return
    count = np.int64(0)
    for at in members:
        count += weigh(text, text.cells[at, 1])
    if count >= limits[1]:
        start = add_pair(pairs, key, count, len(members))
        for number in range(len(members)):
            pairs.places[start + number] = members[number]
