"""Documents to ids, compiled.

A segment of ASCII (nearly always a word with the blank before it) of up to 16 bytes is looked up
as it stands in the text, in a table of words seen before: no code points, no merging.  The rest
goes to `segments`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus.hashing.bits import read_u64, write_u64
from corpus.hashing.code_points import measure
from tokenizer.encoding.compiled import kernel, part
from tokenizer.encoding.pairs import NEVER, look_up
from tokenizer.encoding.segments import BLOCK, emit, symbol_at, take_block
from tokenizer.encoding.users import find_user

SLOT = 16
"""int32 of a word that was seen before: 4 its bytes, 1 how many ids it has, from the 6th on those.

Bytes are filled up with 0, which no word holds: SentencePiece allows it in no piece.
"""

SLOT_BITS = 14
"""Bits of the number of words that are remembered, a megabyte of them."""

ROOM = 32
"""Ids that must fit behind the last one."""

_KEPT, _LONGEST = np.uint64(10), np.uint64(16)
_i32, _u8, _u32, _u64 = np.int32, np.uint8, np.uint32, np.uint64
_0, _1, _2, _4, _6, _7, _8, _64 = (_u64(value) for value in (0, 1, 2, 4, 6, 7, 8, 64))
_ALL, _NONE = _u64((1 << 64) - 1), _u64((1 << 64) - 1)
_MIX, _MIX2 = _u64(0x9E3779B97F4A7C15), _u64(0xD6E8FEB86659FD93)
_TOP = _u64(64 - SLOT_BITS)
_ASCII, _BLANK = _u8(0x80), _u8(0x20)


def make_words() -> np.ndarray:
    """An empty table of words."""
    return np.zeros(SLOT << SLOT_BITS, np.int32)


@kernel
def encode_documents(tables: Any, data: Any, offsets: Any, words: Any, out: Any, ends: Any) -> Any:
    """Ids of documents in a row.

    Args:
        data: uint8, UTF-8.
        offsets: int64, document i is data[offsets[i]:offsets[i + 1]].
        words: `make_words`, used by one call at a time.
        out: int32, room for the ids and ROOM more.
        ends: int64, filled with where the ids of each document end.
    """
    room = (
        np.empty(BLOCK, np.uint32),
        np.empty(BLOCK, np.uint32),
        np.empty(BLOCK + 1, np.uint64),
        np.empty(BLOCK, np.uint32),
    )
    longest = 0
    for number in range(len(ends)):
        longest = max(longest, offsets[number + 1] - offsets[number])
    text = np.empty(longest + 64, np.uint8)
    count = _0
    for number in range(len(ends)):
        stop = _copy(data, offsets[number], offsets[number + 1], tables.prefix, text)
        count = _encode(tables, room, words, text, stop, out, count)
        ends[number] = count


@part
def _copy(data: Any, start: Any, stop: Any, prefix: Any, text: Any) -> Any:
    """The document with a blank before it (an empty one stays empty); returns its length."""
    shift = _u64(prefix and stop > start)
    text[_0] = _BLANK
    for place in range(_u64(stop - start)):
        text[shift + _u64(place)] = data[_u64(start) + _u64(place)]
    return _u64(stop - start) + shift


@part
def _encode(tables: Any, room: Any, words: Any, text: Any, stop: Any, out: Any, count: Any) -> Any:
    """Append the ids of a document, cut at the pieces that a user defined."""
    first, start, user = count, _0, _i32(0)
    while user >= _i32(0):
        limit, user, after = _find_next_user(tables, text, start, stop)
        count = _take(tables, room, words, text, start, limit, out, count, first)
        if user >= _i32(0):
            out[count] = user
            count += _1
        start = after
    return count


@part
def _find_next_user(tables: Any, text: Any, at: Any, stop: Any) -> Any:
    """Where the next piece that a user defined begins, its id and its end; -1 if there is none."""
    if len(tables.users.id_N) == 1:
        return stop, _i32(-1), stop
    while at < stop:
        if tables.users.starts_B[text[at]]:
            user, after = find_user(tables, text, at, stop)
            if user >= _i32(0):
                return at, user, after
        at += measure(text[at])
    return stop, _i32(-1), stop


@part
def _take(
    tables: Any,
    room: Any,
    words: Any,
    text: Any,
    at: Any,
    stop: Any,
    out: Any,
    count: Any,
    first: Any,
) -> Any:
    """Append the ids of text[at:stop], which no piece reaches beyond; returns the new count."""
    # Without bytes an unknown character joins an unknown one before the word: ids depend on it.
    spells = tables.byte_B[_0] >= _i32(0)
    while at < stop:
        certain, limit, slot = at, stop, _NONE
        key0, key1 = _0, _0
        if text[at] < _ASCII:
            certain, joined = _find_end(tables, text, at, stop)
            length = certain - at
            if not joined:
                if length == _1:
                    code = _u32(tables.blank) if text[at] == _BLANK else _u32(text[at])
                    symbol = tables.symbol_C[_u64(text[at])]
                    count = emit(tables, out, count, first, symbol, code)
                    at = certain
                    continue
                limit = certain
                if length <= _LONGEST and spells:
                    key0, key1 = _read_key(text, at, length)
                    slot = _hash(key0, key1)
                    known = _recall(words, slot, key0, key1, out, count)
                    if known:
                        at, count = certain, count + known
                        continue
        before = count
        at, count = take_block(tables, room, text, at, certain, limit, out, count, first)
        if slot != _NONE:
            _remember(words, slot, key0, key1, out, before, count)
    return count


@part
def _find_end(tables: Any, text: Any, at: Any, stop: Any) -> Any:
    """Where the segment that starts with an ASCII character has its last ASCII character, plus 1;
    and whether it goes on beyond it."""
    before = _u64(text[at])
    end = at + _1
    while end < stop:
        byte = _u64(text[end])
        if byte >= _u64(0x80):
            left, length = tables.symbol_C[before], measure(text[end])
            right = symbol_at(tables, text, end, length)
            return end, look_up(tables.pairs, left, right) != NEVER
        if not tables.joins[(before << _7) | byte]:
            break
        before = byte
        end += _1
    return end, False


@part
def _read_key(text: Any, at: Any, length: Any) -> Any:
    """Up to 16 bytes as two words."""
    key0, key1 = read_u64(text, at), read_u64(text, at + _8)
    if length <= _8:
        return key0 & (_ALL >> (_64 - _8 * length)), _0
    return key0, key1 & (_ALL >> (_64 - _8 * (length - _8)))


@part
def _hash(key0: Any, key1: Any) -> Any:
    """Place of a word among those seen before."""
    mixed = (key0 ^ (key0 >> _u64(32))) * _MIX + key1 * _MIX2
    return (((mixed ^ (mixed >> _u64(29))) * _MIX) >> _TOP) * _u64(SLOT)


@part
def _recall(words: Any, slot: Any, key0: Any, key1: Any, out: Any, count: Any) -> Any:
    """Append the ids of a word seen before; returns how many, 0 where it is another word."""
    same = read_u64(words, slot) == key0 and read_u64(words, slot + _2) == key1
    if not same:
        return _0
    for step in (_0, _2):
        write_u64(out, count + step, read_u64(words, slot + _6 + step))
    known = _u64(words[slot + _4])
    if known > _4:
        for step in (_4, _6, _8):
            write_u64(out, count + step, read_u64(words, slot + _6 + step))
    return known


@part
def _remember(
    words: Any,
    slot: Any,
    key0: Any,
    key1: Any,
    out: Any,
    start: Any,
    count: Any,
) -> Any:
    """Keep a word unless it has many ids."""
    known = count - start
    if known > _KEPT or known == _0:
        return
    write_u64(words, slot, key0)
    write_u64(words, slot + _2, key1)
    words[slot + _4] = _i32(known)
    for place in range(known):
        words[slot + _6 + _u64(place)] = out[start + _u64(place)]
