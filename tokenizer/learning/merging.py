"""Byte-pair encoding of counted runs, continued piece by piece; compiled.

The runs are kept exactly as SentencePiece would segment them with the pieces so far.  A new piece
is merged wherever its text stands as two neighbours, leftmost first; a merge can put the text of
an older piece side by side, and that one is then merged at once, because its score is higher.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.heap import make_heap
from tokenizer.learning.pairs import (
    enter_pair,
    find_pair,
    hash_pair,
    insert_pair,
    leave_pair,
    make_pairs,
    make_symbols,
    pop_best,
    queue_pair,
)
from tokenizer.learning.runs import hash_codes

_CHUNK = 512
_WORST = np.int32(2**31 - 1)


@dataclass(frozen=True)
class Merge:
    """A piece that was learned and the weighted count of its pair at that moment."""

    text: str
    count: int


class Merger:
    """Learns pieces from runs.

    Args:
        codes: code points of the runs, with a 0 before, between and after them.
        weights: how often each position occurs.
        anchors: 1 at each position whose character makes a piece safe for English text.
        older: pieces of two characters or more that exist already, with the rank that orders them
            (lower is merged first; equal ranks: the leftmost).
        longest: characters of the longest piece that is learned.
        min_count: how often a pair must occur.
    """

    def __init__(
        self,
        codes: NDArray[np.int32],
        weights: NDArray[np.int32],
        anchors: NDArray[np.uint8],
        older: list[tuple[str, int]],
        *,
        longest: int,
        min_count: int,
    ) -> None:
        assert codes[0] == 0 and codes[-1] == 0
        self._limits = np.array(
            [longest, max([longest, *(len(text) for text, _ in older)]), min_count], np.int64
        )
        texts = _join_walled([text for text, _ in older])
        self._num_positions = len(codes)
        self._symbols = make_symbols(codes, weights, anchors, texts)
        self._pairs = make_pairs(len(codes) + len(texts))
        self._heap = make_heap(len(codes))
        self._next_rank = max((rank for _, rank in older), default=-1) + 1
        ranks = np.array([rank for _, rank in older], np.int32)
        _enter_older(self._symbols, self._pairs, self._num_positions, ranks)
        if older:
            _segment(self._symbols, self._pairs, self._num_positions, self._limits)
        _enter_runs(self._symbols, self._pairs, self._heap, self._num_positions, self._limits)

    def learn(self, num_pieces: int) -> Iterator[Merge]:
        """The next pieces, best first; fewer than asked for where the runs support no more."""
        buffers = np.empty((2, self._num_positions), np.int32)
        while num_pieces > 0:
            found = np.zeros((min(num_pieces, _CHUNK), 3), np.int64)
            size = _learn(
                self._symbols,
                self._pairs,
                self._heap,
                self._limits,
                self._next_rank,
                found,
                buffers,
            )
            for place, span, count in found[:size].tolist():
                text = "".join(map(chr, self._symbols.codes[place : place + span]))
                yield Merge(text, count)
            self._next_rank += size
            num_pieces = num_pieces - size if size == len(found) else 0

    def split(self) -> list[list[str]]:
        """The runs as they are segmented now (for tests and small input)."""
        lines: list[list[str]] = []
        at, symbols = 0, self._symbols
        while at < self._num_positions - 1:
            if symbols.codes[at] == 0:
                lines.append([])
            else:
                end = at + int(symbols.lengths[at])
                lines[-1].append("".join(map(chr, symbols.codes[at:end])))
            at += int(symbols.lengths[at])
        return [line for line in lines if line]


def _join_walled(texts: list[str]) -> NDArray[np.int32]:
    joined = "".join(text + "\0" for text in texts)
    return np.frombuffer(joined.encode("utf-32-le"), np.int32)


@njit(cache=True)
def _enter_older(symbols, pairs, begin, ranks):  # pyright: ignore
    for rank in ranks:
        end = begin
        while symbols.codes[end] != 0:
            end += 1
        key = hash_codes(symbols.codes, begin, end)
        pairs.ranks[insert_pair(pairs, key, begin, end - begin)] = rank
        begin = end + 1


@njit(cache=True)
def _segment(symbols, pairs, size, limits):  # pyright: ignore
    """Merge the older pieces in every run: the lowest rank first, then the leftmost."""
    begin = 1
    while begin < size:
        if symbols.codes[begin] != 0:
            while True:
                at = _find_lowest(symbols, pairs, begin, limits)
                if at < 0:
                    break
                _join(symbols, at)
        while begin < size and symbols.codes[begin] != 0:
            begin += symbols.lengths[begin]
        begin += 1


@njit(cache=True)
def _find_lowest(symbols, pairs, begin, limits):  # pyright: ignore
    best, found, at = _WORST, np.int64(-1), np.int64(begin)
    while symbols.codes[at] != 0:
        rank = _look(symbols, pairs, at, limits)[3]
        if rank < best:
            best, found = rank, at
        at += symbols.lengths[at]
    return found


@njit(cache=True)
def _look(symbols, pairs, at, limits):  # pyright: ignore
    """Span, key and entry of the pair that begins at a position, and its rank if it is a piece."""
    if at < 0:
        return 0, np.uint64(0), np.int32(-1), _WORST
    span, key = hash_pair(symbols, at, limits[1])
    if span == 0:
        return 0, key, np.int32(-1), _WORST
    entry = find_pair(pairs, key)
    rank = pairs.ranks[entry] if entry >= 0 and pairs.ranks[entry] >= 0 else _WORST
    return span, key, entry, rank


@njit(cache=True)
def _join(symbols, at):  # pyright: ignore
    length = symbols.lengths[at] + symbols.lengths[at + symbols.lengths[at]]
    symbols.lengths[at] = length
    symbols.backs[at + length - 1] = length


@njit(cache=True)
def _has_anchor(symbols, at, span):  # pyright: ignore
    for step in range(span):  # noqa: SIM110
        if symbols.anchors[at + step]:
            return True
    return False


@njit(cache=True)
def _enter(symbols, pairs, at, seen, limits):  # pyright: ignore
    """Count the pair that was seen at a position, if it may become a piece; returns its entry."""
    span, key, entry, _ = seen
    if span == 0 or span > limits[0] or not _has_anchor(symbols, at, span):
        return np.int32(-1)
    if entry < 0:
        entry = insert_pair(pairs, key, at, span)
    enter_pair(symbols, pairs, at, entry)
    return entry


@njit(cache=True)
def _enter_runs(symbols, pairs, heap, size, limits):  # pyright: ignore
    at = 0
    while at < size - 1:
        if symbols.codes[at] != 0:
            _enter(symbols, pairs, at, _look(symbols, pairs, at, limits), limits)
        at += symbols.lengths[at]
    for entry in range(pairs.size[0]):
        queue_pair(symbols, pairs, heap, entry, limits[2])


@njit(cache=True)
def _merge_at(symbols, pairs, at):  # pyright: ignore
    """Join a piece with the next one; both leave their pairs, and so does the one before."""
    before = _before(symbols, at)
    if before >= 0:
        leave_pair(symbols, pairs, before)
    leave_pair(symbols, pairs, at)
    leave_pair(symbols, pairs, at + symbols.lengths[at])
    _join(symbols, at)


@njit(cache=True)
def _before(symbols, at):  # pyright: ignore
    if symbols.codes[at - 1] == 0:
        return np.int64(-1)
    return np.int64(at) - np.int64(symbols.backs[at - 1])


@njit(cache=True)
def _settle(symbols, pairs, at, limits):  # pyright: ignore
    """After a merge: merge older pieces that stand side by side now, then count the new pairs.

    Returns the entries of the two new pairs, or -1.
    """
    at = np.int64(at)
    while True:
        before = _before(symbols, at)
        left = _look(symbols, pairs, before, limits)
        right = _look(symbols, pairs, at, limits)
        if left[3] == _WORST and right[3] == _WORST:
            break
        at = before if left[3] <= right[3] else at
        _merge_at(symbols, pairs, at)
    return (
        _enter(symbols, pairs, before, left, limits),
        _enter(symbols, pairs, at, right, limits),
    )


@njit(cache=True)
def _apply(symbols, pairs, entry, limits, buffers):  # pyright: ignore
    """Merge a new piece at all its positions, in order.

    Returns how many pairs, in `buffers[1]`, have become more frequent.
    """
    size, at = 0, pairs.heads[entry]
    while at >= 0:
        buffers[0, size] = at
        size += 1
        at = symbols.nexts[at]
    buffers[0, :size].sort()
    touched = 0
    for number in range(size):
        at = buffers[0, number]
        if symbols.slots[at] == entry:
            _merge_at(symbols, pairs, at)
            for other in _settle(symbols, pairs, at, limits):
                if other >= 0:
                    buffers[1, touched] = other
                    touched += 1
    return touched


@njit(cache=True)
def _learn(symbols, pairs, heap, limits, rank, found, buffers):  # pyright: ignore
    for number in range(len(found)):
        entry = pop_best(symbols, pairs, heap, limits[2])
        if entry < 0:
            return number
        found[number, 0] = pairs.places[entry]
        found[number, 1] = pairs.spans[entry]
        found[number, 2] = pairs.counts[entry]
        pairs.ranks[entry] = rank + number
        touched = _apply(symbols, pairs, entry, limits, buffers)
        for other in buffers[1, :touched]:
            queue_pair(symbols, pairs, heap, other, limits[2])
    return len(found)
