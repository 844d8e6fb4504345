"""Merge the symbols of one segment as SentencePiece does: best rank first, leftmost among equals.

Segments are short, a few characters: up to 64 the living symbols and the pairs that can merge are
bits of a word, and the best is found by looking at all.  Longer ones (a line of `=`, base64) take a
heap, so that the time is that of sorting whatever the length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from corpus.hashing.bits import count_trailing_zeros, instruction
from tokenizer.encoding.compiled import kernel, part
from tokenizer.encoding.pairs import JOINS, look_up, rank_of, symbol_of

SHORT = 64
"""Symbols of a segment that is merged with bits."""

_u32, _u64 = np.uint32, np.uint64
_0, _1, _2, _63 = (_u64(value) for value in (0, 1, 2, 63))
_ALL = _u64((1 << 64) - 1)
_S32 = _u64(32)


@instruction
def count_leading_zeros(typing_context: Any, value: Any) -> Any:
    """count_leading_zeros(value): 63 less the place of the highest bit; 64 where there is none."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.ctlz(given[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@part
def merge_short(pairs: Any, symbols: Any, answers: Any, start: Any, size: Any) -> Any:
    """Merge symbols[start : start + size] in place, at most 64.

    `answers` holds what `look_up` says of each symbol and the next one; it is spoiled.

    Returns:
        Bits of the symbols that are left, from `start` on.
    """
    alive = _ALL >> (_u64(64) - size)
    open_ = _0
    for place in range(size - _1):
        open_ |= _u64(answers[start + _u64(place)] < JOINS) << _u64(place)
    while open_:
        at = _find_best(answers, start, open_)
        symbol = symbol_of(answers[start + at])
        symbols[start + at] = _u32(symbol)
        after = count_trailing_zeros(alive & (_ALL << at << _1))
        alive ^= _1 << after
        open_ &= ~((_1 << after) | (_1 << at))
        later = alive & (_ALL << after << _1) if after < _63 else _0
        if later:
            right = symbols[start + count_trailing_zeros(later)]
            answer = look_up(pairs, symbol, right)
            answers[start + at] = answer
            open_ |= _u64(answer < JOINS) << at
        before = alive & ~(_ALL << at)
        if before:
            place = _63 - count_leading_zeros(before)
            answer = look_up(pairs, symbols[start + place], symbol)
            answers[start + place] = answer
            open_ = (open_ & ~(_1 << place)) | (_u64(answer < JOINS) << place)
    return alive


@part
def _find_best(answers: Any, start: Any, open_: Any) -> Any:
    """The place with the lowest rank among those whose bit is set; the first of equals."""
    at = count_trailing_zeros(open_)
    best = rank_of(answers[start + at])
    rest = open_ & (open_ - _1)
    while rest:
        place = count_trailing_zeros(rest)
        rest &= rest - _1
        rank = rank_of(answers[start + place])
        if rank < best:
            best, at = rank, place
    return at


@kernel
def merge_long(pairs: Any, symbols: Any, answers: Any, start: Any, size: Any) -> Any:
    """Merge symbols[start : start + size] in place, whatever their number (below 2^32).

    Returns:
        uint32: for each symbol the place of the next one that is left, `size` at the end.
    """
    heap = np.empty(_2 * size, np.uint64)
    after = np.empty(size, np.uint32)
    before = np.empty(size, np.uint32)
    count = _0
    for place in range(size):
        here = _u64(place)
        after[here], before[here] = _u32(here + _1), _u32(here - _1)
        if here + _1 < size and answers[start + here] < JOINS:
            heap[count] = (rank_of(answers[start + here]) << _S32) | here
            count = _sift_up(heap, count)
    while count:
        top = heap[_0]
        count = _drop_top(heap, count)
        at = top & _u64(0xFFFFFFFF)
        answer = answers[start + at]
        if answer >= JOINS or rank_of(answer) != top >> _S32:
            continue
        symbol = symbol_of(answer)
        symbols[start + at] = _u32(symbol)
        gone = _u64(after[at])
        answers[start + gone] = JOINS
        answers[start + at] = JOINS
        following = _u64(after[gone])
        after[at] = _u32(following)
        if following < size:
            before[following] = _u32(at)
            answers[start + at] = look_up(pairs, symbol, symbols[start + following])
            if answers[start + at] < JOINS:
                heap[count] = (rank_of(answers[start + at]) << _S32) | at
                count = _sift_up(heap, count)
        if at > _0:
            place = _u64(before[at])
            answers[start + place] = look_up(pairs, symbols[start + place], symbol)
            if answers[start + place] < JOINS:
                heap[count] = (rank_of(answers[start + place]) << _S32) | place
                count = _sift_up(heap, count)
    return after


@part
def _sift_up(heap: Any, count: Any) -> Any:
    """Put the entry at `count` where it belongs; returns the new count."""
    value, at = heap[count], count
    while at > _0:
        parent = (at - _1) >> _1
        if heap[parent] <= value:
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = value
    return count + _1


@part
def _drop_top(heap: Any, count: Any) -> Any:
    """Take the lowest entry away; returns the new count."""
    count -= _1
    value, at = heap[count], _0
    child = _1
    while child < count:
        if child + _1 < count and heap[child + _1] < heap[child]:
            child += _1
        if heap[child] >= value:
            break
        heap[at] = heap[child]
        at, child = child, _2 * child + _1
    heap[at] = value
    return count
