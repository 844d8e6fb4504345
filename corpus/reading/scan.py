"""Which strings of a JSON line make a document: a compiled pass that knows when it is not sure.

A line is taken only where it means the same to `json.loads` and `Rules.make_document` beyond doubt:
one table, wanted fields that are strings or null, a text that is not empty, not white space and not
too long.  Any other line is *unsure* and goes through these two, which use or reject it; so Python
stays the definition, and nothing here explains a mistake.  A line is looked at once; all that is
noted is where the strings lie, which `unpack.py` then takes out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus.compiled import kernel, part
from corpus.reading.json_bytes import (
    BAD,
    CLOSE,
    COLON,
    COMMA,
    OPEN,
    PLAIN,
    QUOTE,
    SLASH,
    read_escape,
    skip_space,
    skip_string,
    skip_value,
    skip_word,
)

NUM_COLUMNS = 5
TEXT, PROMPT, CATEGORY, LANGUAGE, SOURCE = range(NUM_COLUMNS)
"""The columns of a document that are taken from a line."""
START, STOP, KIND = range(3)
"""What is noted of a string: where it lies between its quotes, and whether it has escapes."""

_ABSENT, _NULL = -2, -1
_WHITE = np.array([code for code in range(0x3001) if chr(code).isspace()], np.int64)
_SPACE, _FIRST_WIDE_SPACE = 0x20, 0x85


@part
def _find_field(data: Any, start: Any, stop: Any, names: Any, name_ends: Any) -> Any:
    """The number of the field of that name; -1 where it is not wanted."""
    first = 0
    for field in range(name_ends.shape[0]):
        if name_ends[field] - first == stop - start:
            i = start
            while i < stop and data[i] == names[first + i - start]:
                i += 1
            if i == stop:
                return field
        first = name_ends[field]
    return -1


@part
def _scan_fields(data: Any, at: Any, stop: Any, names: Any, name_ends: Any, found: Any) -> Any:
    """Note the wanted fields of the table whose bracket is at `at`; returns what is behind it."""
    found[:, KIND] = _ABSENT
    at = skip_space(data, at + 1)
    if data[at] == CLOSE:
        return at + 1
    while data[at] == QUOTE:
        key = at + 1
        end, escaped = skip_string(data, key, stop)
        if end < 0 or escaped:
            return BAD
        field = _find_field(data, key, end, names, name_ends)
        at = skip_space(data, end + 1)
        if data[at] != COLON:
            return BAD
        at = skip_space(data, at + 1)
        at = skip_value(data, at, stop) if field < 0 else _note_field(data, at, stop, found[field])
        if at < 0:
            return BAD
        at = skip_space(data, at)
        if data[at] == CLOSE:
            return at + 1
        if data[at] != COMMA:
            return BAD
        at = skip_space(data, at + 1)
    return BAD


@part
def _note_field(data: Any, at: Any, stop: Any, note: Any) -> Any:
    """A wanted field is a string or null, or the line is not for us."""
    if data[at] == QUOTE:
        note[START] = at + 1
        end, note[KIND] = skip_string(data, at + 1, stop)
        note[STOP] = end
        return end + 1 if end >= 0 else BAD
    note[START], note[STOP], note[KIND] = 0, 0, _NULL
    return skip_word(data, at) if data[at] == ord("n") else BAD


@kernel
def scan_lines(
    data: Any,
    first: Any,
    ends: Any,
    names: Any,
    name_ends: Any,
    choices: Any,
    limits: Any,
    spans: Any,
    rows: Any,
    unsure: Any,
) -> Any:
    """Find the strings of every line's document.

    Args:
        data: lines, from `first` on; a line ends before its newline.
        ends: (lines,) places of the newlines.
        names, name_ends: the wanted fields one after the other, "target" first.
        choices: (2, 5, 2) fields that may give a column, best first, -1 for none; [1] is for lines
            with a target.
        limits: bytes of a line, characters of text and prompt.
        spans: (lines, 5, 3) to be filled: START, STOP and KIND of the row's columns.
        rows: (lines,) to be filled with the line of each row.
        unsure: (lines,) to be filled with the lines that are left to Python; blank ones are in
            neither.

    Returns:
        How many rows and how many unsure lines there are.
    """
    found = np.empty((name_ends.shape[0], 3), np.int64)
    num_rows, num_unsure = 0, 0
    for line in range(ends.shape[0]):
        start, stop = first, ends[line]
        first = stop + 1
        at = skip_space(data, start)
        if at == stop:
            continue
        behind = BAD
        if data[at] == OPEN and stop - start <= limits[0]:
            behind = _scan_fields(data, at, stop, names, name_ends, found)
        if behind >= 0 and skip_space(data, behind) == stop:
            with_target = np.int64(found[0, KIND] != _ABSENT)
            if _choose_columns(data, found, choices[with_target], limits[1], spans[num_rows]):
                rows[num_rows] = line
                num_rows += 1
                continue
        unsure[num_unsure] = line
        num_unsure += 1
    return num_rows, num_unsure


@part
def _choose_columns(data: Any, found: Any, choices: Any, most: Any, spans: Any) -> Any:
    """Fill a row's spans; False where the text cannot be used, or not for certain."""
    for column in range(NUM_COLUMNS):
        spans[column, START], spans[column, STOP], spans[column, KIND] = 0, 0, PLAIN
        for choice in range(choices.shape[1]):
            field = choices[column, choice]
            if field >= 0 and found[field, KIND] >= PLAIN:
                for note in range(3):
                    spans[column, note] = found[field, note]
                break
    start, stop, prompt = spans[TEXT, START], spans[TEXT, STOP], spans[PROMPT]
    size = stop - start + prompt[STOP] - prompt[START]
    if size > most:
        size = _count_characters(data, start, stop)
        size += _count_characters(data, prompt[START], prompt[STOP])
    return size <= most and _has_ink(data, start, stop)


@part
def _has_ink(data: Any, at: Any, stop: Any) -> Any:
    """Whether a string has a character that is not white space."""
    while at < stop:
        code, length = _read_character(data, at)
        if not _is_white(code):
            return True
        at += length
    return False


@part
def _is_white(code: Any) -> Any:
    if _SPACE < code < _FIRST_WIDE_SPACE:
        return False
    found = False
    for i in range(_WHITE.shape[0]):
        found |= code == _WHITE[i]
    return found


@part
def _read_character(data: Any, at: Any) -> Any:
    """Code point and length of a character; white space has none of four bytes."""
    head, low = np.int64(data[at]), np.int64(63)
    if head == SLASH:
        return read_escape(data, at)
    if head < 0x80 or head >= 0xF0:
        return head, 1 if head < 0x80 else 4
    second = np.int64(data[at + 1]) & low
    if head < 0xE0:
        return (head & 31) << 6 | second, 2
    return (head & 15) << 12 | second << 6 | (np.int64(data[at + 2]) & low), 3


@part
def _count_characters(data: Any, at: Any, stop: Any) -> Any:
    count = 0
    while at < stop:
        length = 1
        if data[at] == SLASH:
            _, length = read_escape(data, at)
        count += data[at] & 0xC0 != 0x80
        at += length
    return count
