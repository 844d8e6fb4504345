"""Hashed character n-grams of texts, weighed, and a linear model over them: the compiled loops.

The first 2,000 characters of a text are folded (case and width as in `shingles.py`, digits to `0`,
a run of white space to one space; punctuation stays, it tells code from prose).  Each run of 1, 2
and 3 of them is hashed to one of 65,536 buckets.  A bucket that occurs n times weighs
log(1 + n) * idf, and a text's weights have length 1.  Nothing is kept between passes but the texts
themselves: hashing again (some 120 MB/s) is cheaper than the memory.  Sums run over the n-grams in
the order of the text and vectors over the categories, so a result does not depend on the CPU's
vector width.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.compiled import kernel
from corpus.hashing.character_table import character_table
from corpus.hashing.code_points import decode, measure
from corpus.hashing.shingles import IGNORED, SEPARATOR, TABLE_SIZE

CHARACTERS = 2000
"""Of a text that are looked at."""
ORDERS = 3
BUCKET_BITS = 16
NUM_BUCKETS = 1 << BUCKET_BITS

ORDER_KEYS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Odd multipliers for n-grams of 1, 2 and 3 characters (of splitmix64)."""
BIAS_RATE = 0.01
"""The bias learns so much slower than the weights: it has no idf and every text bears it."""

u32, u64, f32 = np.uint32, np.uint64, np.float32
_KEYS = np.array(ORDER_KEYS, np.uint64)
_ZERO, _SPACE = u64(0), u64(32)
_WIDTH, _S32, _SHIFT = u64(21), u64(32), u64(64 - BUCKET_BITS)
_MASKS = np.array([(1 << 21 * number) - 1 for number in range(1, ORDERS + 1)], np.uint64)
_BLANK = u64(32 | 32 << 21 | 32 << 42)
"""A text begins after three spaces."""
_TABLE_SIZE = u32(TABLE_SIZE)
_LOGS = np.log1p(np.arange(CHARACTERS + 1)).astype(np.float32)


@lru_cache
def folding_table() -> NDArray[np.uint32]:
    """What each code point of planes 0 and 1 counts as; 0: nothing.  Others count as themselves."""
    entries = character_table()
    kinds = entries >> 24
    folded = np.where(kinds == SEPARATOR, np.arange(TABLE_SIZE), entries & 0xFFFFFF)
    folded[kinds == IGNORED] = 0
    for code in np.flatnonzero((kinds == SEPARATOR) | (folded < 128)):
        folded[code] = _fold_separator(int(folded[code]))
    # A digit of any script says no more than that there is a number.
    digits = [code for code in range(TABLE_SIZE) if unicodedata.category(chr(code)) == "Nd"]
    folded[digits] = ord("0")
    return folded.astype(np.uint32)


def _fold_separator(code: int) -> int:
    """White space, control characters and what no text should hold count as a space."""
    blank = not chr(code).isprintable() or chr(code).isspace()
    return 32 if blank and code else code


@kernel
def collect_ngrams(data: Any, start: Any, stop: Any, table: Any, counts: Any, found: Any) -> Any:
    """Count the buckets of data[start:stop]; `found` gets each one once, the number is returned.

    `counts` must come with zeros and `found` with room for 3 x 2,000.
    """
    num, window, left = 0, _BLANK, CHARACTERS
    at, end = u64(start), u64(stop)
    while at < end and left:
        length = measure(data[at])
        if at + length > end:
            break
        code = decode(data, at, length)
        at, left = at + length, left - 1
        character = u64(table[code]) if code < _TABLE_SIZE else u64(code)
        if character == _ZERO or (character == _SPACE and (window & _MASKS[0]) == _SPACE):
            continue
        window = u64((window << _WIDTH) | character)
        for order in range(ORDERS):
            mixed = u64((window & _MASKS[order]) * _KEYS[order])
            bucket = u64(u64((mixed ^ (mixed >> _S32)) * _KEYS[order]) >> _SHIFT)
            if counts[bucket] == 0:
                found[num] = bucket
                num += 1
            counts[bucket] += 1
    return num


