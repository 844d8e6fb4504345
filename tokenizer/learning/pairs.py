"""Neighbouring pieces, counted by the text they make together; compiled.

SentencePiece merges two neighbours whenever their joined text is a piece, whichever way the text
falls into two.  So a pair is known here by its text (a 64-bit hash of it), not by its two halves.
Each position belongs to one pair at a time and the positions of a pair form a linked list, so that
leaving a pair costs O(1) and a merge touches only its own occurrences.  The best pair comes from a
heap with late corrections: an entry whose count has changed goes back with the true one.

The price is about 50 bytes a position, plus 60 a distinct pair that is alive.  Arrays are made as
large as they can ever get, but memory that is not written to is never taken.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.heap import drop_top, push
from tokenizer.learning.runs import hash_codes

_ONE = np.uint64(1)
_NONE = np.int32(-1)


class Symbols(NamedTuple):
    """Runs as pieces; a code 0 is a wall.  All arrays have one entry a character.

    Attributes:
        codes: code points.
        anchors: 1 where the character makes a piece safe for English text.
        weights: how often the run occurs.
        lengths: at the first character of a piece, its length.
        backs: at the last character of a piece, its length.
        slots: at the first character of a piece, the pair it makes with the next piece, or -1.
        nexts, previous: neighbours in the list of the pair's positions, or -1.
    """

    codes: NDArray[np.int32]
    anchors: NDArray[np.uint8]
    weights: NDArray[np.int32]
    lengths: NDArray[np.uint8]
    backs: NDArray[np.uint8]
    slots: NDArray[np.int32]
    nexts: NDArray[np.int32]
    previous: NDArray[np.int32]


class Pairs(NamedTuple):
    """The pairs that are alive, and the pieces made so far.

    Attributes:
        keys: hash of the text.
        counts: weighted number of positions.
        heads: first position of the list; in a free entry, the next free one.
        places, spans: where the text stands in `codes`, and its length.
        ranks: order of the piece with this text, or -1 while it is only a pair.
        queued: count it stands in the heap with, or -1.
        table: open-addressing table of entries by key.
        size: entries used so far, first free entry or -1.
    """

    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]
    heads: NDArray[np.int32]
    places: NDArray[np.int32]
    spans: NDArray[np.uint8]
    ranks: NDArray[np.int32]
    queued: NDArray[np.int64]
    table: NDArray[np.int32]
    size: NDArray[np.int64]


def make_symbols(
    codes: NDArray[np.int32],
    weights: NDArray[np.int32],
    anchors: NDArray[np.uint8],
    texts: NDArray[np.int32],
) -> Symbols:
    """Runs as single characters; `texts`, more code points between walls, follow behind them."""
    size = len(codes)
    return Symbols(
        codes=np.concatenate([codes, texts]),
        anchors=anchors,
        weights=weights,
        lengths=np.ones(size, np.uint8),
        backs=np.ones(size, np.uint8),
        slots=np.full(size, -1, np.int32),
        nexts=np.zeros(size, np.int32),
        previous=np.zeros(size, np.int32),
    )


def make_pairs(num_positions: int) -> Pairs:
    """An empty table for that many positions."""
    room, slots = num_positions + 16, 1 << (num_positions * 5 // 4 + 16).bit_length()
    return Pairs(
        keys=np.zeros(room, np.uint64),
        counts=np.zeros(room, np.int64),
        heads=np.zeros(room, np.int32),
        places=np.zeros(room, np.int32),
        spans=np.zeros(room, np.uint8),
        ranks=np.zeros(room, np.int32),
        queued=np.zeros(room, np.int64),
        table=np.full(slots, -1, np.int32),
        size=np.array([0, -1], np.int64),
    )


@njit(cache=True, inline="always")
def _home(key, mask):  # pyright: ignore
    return (key ^ (key >> np.uint64(29))) & mask


@njit(cache=True)
def find_pair(pairs, key):  # pyright: ignore
    """Entry of a key, or -1."""
    mask = np.uint64(len(pairs.table) - 1)
    place = _home(key, mask)
    while pairs.table[place] >= 0:
        if pairs.keys[pairs.table[place]] == key:
            return pairs.table[place]
        place = (place + _ONE) & mask
    return _NONE


@njit(cache=True)
def insert_pair(pairs, key, place, span):  # pyright: ignore
    """Entry of a key, made if there is none."""
    mask = np.uint64(len(pairs.table) - 1)
    slot = _home(key, mask)
    while pairs.table[slot] >= 0:
        if pairs.keys[pairs.table[slot]] == key:
            return pairs.table[slot]
        slot = (slot + _ONE) & mask
    entry = np.int32(pairs.size[1])
    if entry >= 0:
        pairs.size[1] = pairs.heads[entry]
    else:
        entry = np.int32(pairs.size[0])
        pairs.size[0] += 1
    pairs.table[slot] = entry
    pairs.keys[entry] = key
    pairs.counts[entry] = 0
    pairs.heads[entry] = pairs.ranks[entry] = _NONE
    pairs.places[entry] = place
    pairs.spans[entry] = span
    pairs.queued[entry] = -1
    return entry


@njit(cache=True)
def remove_pair(pairs, entry):  # pyright: ignore
    """Free an entry; what was pushed along by it in the table moves back."""
    mask = np.uint64(len(pairs.table) - 1)
    hole = _home(pairs.keys[entry], mask)
    while pairs.table[hole] != entry:
        hole = (hole + _ONE) & mask
    slot = hole
    while True:
        slot = (slot + _ONE) & mask
        other = pairs.table[slot]
        if other < 0:
            break
        if ((slot - _home(pairs.keys[other], mask)) & mask) >= ((slot - hole) & mask):
            pairs.table[hole] = other
            hole = slot
    pairs.table[hole] = _NONE
    pairs.heads[entry] = np.int32(pairs.size[1])
    pairs.size[1] = entry


@njit(cache=True)
def enter_pair(symbols, pairs, at, entry):  # pyright: ignore
    """Put a position on the list of a pair."""
    head = pairs.heads[entry]
    symbols.slots[at] = entry
    symbols.nexts[at] = head
    symbols.previous[at] = _NONE
    if head >= 0:
        symbols.previous[head] = at
    pairs.heads[entry] = at
    pairs.counts[entry] += symbols.weights[at]


@njit(cache=True)
def leave_pair(symbols, pairs, at):  # pyright: ignore
    """Take a position off its pair's list; a pair without positions is freed."""
    entry = symbols.slots[at]
    if entry < 0:
        return
    after, before = symbols.nexts[at], symbols.previous[at]
    if after >= 0:
        symbols.previous[after] = before
    if before >= 0:
        symbols.nexts[before] = after
    else:
        pairs.heads[entry] = after
    pairs.counts[entry] -= symbols.weights[at]
    symbols.slots[at] = _NONE
    if pairs.heads[entry] < 0 and pairs.ranks[entry] < 0:
        remove_pair(pairs, entry)


