"""Characters that are not ASCII (and what joins them): a block at a time, in three passes.

Code points become symbols, then every two neighbours are looked up, then the segments between
cuts are merged.  Kept apart, the look-ups wait for memory side by side and not for each other's
branches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus.hashing.bits import count_trailing_zeros
from corpus.hashing.code_points import decode, encode, measure
from tokenizer.encoding.compiled import kernel, part
from tokenizer.encoding.merging import SHORT, merge_long, merge_short
from tokenizer.encoding.pairs import JOINS, NEVER, look_up, symbol_of

BLOCK = 1024
"""Characters of a block."""

_i32, _u8, _u32, _u64 = np.int32, np.uint8, np.uint32, np.uint64
_0, _1, _2, _8, _BLOCK, _SHORT = (_u64(value) for value in (0, 1, 2, 8, BLOCK, SHORT))
_BLANK, _ASCII, _BYTE = _u32(0x20), _u8(0x80), _u64(0xFF)


@part
def take_block(
    tables: Any,
    room: Any,
    text: Any,
    at: Any,
    certain: Any,
    stop: Any,
    out: Any,
    count: Any,
    first: Any,
) -> Any:
    """Encode text[at:] up to a cut: at `stop`, or before an ASCII character that joins nothing.

    Args:
        room: arrays of BLOCK code points, symbols, answers and starts.
        certain: ASCII characters before it belong to the block.
        first: where in `out` the document begins.

    Returns:
        Where to go on, and how many ids there are now.
    """
    _codes, symbols, answers, starts = room
    size, after = _read_block(tables, room, text, at, certain, stop)
    for place in range(_1, size):
        here = _u64(place)
        answers[here - _1] = look_up(tables.pairs, symbols[here - _1], symbols[here])
    if size == _BLOCK and after < stop:
        size -= _1
        while size > _0 and answers[size - _1] != NEVER:
            size -= _1
        if size == _0:
            return take_long(tables, text, at, stop, out, count, first)
        after = _u64(starts[size])
    answers[size - _1] = NEVER
    return after, _encode_block(tables, room, size, out, count, first)


@part
def _read_block(tables: Any, room: Any, text: Any, at: Any, certain: Any, stop: Any) -> Any:
    """Code points, symbols and starts; returns how many, and where the next one begins."""
    codes, symbols, _answers, starts = room
    size = _0
    before = _u32(0)
    while at < stop and size < _BLOCK:
        length = measure(text[at])
        code = decode(text, at, length)
        if code == _BLANK:
            code = _u32(tables.blank)
        symbol = tables.symbol_C[_u64(code)]
        if length == _1 and at >= certain and look_up(tables.pairs, before, symbol) == NEVER:
            break
        codes[size], symbols[size], starts[size] = code, symbol, _u32(at)
        before = symbol
        size += _1
        at += length
    return size, at


@part
def _encode_block(tables: Any, room: Any, size: Any, out: Any, count: Any, first: Any) -> Any:
    """Encode the segments of a block of whole ones; returns how many ids there are now."""
    codes, symbols, answers, _starts = room
    start = _0
    while start < size:
        alone = answers[start] == NEVER
        if alone or (answers[start + _1] == NEVER and answers[start] < JOINS):
            # Nine of ten segments of Chinese; which of both is a coin toss, so no branch.
            symbol = symbols[start] if alone else _u32(symbol_of(answers[start]))
            count = emit(tables, out, count, first, symbol, codes[start])
            start += _1 + _u64(not alone)
            continue
        end = start
        while answers[end] != NEVER:
            end += _1
        length = end + _1 - start
        if length <= _SHORT:
            alive = merge_short(tables.pairs, symbols, answers, start, length)
            while alive:
                place = start + count_trailing_zeros(alive)
                alive &= alive - _1
                count = emit(tables, out, count, first, symbols[place], codes[place])
        else:
            count = _encode_long(tables, codes, symbols, answers, start, length, out, count, first)
        start = end + _1
    return count


@kernel
def _encode_long(
    tables: Any,
    codes: Any,
    symbols: Any,
    answers: Any,
    start: Any,
    length: Any,
    out: Any,
    count: Any,
    first: Any,
) -> Any:
    after = merge_long(tables.pairs, symbols, answers, start, length)
    place = _0
    while place < length:
        here = start + place
        count = emit(tables, out, count, first, symbols[here], codes[here])
        place = _u64(after[place])
    return count


@kernel
def take_long(tables: Any, text: Any, at: Any, stop: Any, out: Any, count: Any, first: Any) -> Any:
    """Encode one segment, however long it is; the same results as `take_block`."""
    size = _measure_segment(tables, text, at, stop)
    codes, symbols = np.empty(size, np.uint32), np.empty(size, np.uint32)
    answers = np.empty(size, np.uint64)
    for place in range(size):
        here = _u64(place)
        length = measure(text[at])
        code = decode(text, at, length)
        codes[here] = _u32(tables.blank) if code == _BLANK else code
        symbols[here] = tables.symbol_C[_u64(codes[here])]
        if here > _0:
            answers[here - _1] = look_up(tables.pairs, symbols[here - _1], symbols[here])
        at += length
    answers[size - _1] = NEVER
    return at, _encode_long(tables, codes, symbols, answers, _0, size, out, count, first)


@part
def _measure_segment(tables: Any, text: Any, at: Any, stop: Any) -> Any:
    """Characters up to the first cut."""
    size, before = _0, _u32(0)
    while at < stop:
        length = measure(text[at])
        symbol = symbol_at(tables, text, at, length)
        if size > _0 and look_up(tables.pairs, before, symbol) == NEVER:
            break
        before = symbol
        size += _1
        at += length
    return size


@part
def symbol_at(tables: Any, text: Any, at: Any, length: Any) -> Any:
    """The symbol of the character of `length` bytes at a place."""
    return tables.symbol_C[_u64(decode(text, at, length))]


@part
def emit(tables: Any, out: Any, count: Any, first: Any, symbol: Any, code: Any) -> Any:
    """Append the id of a symbol; of a character that has none, its bytes or the unknown piece."""
    if _u64(symbol) < _u64(tables.size):
        out[count] = _i32(symbol)
        return count + _1
    if tables.byte_B[_0] < _i32(0):
        if count == first or out[count - _1] != _i32(tables.unknown):
            out[count] = _i32(tables.unknown)
            count += _1
        return count
    value, length = encode(code)
    for _ in range(length):
        out[count] = tables.byte_B[value & _BYTE]
        value >>= _8
        count += _1
    return count
