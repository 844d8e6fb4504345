"""Tokens become bytes again: the folded text that hashes of bytes are taken of.

Piece by piece of it is what `shingles.join_shingle` makes of a shingle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus.compiled import part
from corpus.hashing.bits import read_u64, write_u32, write_u64
from corpus.hashing.code_points import decode, encode, look_up, measure
from corpus.hashing.shingles import IGNORED

u8, u32, u64 = np.uint8, np.uint32, np.uint64

_0, _1, _3, _8, _16, _32, _64 = (u64(value) for value in (0, 1, 3, 8, 16, 32, 64))
_LOWER, _HIGH_BITS = u64(0x2020202020202020), u64(0x8080808080808080)
_LOW_HALF = u64(0xFFFFFFFF)
_IGNORED, _FOLDED, _S24 = u32(IGNORED), u32((1 << 24) - 1), u32(24)


@part
def join_tokens(
    data: Any, start: Any, table: Any, tokens: Any, spans: Any, count: Any, joined: Any, ends: Any
) -> Any:
    """The folded text: a space between two words, nothing elsewhere; spans become starts.

    `joined` has room for twice the bytes of the text and 64.  ends[i] becomes the end of token i.
    """
    at, after_word = _0, False
    for i in range(count):
        begin, length = u64(start) + (spans[i] >> _32), spans[i] & _LOW_HALF
        if length == _0:
            encoded, size = encode(u32(tokens[i]))
            write_u32(joined, at, u32(encoded))
            spans[i], at, after_word = at, u64(at + size), False
        else:
            joined[at] = u8(32)
            at += u64(after_word)
            spans[i], after_word = at, True
            at = _fold_word(data, begin, length, table, joined, at)
        ends[i] = at
    return at


@part
def _fold_word(data: Any, at: Any, length: Any, table: Any, joined: Any, out: Any) -> Any:
    if length < _16 and at + _16 <= u64(data.shape[0]):
        low, high = read_u64(data, at), read_u64(data, at + _8)
        mine = low & (~_0 >> u64(_64 - (min(length, _8) << _3)))
        mine |= high & u64((_1 << u64((max(length, _8) - _8) << _3)) - _1)
        if mine & _HIGH_BITS == _0:
            write_u64(joined, out, low | _LOWER)
            write_u64(joined, out + _8, high | _LOWER)
            return u64(out + length)
    end = u64(at + length)
    while at < end:
        size = measure(data[at])
        entry = look_up(table, decode(data, at, size))
        at += size
        if entry >> _S24 != _IGNORED:
            encoded, size = encode(entry & _FOLDED)
            write_u32(joined, out, u32(encoded))
            out += size
    return out