@njit(cache=True)
def hash_pair(symbols, at, longest):  # pyright: ignore
    """Length and hash of the text of a piece and the next; length 0 at a wall or if too long."""
    after = at + symbols.lengths[at]
    if symbols.codes[after] == 0:
        return 0, np.uint64(0)
    span = np.int64(symbols.lengths[at]) + np.int64(symbols.lengths[after])
    if span > longest:
        return 0, np.uint64(0)
    return span, hash_codes(symbols.codes, at, at + span)


@njit(cache=True)
def queue_pair(symbols, pairs, heap, entry, min_count):  # pyright: ignore
    """Put a pair into the heap, unless it is there with as high a count."""
    count = pairs.counts[entry]
    if count < min_count or count <= pairs.queued[entry] or pairs.ranks[entry] >= 0:
        return
    pairs.queued[entry] = count
    if heap.size[0] == len(heap.counts):
        _rebuild_heap(symbols, pairs, heap, min_count)
        return
    push(symbols, heap, count, pairs.keys[entry], pairs.places[entry], pairs.spans[entry])


@njit(cache=True)
def pop_best(symbols, pairs, heap, min_count):  # pyright: ignore
    """The best pair, taken from the heap; -1 if none occurs `min_count` times."""
    while heap.size[0] > 0:
        count, key = heap.counts[0], heap.keys[0]
        drop_top(symbols, heap)
        entry = find_pair(pairs, key)
        if entry < 0 or pairs.ranks[entry] >= 0 or pairs.queued[entry] != count:
            continue
        if pairs.counts[entry] == count:
            return entry
        pairs.queued[entry] = -1
        queue_pair(symbols, pairs, heap, entry, min_count)
    return _NONE


@njit(cache=True)
def _rebuild_heap(symbols, pairs, heap, min_count):  # pyright: ignore
    """Only the pairs that are alive (a free entry counts 0): at most half of the room."""
    heap.size[0] = 0
    for entry in range(pairs.size[0]):
        count = pairs.counts[entry]
        if pairs.ranks[entry] < 0 and count >= min_count:
            pairs.queued[entry] = count
            push(symbols, heap, count, pairs.keys[entry], pairs.places[entry], pairs.spans[entry])
