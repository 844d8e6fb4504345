"""Strings of JSON lines, and line numbers, as the buffers of Arrow string columns.

The escapes of a string are listed first, some thousand bytes at a time, and what is between them is
then copied, 64 bytes at once.  The strings must have been passed over by `json_bytes.skip_string`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.compiled import kernel, part
from corpus.reading.json_bytes import PLAIN, SIMPLE, find_escapes, read_escape
from corpus.reading.scan import KIND, START, STOP
from corpus.reading.vectors import (
    PADDING,
    WIDTH,
    copy_64,
    count_ones,
    count_trailing_zeros,
    find_backslashes,
)

_WINDOW, _AT_ONCE = 4096, 8
_DIGITS = 20
"""Of the largest line number, and the colon before it."""


@part
def _write_character(out: Any, to: Any, code: Any) -> Any:
    """A code point as UTF-8; returns the place behind it."""
    if code < 0x80:
        out[to] = code
        return to + 1
    if code < 0x800:
        out[to] = 0xC0 | code >> 6
        out[to + 1] = 0x80 | code & 63
        return to + 2
    if code < 0x10000:
        out[to] = 0xE0 | code >> 12
        out[to + 1] = 0x80 | code >> 6 & 63
        out[to + 2] = 0x80 | code & 63
        return to + 3
    out[to] = 0xF0 | code >> 18
    out[to + 1] = 0x80 | code >> 12 & 63
    out[to + 2] = 0x80 | code >> 6 & 63
    out[to + 3] = 0x80 | code & 63
    return to + 4


@part
def _list_escapes(data: Any, at: Any, stop: Any, carry: Any, places: Any) -> Any:
    """Fill `places` with the backslashes that open an escape; returns how many, and the carry.

    Eight places are written for every 64 bytes, whether they are there or not: a processor cannot
    foresee how many there are, and would lose more by guessing.
    """
    num, one = 0, np.uint64(1)
    for start in range(at, stop, WIDTH):
        bits, _, carry = find_escapes(find_backslashes(data, start), carry)
        count = count_ones(bits)
        for i in range(_AT_ONCE):
            places[num + i] = start + count_trailing_zeros(bits)
            bits &= bits - one
        for i in range(_AT_ONCE, count):
            places[num + i] = start + count_trailing_zeros(bits)
            bits &= bits - one
        num += count
    return num, carry


@part
def _copy(data: Any, start: Any, stop: Any, out: Any, to: Any) -> None:
    """Copy bytes; at least 64 are written."""
    copy_64(out, to, data, start)
    for at in range(start + WIDTH, stop, WIDTH):
        copy_64(out, to + at - start, data, at)


@part
def _unescape(data: Any, start: Any, stop: Any, out: Any, to: Any, places: Any) -> Any:
    """Copy a string without its escapes; returns the end in `out`."""
    carry, done = np.uint64(0), start
    for window in range(start, stop, _WINDOW):
        num, carry = _list_escapes(data, window, min(window + _WINDOW, stop), carry, places)
        for i in range(num):
            place = np.int64(places[i])
            if place >= stop:
                break
            if place < done:
                # The second half of a surrogate pair.
                continue
            _copy(data, done, place, out, to)
            to += place - done
            simple = SIMPLE[data[place + 1]]
            if simple:
                out[to] = simple
                to, done = to + 1, place + 2
            else:
                code, length = read_escape(data, place)
                to, done = _write_character(out, to, code), place + length
    _copy(data, done, stop, out, to)
    return to + stop - done


@kernel
def _unpack(data: Any, spans: Any, out: Any, ends: Any) -> None:
    to, places = 0, np.empty(_WINDOW + _AT_ONCE, np.int32)
    ends[0] = 0
    for row in range(spans.shape[0]):
        start, stop = np.int64(spans[row, START]), np.int64(spans[row, STOP])
        if spans[row, KIND] == PLAIN:
            _copy(data, start, stop, out, to)
            to += stop - start
        else:
            to = _unescape(data, start, stop, out, to, places)
        ends[row + 1] = to


def unpack_strings(data: NDArray[np.uint8], spans: NDArray[np.int32]) -> pa.StringArray:
    """The strings of one column.

    Args:
        data: JSON, with `PADDING` bytes behind it.
        spans: (rows, 3) START, STOP and KIND, see `corpus.reading.scan`.
    """
    room = int((spans[:, STOP] - spans[:, START]).sum(dtype=np.int64)) + PADDING
    out, ends = np.empty(room, np.uint8), np.empty(len(spans) + 1, np.int32)
    _unpack(data, spans, out, ends)
    return to_strings(out[: ends[-1]], ends)


def to_strings(data: NDArray[np.uint8], ends: NDArray[np.int32]) -> pa.StringArray:
    """An Arrow array of strings over its buffers, without a copy."""
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))


def to_buffers(strings: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Bytes and (rows + 1,) offsets of an array of strings, without a copy."""
    _, ends, data = strings.buffers()
    offsets = np.frombuffer(ends, np.int32, len(strings) + 1, strings.offset * 4)
    return np.frombuffer(data or b"", np.uint8), offsets


@kernel
def _write_origins(name: Any, numbers: Any, out: Any, ends: Any) -> None:
    to, digits = 0, np.empty(_DIGITS, np.uint8)
    ends[0] = 0
    for row in range(numbers.shape[0]):
        for i in range(name.shape[0]):
            out[to + i] = name[i]
        to += name.shape[0]
        left, num = numbers[row], 0
        while left or not num:
            digits[num] = 48 + left % 10
            left, num = left // 10, num + 1
        for place in range(num):
            out[to + place] = digits[num - 1 - place]
        to += num
        ends[row + 1] = to


def name_lines(file: str, numbers: NDArray[np.int64]) -> pa.StringArray:
    """`FILE:LINE` for every line."""
    name = np.frombuffer(f"{file}:".encode(), np.uint8)
    out = np.empty(len(numbers) * (len(name) + _DIGITS), np.uint8)
    ends = np.empty(len(numbers) + 1, np.int32)
    _write_origins(name, numbers, out, ends)
    return to_strings(out[: ends[-1]], ends)
