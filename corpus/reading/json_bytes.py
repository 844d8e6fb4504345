"""JSON as bytes, in compiled loops: pass over strings, numbers and nested values.

Exactly what `json.loads` accepts is passed over, or less: NaN, numbers of thousands of digits, lone
surrogates and nesting deeper than 60 are refused, and the line is left to `json.loads` itself.
The bytes must be valid UTF-8, end with a newline, and have `PADDING` zeros behind them, so that
looking ahead needs no check: a newline or a zero is no part of any value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus.compiled import kernel, part
from corpus.reading.vectors import (
    WIDTH,
    count_ones,
    count_trailing_zeros,
    find_backslashes,
    find_escapable,
    find_newlines,
    find_text_end,
    find_u,
)

BAD, PLAIN, WITH_ESCAPES = -1, 0, 1
_MAX_DEPTH, _MAX_DIGITS = 60, 4000
_ONE, _LAST, _ODD = np.uint64(1), np.uint64(63), np.uint64(0xAAAAAAAAAAAAAAAA)

QUOTE, SLASH, COMMA, COLON, _MINUS = ord('"'), ord("\\"), ord(","), ord(":"), ord("-")
OPEN, CLOSE, _OPEN_LIST, _CLOSE_LIST = ord("{"), ord("}"), ord("["), ord("]")
_ZERO, _NINE, _DOT, _PLUS = ord("0"), ord("9"), ord("."), ord("+")
_SPACE, _TAB, _RETURN = ord(" "), ord("\t"), ord("\r")
_U = ord("u")

SIMPLE = np.zeros(256, np.uint8)
"""What stands for the character behind a backslash; 0 for `u` and for what may not stand there."""
SIMPLE[list(b'"\\/bfnrt')] = list(b'"\\/\b\f\n\r\t')
_HEX = np.full(256, 255, np.uint8)
_HEX[list(b"0123456789abcdef")] = _HEX[list(b"0123456789ABCDEF")] = range(16)


@kernel
def find_line_ends(data: Any, size: Any, ends: Any) -> Any:
    """Fill `ends` with the places of the newlines; returns how many there are."""
    found = 0
    for at in range(0, size, 64):
        bits = find_newlines(data, at)
        while bits:
            place = at + count_trailing_zeros(bits)
            if place >= size:
                break
            ends[found] = place
            found += 1
            bits &= bits - np.uint64(1)
    return found


@kernel
def count_newlines(data: Any, size: Any) -> Any:
    """How many newlines there are."""
    found = 0
    for at in range(0, size, 64):
        bits = find_newlines(data, at)
        if at + 64 > size:
            bits &= (np.uint64(1) << np.uint64(size - at)) - np.uint64(1)
        found += count_ones(bits)
    return found


@part
def skip_space(data: Any, at: Any) -> Any:
    while data[at] == _SPACE or data[at] == _TAB or data[at] == _RETURN:
        at += 1
    return at


@part
def read_hex(data: Any, at: Any) -> Any:
    """The value of four hexadecimal digits; -1 where they are none."""
    code, worst = np.int64(0), np.uint8(0)
    for i in range(4):
        digit = _HEX[data[at + i]]
        worst = max(worst, digit)
        code = code << 4 | np.int64(digit)
    return code if worst < 16 else np.int64(-1)


@part
def read_escape(data: Any, at: Any) -> Any:
    r"""Code point and length of the escape at `at`; length 0 where it is wrong or half a pair."""
    kind = data[at + 1]
    if kind != _U:
        return np.int64(SIMPLE[kind]), 2 if SIMPLE[kind] else 0
    code = read_hex(data, at + 2)
    if code < 0xD800 or code > 0xDFFF:
        return code, 6 if code >= 0 else 0
    if code > 0xDBFF or data[at + 6] != SLASH or data[at + 7] != _U:
        return code, 0
    low = read_hex(data, at + 8)
    if low < 0xDC00 or low > 0xDFFF:
        return code, 0
    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), 12


@part
def find_escapes(slashes: Any, carry: Any) -> Any:
    """Bits of the backslashes that open an escape, of what is behind them, and the next carry.

    A subtraction runs along every row of backslashes at once; see json_escape_scanner in simdjson.
    `carry` is 1 where the first character is behind a backslash of the 64 before.
    """
    opening = slashes & ~carry
    series = (((opening << _ONE) | _ODD) - opening) ^ _ODD
    escapes = series & slashes
    return escapes, series ^ (slashes | carry), escapes >> _LAST


@part
def skip_string(data: Any, at: Any, stop: Any) -> Any:
    """Place of the closing quote (-1: there is none), and whether an escape was passed.

    Nothing branches on where the escapes are: a processor cannot foresee it.
    """
    seen, carry, checked = np.uint64(0), np.uint64(0), at
    while at < stop:
        escapes, behind, carry = find_escapes(find_backslashes(data, at), carry)
        ends = (find_text_end(data, at) & ~behind) | (behind & ~find_escapable(data, at))
        first = ends ^ (ends - _ONE)
        seen |= escapes & first
        codes = behind & find_u(data, at) & first
        while codes:
            place = at - 1 + count_trailing_zeros(codes)
            if place >= checked:
                _, length = read_escape(data, place)
                if not length:
                    return BAD, PLAIN
                checked = place + length
            codes &= codes - _ONE
        if ends:
            at += count_trailing_zeros(ends)
            closed = at < stop and data[at] == QUOTE
            return (at if closed else BAD), (WITH_ESCAPES if seen else PLAIN)
        at += WIDTH
    return BAD, PLAIN


@part
def _skip_digits(data: Any, at: Any) -> Any:
    while _ZERO <= data[at] <= _NINE:
        at += 1
    return at


@part
def _skip_number(data: Any, at: Any) -> Any:
    first = at + (data[at] == _MINUS)
    at = _skip_digits(data, first)
    if at == first or at - first > _MAX_DIGITS or (data[first] == _ZERO and at - first > 1):
        return BAD
    if data[at] == _DOT:
        first = at + 1
        at = _skip_digits(data, first)
        if at == first:
            return BAD
    if data[at] | 32 == ord("e"):
        first = at + 1 + (data[at + 1] == _PLUS or data[at + 1] == _MINUS)
        at = _skip_digits(data, first)
        if at == first:
            return BAD
    return at


@part
def skip_word(data: Any, at: Any) -> Any:
    """Behind true, false or null."""
    a, b, c, d = data[at], data[at + 1], data[at + 2], data[at + 3]
    if a == ord("t") and b == ord("r") and c == ord("u") and d == ord("e"):
        return at + 4
    if a == ord("n") and b == ord("u") and c == ord("l") and d == ord("l"):
        return at + 4
    if a == ord("f") and b == ord("a") and c == ord("l") and d == ord("s"):
        return at + 5 if data[at + 4] == ord("e") else BAD
    return BAD


@part
def _skip_scalar(data: Any, at: Any, stop: Any) -> Any:
    if data[at] == QUOTE:
        end, _ = skip_string(data, at + 1, stop)
        return end + 1 if end >= 0 else BAD
    if data[at] == _MINUS or _ZERO <= data[at] <= _NINE:
        return _skip_number(data, at)
    return skip_word(data, at)


@part
def _skip_key(data: Any, at: Any, stop: Any) -> Any:
    """Behind a key and its colon, at the value."""
    if data[at] != QUOTE:
        return BAD
    end, _ = skip_string(data, at + 1, stop)
    if end < 0:
        return BAD
    at = skip_space(data, end + 1)
    return skip_space(data, at + 1) if data[at] == COLON else BAD


@part
def skip_value(data: Any, at: Any, stop: Any) -> Any:
    """Behind any value; the bits of `tables` tell which of the open brackets are tables."""
    depth, tables, one = 0, np.uint64(0), np.uint64(1)
    while True:
        if data[at] == OPEN or data[at] == _OPEN_LIST:
            is_table = data[at] == OPEN
            at = skip_space(data, at + 1)
            if data[at] != (CLOSE if is_table else _CLOSE_LIST):
                depth, tables = depth + 1, tables << one | np.uint64(is_table)
                at = _skip_key(data, at, stop) if is_table else at
                if at < 0 or depth > _MAX_DEPTH:
                    return BAD
                continue
            at += 1
        else:
            at = _skip_scalar(data, at, stop)
            if at < 0:
                return BAD
        at, depth, tables = _close_brackets(data, at, depth, tables)
        if not depth:
            return at
        if data[at] != COMMA:
            return BAD
        at = skip_space(data, at + 1)
        at = _skip_key(data, at, stop) if tables & one else at
        if at < 0:
            return BAD


@part
def _close_brackets(data: Any, at: Any, depth: Any, tables: Any) -> Any:
    """Pass over the brackets that close behind a value; with depth 0 it is complete."""
    while depth:
        at = skip_space(data, at)
        closing = CLOSE if tables & np.uint64(1) else _CLOSE_LIST
        if data[at] != closing:
            break
        at, depth, tables = at + 1, depth - 1, tables >> np.uint64(1)
    return at, depth, tables
