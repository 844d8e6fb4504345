"""Ids of documents as two numbers, and back; Arrow strings as the bytes behind them.

An id is 128 bits of a hash, written as 32 hex digits.  In an index of all documents it is kept as
two words of 64 bits, and becomes text again only where a table is written for people.

The price: an id that is no hash of that form is refused, though it would be unique.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.encoding.compiled import kernel
from tongwen.errors import TongwenError

DIGITS = 32
"""Hex digits of an id."""

_WORD = DIGITS // 2
_u8, _u64 = np.uint8, np.uint64


def parse_ids(ids: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first and the last 64 bits of each id.

    Args:
        ids: strings of 32 hex digits in lower case.

    Raises:
        TongwenError: an id is something else, or null.
    """
    data, offset_N = split_strings(ids)
    high_N, low_N = np.empty((2, len(ids)), np.uint64)
    bad = len(ids) if ids.null_count else _parse(data, offset_N, high_N, low_N)
    if bad >= 0:
        name = ids[bad].as_py() if bad < len(ids) else None
        raise TongwenError(
            f"{name!r} is no id of a document",
            expected=f"{DIGITS} hex digits in lower case",
            do="build the table again from the documents that the corpus wrote",
        )
    return high_N, low_N


def format_ids(high_N: NDArray[np.uint64], low_N: NDArray[np.uint64]) -> pa.StringArray:
    """Ids as 32 hex digits, from their two halves."""
    text = np.empty(DIGITS * len(high_N), np.uint8)
    _format(np.ascontiguousarray(high_N), np.ascontiguousarray(low_N), text)
    offset_N = np.arange(0, len(text) + 1, DIGITS, dtype=np.int32)
    return make_strings(text, offset_N)


def split_strings(strings: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """UTF-8 of an Arrow column of strings, and where each begins in it (one more than there are).

    No byte is copied; the data may hold more than these strings.
    """
    if not pa.types.is_large_string(strings.type):
        strings = strings.cast(pa.string())
    width = np.int64 if pa.types.is_large_string(strings.type) else np.int32
    _, offsets, values = strings.buffers()
    data = np.frombuffer(values or b"", np.uint8)
    if not len(strings):
        return data, np.zeros(1, np.int64)
    offset_N = np.frombuffer(offsets, width)[strings.offset : strings.offset + len(strings) + 1]
    return data, offset_N.astype(np.int64)


def make_strings(data: NDArray[np.uint8], offset_N: NDArray[np.int32]) -> pa.StringArray:
    """An Arrow column of strings over UTF-8; no byte is copied."""
    buffers = [pa.py_buffer(offset_N), pa.py_buffer(data)]
    return pa.StringArray.from_buffers(len(offset_N) - 1, *buffers)


@kernel
def _parse(data: Any, offset_N: Any, high_N: Any, low_N: Any) -> Any:  # pyright: ignore
    """Fill in the halves; returns the number of the first bad id, or -1."""
    for number in range(len(high_N)):
        if offset_N[number + 1] - offset_N[number] != DIGITS:
            return number
        high, low = _u64(0), _u64(0)
        for place in range(_u64(DIGITS)):
            digit = data[_u64(offset_N[number]) + place]
            if _u8(48) <= digit <= _u8(57):
                value = _u64(digit) - _u64(48)
            elif _u8(97) <= digit <= _u8(102):
                value = _u64(digit) - _u64(87)
            else:
                return number
            if place < _u64(_WORD):
                high = (high << _u64(4)) | value
            else:
                low = (low << _u64(4)) | value
        high_N[number], low_N[number] = high, low
    return -1


@kernel
def _format(high_N: Any, low_N: Any, text: Any) -> Any:  # pyright: ignore
    at = _u64(0)
    for number in range(len(high_N)):
        for half in range(2):
            word = high_N[number] if half == 0 else low_N[number]
            for place in range(_u64(_WORD)):
                digit = _u8((word >> (_u64(60) - _u64(4) * place)) & _u64(15))
                text[at] = digit + _u8(48) if digit < _u8(10) else digit + _u8(87)
                at += _u64(1)