@kernel
def count_texts(data: Any, offsets: Any, table: Any, frequency: Any) -> None:
    """Add to `frequency` in how many of the texts each bucket occurs."""
    counts, found = np.zeros(NUM_BUCKETS, np.int32), np.empty(ORDERS * CHARACTERS, np.uint64)
    for d in range(offsets.shape[0] - 1):
        num = collect_ngrams(data, offsets[d], offsets[d + 1], table, counts, found)
        for i in range(num):
            frequency[found[i]] += 1
            counts[found[i]] = 0


@kernel
def _weigh(counts: Any, found: Any, num: Any, idf: Any, values: Any) -> Any:
    """Weights of the found buckets, of length 1; clears `counts`.  False where all are 0."""
    total = f32(0)
    for i in range(num):
        values[i] = f32(_LOGS[counts[found[i]]] * idf[found[i]])
        total += f32(values[i] * values[i])
        counts[found[i]] = 0
    scale = f32(1) / np.sqrt(total) if total > f32(0) else f32(0)
    for i in range(num):
        values[i] = f32(values[i] * scale)
    return total > f32(0)


@kernel
def _add_rows(found: Any, values: Any, num: Any, weights: Any, scores: Any) -> None:
    """scores += sum of values[i] * weights[found[i]]."""
    for i in range(num):
        row, value = weights[found[i]], values[i]
        for c in range(scores.shape[0]):
            scores[c] += f32(value * row[c])


@kernel
def score(
    data: Any, offsets: Any, table: Any, idf: Any, weights: Any, bias: Any, scores: Any, known: Any
) -> None:
    """scores[d]: one for each category; known[d]: whether the text has an n-gram that counts."""
    counts, found = np.zeros(NUM_BUCKETS, np.int32), np.empty(ORDERS * CHARACTERS, np.uint64)
    values = np.empty(ORDERS * CHARACTERS, np.float32)
    for d in range(offsets.shape[0] - 1):
        num = collect_ngrams(data, offsets[d], offsets[d + 1], table, counts, found)
        known[d] = _weigh(counts, found, num, idf, values)
        scores[d] = bias
        _add_rows(found, values, num, weights, scores[d])


@kernel
def _to_errors(scores: Any, label: Any) -> None:
    """Scores become softmax probabilities minus 1 at the label: the gradient of the loss."""
    highest, total = scores.max(), f32(0)
    for c in range(scores.shape[0]):
        scores[c] = np.exp(f32(scores[c] - highest))
        total += scores[c]
    for c in range(scores.shape[0]):
        scores[c] = f32(scores[c] / total)
    scores[label] -= f32(1)


@kernel
def fit(
    data: Any,
    offsets: Any,
    labels: Any,
    order: Any,
    table: Any,
    idf: Any,
    weights: Any,
    bias: Any,
    rates: Any,
) -> None:
    """A step of gradient descent on text order[i] with learning rate rates[i], one by one."""
    counts, found = np.zeros(NUM_BUCKETS, np.int32), np.empty(ORDERS * CHARACTERS, np.uint64)
    values, errors = np.empty(ORDERS * CHARACTERS, np.float32), np.empty_like(bias)
    for step in range(order.shape[0]):
        d, rate = order[step], rates[step]
        num = collect_ngrams(data, offsets[d], offsets[d + 1], table, counts, found)
        _weigh(counts, found, num, idf, values)
        errors[:] = bias
        _add_rows(found, values, num, weights, errors)
        _to_errors(errors, labels[d])
        for c in range(errors.shape[0]):
            bias[c] -= f32(f32(rate * f32(BIAS_RATE)) * errors[c])
        for i in range(num):
            row, move = weights[found[i]], f32(rate * values[i])
            for c in range(errors.shape[0]):
                row[c] -= f32(move * errors[c])
