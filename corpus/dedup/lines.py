"""Paragraphs of a column of texts, and the cuts that take some of them out.

A paragraph is what lies between two line feeds (`text.split("\\n")`).  It is measured without the
white space around it (`str.strip`) and known by the hash of its tokens, so copies that differ in
case, width, punctuation and space are the same paragraph; one without a token has no key.

A cut is the paragraph's whole line and one line feed: the one before it, or the one behind where
nothing is left before it.  What remains is `"\\n".join` of the other lines.  A line feed is a byte
of its own in UTF-8, so a cut begins and ends between characters.  Cuts do not overlap.

Nothing is copied: the lines are new offsets over the bytes of the texts.  Some 30 bytes a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from corpus.hashing.signatures import normalized_keys, string_buffers

Numbers = NDArray[np.int64]
Keys = NDArray[np.uint64]

_FEED = 10
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@dataclass(frozen=True)
class Cuts:
    """Cuts in the order of the texts.

    Attributes:
        lines: the numbers of the lines that go.
        texts: the number of each cut's text.
        starts, stops: the bytes of the text that go.
        characters: how many these are in all.
        whole: of each text, whether nothing but white space would be left; it has no cuts.
    """

    lines: Numbers
    texts: Numbers
    starts: Numbers
    stops: Numbers
    characters: int
    whole: NDArray[np.bool_]


@dataclass(frozen=True)
class Lines:
    """The lines of some texts.

    Attributes:
        data: bytes of all texts, one after the other.
        bounds: where each line begins, and the end of the last; the line feed is in the line that
            it ends.
        firsts: the first line of each text, and the number of lines.
        characters: of each line, trimmed.
        keys: of each line, shape (lines, 2); zeros where it has no token.
    """

    data: NDArray[np.uint8]
    bounds: Numbers
    firsts: Numbers
    characters: Numbers
    keys: Keys

    def choose(self, shortest: int) -> NDArray[np.bool_]:
        """Which lines have a token and `shortest` characters."""
        return (self.characters >= shortest) & (self.keys[:, 0] | self.keys[:, 1] > 0)

    def find_texts(self, lines: Numbers) -> Numbers:
        """The number of the text that each line is of."""
        return np.searchsorted(self.firsts, lines, "right") - 1

    def read(self, line: int) -> str:
        """A line, trimmed."""
        return self.data[self.bounds[line] : self.bounds[line + 1]].tobytes().decode().strip()

    def cut(self, chosen: NDArray[np.bool_]) -> Cuts:
        """The cuts that take out the chosen lines."""
        most, num_texts = int(chosen.sum()), len(self.firsts) - 1
        lines, starts, stops = (np.empty(most, np.int64) for _ in range(3))
        whole = np.zeros(num_texts, bool)
        num = _cut(self.bounds, self.firsts, self.characters, chosen, lines, starts, stops, whole)
        lines, starts, stops = lines[:num], starts[:num], stops[:num]
        texts = self.find_texts(lines)
        characters = int(_count(self.data, starts, stops))
        begin = self.bounds[self.firsts[texts]]
        return Cuts(lines, texts, starts - begin, stops - begin, characters, whole)


def split_lines(column: pa.Array) -> Lines:
    """The lines of a column of texts."""
    data, offsets = string_buffers(column)
    num_feeds = np.count_nonzero(data[offsets[0] : offsets[-1]] == _FEED)
    num_lines, num_texts = int(num_feeds) + len(offsets) - 1, len(offsets) - 1
    bounds, firsts = np.empty(num_lines + 1, np.int64), np.empty(num_texts + 1, np.int64)
    _split(data, offsets, bounds, firsts)
    characters = np.empty(num_lines, np.int64)
    _measure(data, bounds, characters)
    buffers = pa.py_buffer(bounds), pa.py_buffer(data)
    strings = pa.LargeStringArray.from_buffers(num_lines, *buffers)
    return Lines(data, bounds, firsts, characters, normalized_keys(strings))


@njit(**_OPTIONS)
def _split(data: Any, offsets: Any, bounds: Any, firsts: Any) -> None:
    line = 0
    for text in range(offsets.shape[0] - 1):
        firsts[text] = line
        bounds[line] = offsets[text]
        line += 1
        for at in range(offsets[text], offsets[text + 1]):
            if data[at] == _FEED:
                bounds[line] = at + 1
                line += 1
    firsts[-1] = line
    bounds[line] = offsets[-1]


@njit(**_OPTIONS)
def _measure(data: Any, bounds: Any, characters: Any) -> None:
    """Characters of each line without the white space around it."""
    for line in range(bounds.shape[0] - 1):
        start, stop = bounds[line], bounds[line + 1]
        while start < stop:
            width = _measure_space(data, start, stop)
            if width == 0:
                break
            start += width
        while start < stop:
            last = stop - 1
            while last > start and data[last] & 0xC0 == 0x80:
                last -= 1
            if _measure_space(data, last, stop) == 0:
                break
            stop = last
        characters[line] = _count_between(data, start, stop)


@njit(**_OPTIONS)
def _measure_space(data: Any, at: Any, stop: Any) -> Any:
    """Bytes of the white space (that of `str.isspace`) that begins at `at`; 0 for anything else."""
    first = data[at]
    if first < 0x80:
        return np.int64(first == 32 or 9 <= first <= 13 or 28 <= first <= 31)
    if first == 0xC2:
        second = data[at + 1] if at + 1 < stop else 0
        return 2 if second == 0x85 or second == 0xA0 else 0
    if first < 0xE1 or first > 0xE3 or at + 2 >= stop:
        return 0
    code = (np.int64(first & 15) << 12) | (np.int64(data[at + 1] & 63) << 6) | (data[at + 2] & 63)
    if 0x2000 <= code <= 0x200A or code == 0x3000 or code == 0x1680:
        return 3
    return 3 if code == 0x2028 or code == 0x2029 or code == 0x202F or code == 0x205F else 0


@njit(**_OPTIONS)
def _count_between(data: Any, start: Any, stop: Any) -> Any:
    num = 0
    for at in range(start, stop):
        num += data[at] & 0xC0 != 0x80
    return num


@njit(**_OPTIONS)
def _count(data: Any, starts: Any, stops: Any) -> Any:
    """Characters between all starts and stops."""
    num = 0
    for i in range(starts.shape[0]):
        num += _count_between(data, starts[i], stops[i])
    return num


@njit(**_OPTIONS)
def _cut(
    bounds: Any,
    firsts: Any,
    characters: Any,
    chosen: Any,
    lines: Any,
    starts: Any,
    stops: Any,
    whole: Any,
) -> Any:
    """Fill lines, starts, stops (in `data`) and whole; returns how many cuts there are."""
    num = 0
    for text in range(firsts.shape[0] - 1):
        before, leading, filled = num, True, False
        for line in range(firsts[text], firsts[text + 1]):
            if not chosen[line]:
                leading = False
                filled = filled or characters[line] > 0
                continue
            lines[num], starts[num], stops[num] = line, bounds[line], bounds[line + 1]
            if not leading:
                starts[num] -= 1
                stops[num] -= line + 1 < firsts[text + 1]
            num += 1
        if num > before and not filled:
            whole[text] = True
            num = before
    return num
