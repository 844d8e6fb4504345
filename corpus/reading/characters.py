"""Compiled questions to UTF-8 bytes: is it valid, and of which scripts are its letters?

The scripts come from a table that the regular expressions of `language.py` fill, so the answers
cannot differ from theirs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.compiled import kernel, part
from corpus.reading import language
from corpus.reading.unpack import to_buffers
from corpus.reading.vectors import (
    PADDING,
    WIDTH,
    count_ones,
    find_bad_utf8,
    find_letters,
    find_wide,
)

_LETTER, _HAN, _KANA, _LATIN = range(4)
_SPREAD = np.array([sum((bits >> i & 1) << 16 * i for i in range(4)) for bits in range(16)])
"""The bits of a table's entry, each as a count of 16 bits; `language.SAMPLE` is below 65,536."""
_ANSWERS = ("other", "zh", "en")


@kernel
def is_utf8(data: Any, size: Any) -> Any:
    """Whether data[:size] is valid UTF-8; `PADDING` zeros must follow."""
    start = np.zeros(PADDING, np.uint8)
    for i in range(min(size, WIDTH)):
        start[3 + i] = data[i]
    if find_bad_utf8(start, 3):
        return False
    bad = np.uint64(0)
    for at in range(3, size + 3, 64):
        bad |= find_bad_utf8(data, at)
    return bad == 0


@lru_cache
def _make_table() -> NDArray[np.uint8]:
    """For every code point the scripts it belongs to, one bit each."""
    table = np.zeros(0x110000, np.uint8)
    everything = "".join(map(chr, range(0x110000)))
    for script, pattern in enumerate(language.PATTERNS):
        for match in pattern.finditer(everything):
            table[match.start() : match.end()] |= 1 << script
    return table


@part
def _read_code(data: Any, at: Any) -> Any:
    """Code point and length of a character."""
    head, low = np.int64(data[at]), np.int64(63)
    if head < 0x80:
        return head, 1
    code = np.int64(data[at + 1]) & low
    if head < 0xE0:
        return (head & 31) << 6 | code, 2
    code = code << 6 | (np.int64(data[at + 2]) & low)
    if head < 0xF0:
        return (head & 15) << 12 | code, 3
    return (head & 7) << 18 | code << 6 | (np.int64(data[at + 3]) & low), 4


@part
def _count_scripts(data: Any, at: Any, stop: Any, most: Any, table: Any) -> Any:
    """Letters of the first `most` characters, and those of each script, in 16 bits for each."""
    counts = np.int64(0)
    while at < stop and most > 0:
        if most >= WIDTH and at + WIDTH <= stop and not find_wide(data, at):
            counts += count_ones(find_letters(data, at)) * _SPREAD[1 << _LETTER | 1 << _LATIN]
            at, most = at + WIDTH, most - WIDTH
        else:
            code, length = _read_code(data, at)
            counts += _SPREAD[table[code]]
            at, most = at + length, most - 1
    return counts


@part
def _get(counts: Any, script: Any) -> Any:
    return counts >> np.int64(16 * script) & np.int64(0xFFFF)


@kernel
def _detect(data: Any, ends: Any, table: Any, settings: Any, answers: Any) -> None:
    most, han_share, kana_share, latin_share = settings
    for row in range(answers.shape[0]):
        counts = _count_scripts(data, np.int64(ends[row]), ends[row + 1], most, table)
        letters = _get(counts, _LETTER)
        if not letters:
            answers[row] = 0
        elif _get(counts, _HAN) >= han_share * letters:
            answers[row] = 1 if _get(counts, _KANA) < kana_share * letters else 0
        else:
            answers[row] = 2 if _get(counts, _LATIN) > latin_share * letters else 0


def detect_languages(texts: pa.Array) -> pa.Array:
    """`corpus.reading.language.detect_language` of every text."""
    data, ends = to_buffers(texts)
    answers = np.empty(len(texts), np.int8)
    settings = (language.SAMPLE, language.HAN_SHARE, language.KANA_SHARE, language.LATIN_SHARE)
    _detect(data, ends, _make_table(), settings, answers)
    return pa.DictionaryArray.from_arrays(answers, list(_ANSWERS)).dictionary_decode()
