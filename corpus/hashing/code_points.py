"""Code points inside kernels: UTF-8 to number and back, and what kind a code point is."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus.compiled import part
from corpus.hashing.shingles import CHARACTER, LAST_HAN, TABLE_SIZE

u8, u32, u64 = np.uint8, np.uint32, np.uint64

_1, _3, _8, _16 = u64(1), u64(3), u64(8), u64(16)
_TABLE_SIZE, _LAST_HAN, _CHARACTER = u32(TABLE_SIZE), u32(LAST_HAN), u32(CHARACTER)
_LOW6, _S6, _S12, _S18, _S24 = u32(63), u32(6), u32(12), u32(18), u32(24)


@part
def measure(first: Any) -> Any:
    """Bytes of the character that starts with this one."""
    return _1 + u64(first >= u8(0xC0)) + u64(first >= u8(0xE0)) + u64(first >= u8(0xF0))


@part
def decode(data: Any, at: Any, length: Any) -> Any:
    """The code point of `length` bytes of UTF-8."""
    first = u32(data[at])
    if length == _1:
        return first
    second = u32(data[at + _1]) & _LOW6
    if length == u64(2):
        return u32(((first & u32(31)) << _S6) | second)
    third = u32(data[at + u64(2)]) & _LOW6
    if length == _3:
        return u32(((first & u32(15)) << _S12) | (second << _S6) | third)
    fourth = u32(data[at + _3]) & _LOW6
    return u32(((first & u32(7)) << _S18) | (second << _S12) | (third << _S6) | fourth)


@part
def encode(code: Any) -> Any:
    """UTF-8 of a code point, the first byte lowest, and its length."""
    last = u64(u32(0x80) | (code & _LOW6))
    if code < u32(0x80):
        return u64(code), _1
    third = u64(u32(0x80) | ((code >> _S6) & _LOW6))
    if code < u32(0x800):
        return u64(u32(0xC0) | (code >> _S6)) | (last << _8), u64(2)
    second = u64(u32(0x80) | ((code >> _S12) & _LOW6))
    if code < u32(0x10000):
        return u64(u32(0xE0) | (code >> _S12)) | (third << _8) | (last << _16), _3
    rest = (second << _8) | (third << _16) | (last << u64(24))
    return u64(u32(0xF0) | (code >> _S18)) | rest, u64(4)


@part
def look_up(table: Any, code: Any) -> Any:
    """Kind (from bit 24) and folded code point, from `character_table` and beyond it."""
    if code < _TABLE_SIZE:
        return table[code]
    return u32((_CHARACTER << _S24) | code) if code <= _LAST_HAN else u32(0)
