"""UTF-8 becomes tokens: numbers of 64 bits, as `shingles` defines them.

Three ways through a text, each for what follows next: 64 bytes at once where they are ASCII, a loop
without a branch for characters of three bytes (Han, kana, full-width punctuation), and one code
point at a time for the rest.  Words that mix ASCII with other letters go the last way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus.compiled import kernel, part
from corpus.hashing.bits import (
    count_trailing_zeros,
    mask_words,
    multiply_fold,
    read_u32,
    read_u64,
)
from corpus.hashing.code_points import decode, encode, look_up, measure
from corpus.hashing.shingles import (
    CHARACTER,
    IGNORED,
    SEPARATOR,
    WORD,
    WORD_KEYS,
)

READ_PAST = 80
"""Blocks are read up to so many bytes from where a token starts."""

u8, u32, u64 = np.uint8, np.uint32, np.uint64

_0, _1, _3, _8, _15, _16, _32, _64 = (u64(value) for value in (0, 1, 3, 8, 15, 16, 32, 64))
_KEY0, _KEY1 = u64(WORD_KEYS[0]), u64(WORD_KEYS[1])
_LOWER = u64(0x2020202020202020)
_FOLDED = u32((1 << 24) - 1)
_CHARACTER, _WORD = u32(CHARACTER), u32(WORD)
_SEPARATOR, _IGNORED = u32(SEPARATOR), u32(IGNORED)
_LOW6, _S6, _S12, _S18, _S24 = u32(63), u32(6), u32(12), u32(18), u32(24)


@kernel
def tokenize(data: Any, start: Any, stop: Any, table: Any, tokens: Any) -> Any:
    """Fill `tokens` with the tokens of data[start:stop]; returns how many.

    There is room enough with half the bytes and 2.
    """
    return tokenize_piece(data, start, stop, stop, table, tokens, None)[0]


@part
def tokenize_piece(
    data: Any, start: Any, enough: Any, stop: Any, table: Any, tokens: Any, spans: Any
) -> Any:
    """Tokens from `start` on, until one ends at `enough` or after it.

    `spans`, where given, tells where each token comes from: of a word its place (from `start`) in
    the upper half and its length in the lower, 0 for a character.

    Returns:
        How many tokens, and where to go on.
    """
    at, end, num = u64(start), u64(stop), _0
    blocks = u64(max(data.shape[0], READ_PAST - 1) - (READ_PAST - 1))
    while at < u64(enough):
        if at < blocks and data[at] < u8(0x80):
            at, num = _take_ascii(data, at, end, table, tokens, spans, num, u64(start))
        elif at < blocks and data[at] >> u8(4) == u8(0xE):
            last = min(end, u64(enough) + u64(2))
            at, num = _take_three_bytes(data, at, last, end, table, tokens, spans, num, u64(start))
        else:
            at, num = _take_one(data, at, end, table, tokens, spans, num, u64(start))
    return num, at


@part
def _take_ascii(
    data: Any, at: Any, end: Any, table: Any, tokens: Any, spans: Any, num: Any, base: Any
) -> Any:
    """The words that end within 64 bytes, before the first byte that is not ASCII."""
    words, others = mask_words(data, at)
    limit = min(count_trailing_zeros(others), u64(end - at))
    if limit < _64:
        words &= u64((_1 << limit) - _1)
    starts, stops = words & ~(words << _1), ~words & (words << _1)
    is_cut = limit < _64 and (stops >> limit) & _1 and at + limit < end
    if is_cut and _goes_on(data, at + limit, end, table):
        stops ^= _1 << limit
    while stops:
        first, last = count_trailing_zeros(starts), count_trailing_zeros(stops)
        length = u64(last - first)
        tokens[num] = hash_ascii(data, at + first, length)
        if spans is not None:
            spans[num] = u64(u64(at + first - base) << _32) | length
        num += _1
        starts, stops = starts & u64(starts - _1), stops & u64(stops - _1)
    if not starts:
        return u64(at + limit), num
    first = count_trailing_zeros(starts)
    if first:
        return u64(at + first), num
    return _take_word(data, at, end, table, tokens, spans, num, base)


@part
def _take_three_bytes(
    data: Any,
    at: Any,
    last: Any,
    end: Any,
    table: Any,
    tokens: Any,
    spans: Any,
    num: Any,
    base: Any,
) -> Any:
    """Characters of three bytes, up to one that is not, that starts a word or goes past `last`."""
    before = at
    last = min(last, u64(data.shape[0]) - _1)
    while at + _3 <= last and data[at] >> u8(4) == u8(0xE):
        read = read_u32(data, at)
        code = ((read & u32(0xF)) << _S12) | ((read >> u32(2)) & u32(0xFC0))
        entry = table[code | ((read >> u32(16)) & _LOW6)]
        if entry >> _S24 == _WORD:
            break
        tokens[num] = u64(entry & _FOLDED)
        if spans is not None:
            spans[num] = _0
        num += u64(entry >> _S24 == _CHARACTER)
        at += _3
    if at == before:
        return _take_one(data, at, end, table, tokens, spans, num, base)
    return at, num


@part
def _take_one(
    data: Any, at: Any, end: Any, table: Any, tokens: Any, spans: Any, num: Any, base: Any
) -> Any:
    """Whatever comes; an incomplete character ends the text."""
    length = measure(data[at])
    if at + length > end:
        return end, num
    entry = look_up(table, decode(data, at, length))
    if entry >> _S24 == _WORD:
        return _take_word(data, at, end, table, tokens, spans, num, base)
    if entry >> _S24 == _CHARACTER:
        tokens[num] = u64(entry & _FOLDED)
        if spans is not None:
            spans[num] = _0
        num += _1
    return u64(at + length), num


@part
def _take_word(
    data: Any, at: Any, end: Any, table: Any, tokens: Any, spans: Any, num: Any, base: Any
) -> Any:
    """A word of any letters and marks: 16 bytes of its folded UTF-8 at a time."""
    before, state, low, high, filled = at, _0, _0, _0, _0
    while at < end:
        length = measure(data[at])
        if at + length > end:
            break
        entry = look_up(table, decode(data, at, length))
        if entry >> _S24 == _SEPARATOR or entry >> _S24 == _CHARACTER:
            break
        at += length
        if entry >> _S24 == _IGNORED:
            continue
        encoded, size = encode(entry & _FOLDED)
        for _ in range(size):
            byte = encoded & u64(0xFF)
            encoded >>= _8
            low |= (byte << (filled << _3)) if filled < _8 else _0
            high |= (byte << ((filled & u64(7)) << _3)) if filled >= _8 else _0
            filled += _1
            if filled == _16:
                state = multiply_fold(low ^ _KEY0 ^ state, high ^ _KEY1)
                low, high, filled = _0, _0, _0
    if filled:
        state = multiply_fold(low ^ _KEY0 ^ state, high ^ _KEY1)
    tokens[num] = state
    if spans is not None:
        spans[num] = u64(u64(before - base) << _32) | u64(at - before)
    return at, u64(num + _1)


@part
def hash_ascii(data: Any, at: Any, length: Any) -> Any:
    """Hash of an ASCII word; up to 16 bytes after it are read."""
    state = _0
    while length > _15:
        low, high = read_u64(data, at) | _LOWER, read_u64(data, at + _8) | _LOWER
        state = multiply_fold(low ^ _KEY0 ^ state, high ^ _KEY1)
        at, length = at + _16, length - _16
        if length == _0:
            return state
    # With this bit set digits stay what they are and letters become small.
    low, high = read_u64(data, at) | _LOWER, read_u64(data, at + _8) | _LOWER
    low &= ~_0 >> u64(_64 - (min(length, _8) << _3))
    high &= u64((_1 << u64((max(length, _8) - _8) << _3)) - _1)
    return multiply_fold(low ^ _KEY0 ^ state, high ^ _KEY1)


@part
def _goes_on(data: Any, at: Any, end: Any, table: Any) -> Any:
    """Whether a word goes on with the character at `at`."""
    length = measure(data[at])
    kind = look_up(table, decode(data, at, length)) >> _S24
    return at + length > end or (kind != _SEPARATOR and kind != _CHARACTER)
