"""What a text is written in: its characters counted by class, and Han characters by script.

What a character counts for stands in a table of planes 0 and 1: a step of one in one of eight
counters that share a word.  The word is emptied before a counter can run into its neighbour, and
eight bytes of ASCII at a time are looked up without decoding.  About 800 MB of Chinese and 1,600 MB
of English text a second and core.

Simplified and traditional come from the standard library alone: a Han character that GB 2312 has
and Big5 has not exists only in simplified script (2,380 of them), the reverse only in traditional
(8,678).  The price: Big5 is twice as large, so a rare character that both scripts share (囧) passes
for traditional; one that neither has (镕, 堃) and one that both have (后, 里, 体, though simplified
text uses them for more) counts for neither.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from corpus.hashing.signatures import Column, string_buffers

CLASSES = ("han", "kana_hangul", "latin", "digits", "punctuation", "space", "other")
"""Every character is in exactly one: letters of these scripts (with kana's and Hangul's marks),
decimal digits of any script, punctuation with mathematical, currency and modifier symbols, white
space as `str.isspace` has it, and the rest (other letters, marks, emoji, control characters)."""

COUNTS = ("characters", *CLASSES, "simplified", "traditional")

_HAN, _SIMPLIFIED, _TRADITIONAL, _KANA_HANGUL, _LATIN, _DIGIT, _PUNCTUATION, _SPACE, _OTHER = range(
    9
)
_FIELDS = 8
"""Counters of a word; `_OTHER` has none and is what remains."""

_TABLE_SIZE, _LAST_HAN = 0x20000, 0x3FFFF
_Ranges = Sequence[tuple[int, int]]
_HAN_RANGES: _Ranges = (
    (0x2E80, 0x2E9A), (0x2E9B, 0x2EF4), (0x2F00, 0x2FD6), (0x3005, 0x3006), (0x3007, 0x3008),
    (0x3021, 0x302A), (0x3038, 0x303C), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFA6E),
    (0xFA70, 0xFADA),
)  # fmt: skip
_KANA_HANGUL_RANGES: _Ranges = (
    (0x1100, 0x1200), (0x302E, 0x3030), (0x3031, 0x3036), (0x3040, 0x3100), (0x3130, 0x3190),
    (0x31F0, 0x3200), (0xA960, 0xA980), (0xAC00, 0xD800), (0xFF66, 0xFFDD), (0x1AFF0, 0x1B170),
)  # fmt: skip
_LATIN_BLOCKS: _Ranges = (
    (0x41, 0x300), (0x1D00, 0x1DC0), (0x1E00, 0x1F00), (0x2070, 0x20A0), (0x2150, 0x2190),
    (0x2C60, 0x2C80), (0xA720, 0xA800), (0xAB30, 0xAB70), (0xFB00, 0xFB07), (0xFF21, 0xFF5B),
    (0x1DF00, 0x1E000),
)  # fmt: skip
"""Where letters called LATIN are; others between them are not."""

_CONTROL_SPACES = (*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85)

u8, u32, u64 = np.uint8, np.uint32, np.uint64
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_LOW6, _LOW5, _LOW4, _LOW3 = u32(63), u32(31), u32(15), u32(7)
_S6, _S12, _S18, _BYTE = u32(6), u32(12), u32(18), u64(255)
_SIZE, _LAST = u32(_TABLE_SIZE), u32(_LAST_HAN)


def count_characters(column: Column) -> NDArray[np.int64]:
    """The characters of each text by class and script.

    Args:
        column: strings; a null counts as an empty text.

    Returns:
        Counts of shape (texts, 10), in the order of `COUNTS`.

    Raises:
        TypeError: the column does not hold strings.
    """
    data, offsets = string_buffers(column)
    fields = np.zeros((len(offsets) - 1, _FIELDS + 1), np.int64)
    _count(data, offsets, _byte_steps(), class_table(), _class_steps(), fields)
    total, counted = fields[:, _FIELDS], fields[:, :_FIELDS]
    han = counted[:, _HAN : _TRADITIONAL + 1].sum(axis=1)
    others = total - counted.sum(axis=1)
    plain = (counted[:, field] for field in range(_KANA_HANGUL, _FIELDS))
    scripts = (counted[:, _SIMPLIFIED], counted[:, _TRADITIONAL])
    return np.stack([total, han, *plain, others, *scripts], axis=1)


def to_columns(counts: NDArray[np.int64]) -> dict[str, pa.Array]:
    """Counts as Arrow columns by name."""
    return {name: pa.array(counts[:, place].copy()) for place, name in enumerate(COUNTS)}


@lru_cache
def class_table() -> NDArray[np.uint8]:
    """The class of every code point of planes 0 and 1 (those above are Han or other)."""
    names = "".join(map(unicodedata.category, map(chr, range(_TABLE_SIZE)))).encode()
    letters = np.frombuffer(names, np.uint8).reshape(_TABLE_SIZE, 2)
    general = np.frombuffer(names, "S2")
    table = np.full(_TABLE_SIZE, _OTHER, np.uint8)
    symbols = np.isin(general, [b"Sm", b"Sc", b"Sk"])
    table[(letters[:, 0] == ord("P")) | symbols] = _PUNCTUATION
    table[letters[:, 0] == ord("Z")] = _SPACE
    table[list(_CONTROL_SPACES)] = _SPACE
    table[general == b"Nd"] = _DIGIT
    is_letter = letters[:, 0] == ord("L")
    table[_mark_latin() & is_letter] = _LATIN
    table[_mark(_KANA_HANGUL_RANGES) & (is_letter | (letters[:, 0] == ord("M")))] = _KANA_HANGUL
    table[_mark(_HAN_RANGES)] = _HAN
    _mark_scripts(table)
    return table


def _mark(ranges: _Ranges) -> NDArray[np.bool_]:
    marked = np.zeros(_TABLE_SIZE, np.bool_)
    for first, end in ranges:
        marked[first:end] = True
    return marked


def _mark_latin() -> NDArray[np.bool_]:
    marked = np.zeros(_TABLE_SIZE, np.bool_)
    for first, end in _LATIN_BLOCKS:
        names = (unicodedata.name(chr(code), "") for code in range(first, end))
        marked[first:end] = ["LATIN " in name for name in names]
    return marked


def _mark_scripts(table: NDArray[np.uint8]) -> None:
    first, end = 0x4E00, 0xA000
    characters = "".join(map(chr, range(first, end)))
    simplified, traditional = (
        np.frombuffer(characters.encode(name, "replace").decode(name).encode("utf-32-le"), "<u4")
        != ord("?")
        for name in ("gb2312", "big5")
    )
    table[first:end][simplified & ~traditional] = _SIMPLIFIED
    table[first:end][traditional & ~simplified] = _TRADITIONAL


@lru_cache
def _class_steps() -> NDArray[np.uint64]:
    """What a character of each class adds to the word of counters."""
    return np.array([1 << 8 * field for field in range(_FIELDS)] + [0], np.uint64)


@lru_cache
def _byte_steps() -> NDArray[np.uint64]:
    return _class_steps()[class_table()[:128]]


@njit(inline="always")
def _classify(table: Any, code: Any) -> Any:
    if code < _SIZE:
        return table[code]
    return u8(_HAN) if code <= _LAST else u8(_OTHER)


@njit(inline="always")
def _are_ascii(data: Any, at: Any) -> Any:
    seen = u8(0)
    for i in range(8):
        seen |= data[at + i]
    return seen < u8(128)


@njit(inline="always")
def _step_over(data: Any, at: Any, end: Any, table: Any, steps: Any) -> Any:
    """What the character at `at` (not ASCII) adds, and its length; one cut off is passed over."""
    first = u32(data[at])
    length = 2 + (first >= u32(0xE0)) + (first >= u32(0xF0))
    if at + length > end:
        return u64(0), end - at
    second = u32(data[at + 1]) & _LOW6
    if length == 2:
        return steps[table[((first & _LOW5) << _S6) | second]], length
    third = u32(data[at + 2]) & _LOW6
    if length == 3:
        return steps[table[((first & _LOW4) << _S12) | (second << _S6) | third]], length
    code = ((first & _LOW3) << _S18) | (second << _S12) | (third << _S6)
    code |= u32(data[at + 3]) & _LOW6
    return steps[_classify(table, code)], length


@njit(**_OPTIONS)
def _count(data: Any, offsets: Any, byte_steps: Any, table: Any, steps: Any, fields: Any) -> None:
    """fields[d, f]: characters of document d in counter f; the last field counts all."""
    for d in range(offsets.shape[0] - 1):
        at, end = offsets[d], offsets[d + 1]
        while at < end:
            word, num = u64(0), 0
            # At most 255, the most that a counter of eight bits holds.
            while num <= 255 - 8 and at < end:
                byte = data[at]
                if byte >= u8(128):
                    step, length = _step_over(data, at, end, table, steps)
                    word = u64(word + step)
                    at += length
                    num += 1
                elif at + 8 <= end and _are_ascii(data, at):
                    for i in range(8):
                        word = u64(word + byte_steps[data[at + i]])
                    at += 8
                    num += 8
                else:
                    word = u64(word + byte_steps[byte])
                    at += 1
                    num += 1
            for f in range(_FIELDS):
                fields[d, f] += np.int64((word >> u64(8 * f)) & _BYTE)
            fields[d, _FIELDS] += num
