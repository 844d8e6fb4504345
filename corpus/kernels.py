"""Compiled loops over the bytes of an Arrow string column: tokens, shingles, signatures, sets.

`shingles.py` says what these compute; here is how.  A document's tokens go into a scratch array and
its shingles are hashed 1,024 at a time, so that the permutations (four at a time, vectorised over
the shingles) read from the first-level cache.  The price of numba: some seconds to compile on the
first run of a machine, then a cache; it promotes uint32 to uint64 and mixes of signed and unsigned
to float, hence a cast at each step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from corpus.shingles import (
    CHARACTER,
    IGNORED,
    LAST_HAN,
    MARK,
    MIX,
    TABLE_SIZE,
    WORD,
    WORD_PRIME,
    WORD_SEED,
)

u8, u32, u64 = np.uint8, np.uint32, np.uint64
BLOCK = 1024

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_ZERO, _ONE = u64(0), u64(1)
_SEED, _PRIME = u64(WORD_SEED), u64(WORD_PRIME)
_MIX0, _MIX1, _S33, _S32, _S24 = u64(MIX[0]), u64(MIX[1]), u64(33), u64(32), u32(24)
_TABLE_SIZE, _LAST_HAN, _FOLDED = u32(TABLE_SIZE), u32(LAST_HAN), u32((1 << 24) - 1)
_CHARACTER, _WORD, _MARK, _IGNORED = u32(CHARACTER), u32(WORD), u32(MARK), u32(IGNORED)
_LOW6, _S6, _S12, _S18 = u32(63), u32(6), u32(12), u32(18)


@njit(inline="always")
def _mix64(x: Any) -> Any:
    x = u64(u64(x ^ (x >> _S33)) * _MIX0)
    x = u64(u64(x ^ (x >> _S33)) * _MIX1)
    return u64(x ^ (x >> _S33))


@njit(inline="always")
def _fmix32(x: Any) -> Any:
    x = u32(u32(x ^ (x >> u32(16))) * u32(0x85EBCA6B))
    x = u32(u32(x ^ (x >> u32(13))) * u32(0xC2B2AE35))
    return u32(x ^ (x >> u32(16)))


@njit(inline="always")
def _decode(data: Any, at: Any, length: Any) -> Any:
    """The code point of `length` bytes of UTF-8."""
    first = u32(data[at])
    if length == u64(1):
        return first
    second = u32(data[at + u64(1)]) & _LOW6
    if length == u64(2):
        return u32(((first & u32(31)) << _S6) | second)
    third = u32(data[at + u64(2)]) & _LOW6
    if length == u64(3):
        return u32(((first & u32(15)) << _S12) | (second << _S6) | third)
    fourth = u32(data[at + u64(3)]) & _LOW6
    return u32(((first & u32(7)) << _S18) | (second << _S12) | (third << _S6) | fourth)


@njit(inline="always")
def _look_up(table: Any, code: Any) -> Any:
    if code < _TABLE_SIZE:
        return table[code]
    return u32((_CHARACTER << _S24) | code) if code <= _LAST_HAN else u32(0)


@njit(**_OPTIONS)
def tokenize(data: Any, start: Any, stop: Any, table: Any, tokens: Any) -> Any:
    """Fill `tokens` with the token hashes of data[start:stop]; returns how many."""
    num, word = _ZERO, _ZERO
    at, end = u64(start), u64(stop)
    while at < end:
        first = data[at]
        length = u64(1) + u64(first >= u8(0xC0)) + u64(first >= u8(0xE0)) + u64(first >= u8(0xF0))
        if at + length > end:
            break
        entry = _look_up(table, _decode(data, at, length))
        at += length
        kind = entry >> _S24
        if kind == _WORD or (kind == _MARK and word != _ZERO):
            word = u64(u64((word if word != _ZERO else _SEED) ^ u64(entry & _FOLDED)) * _PRIME)
        elif kind != _IGNORED:
            if word != _ZERO:
                tokens[num] = u64(word ^ (word >> _S32))
                num += _ONE
                word = _ZERO
            if kind == _CHARACTER:
                tokens[num] = u64(entry & _FOLDED)
                num += _ONE
    if word != _ZERO:
        tokens[num] = u64(word ^ (word >> _S32))
        num += _ONE
    return num


@njit(**_OPTIONS)
def _hash_block(tokens: Any, first: Any, num: Any, width: Any, keys: Any, hashes: Any) -> None:
    """64-bit hashes of the `num` shingles that start at `first`, each `width` tokens long."""
    length = u64(keys[0] * u64(width))
    for i in range(num):
        hashes[i] = length
    for j in range(width):
        key, shift = keys[j + 1], first + j
        for i in range(num):
            hashes[i] = u64(hashes[i] + u64(key * tokens[shift + i]))
    for i in range(num):
        hashes[i] = _mix64(hashes[i])


@njit(**_OPTIONS)
def _permute(hashes: Any, num: Any, factors: Any, terms: Any, signature: Any) -> None:
    """Lower the signature by `num` hashes; the number of permutations is a multiple of 4."""
    for k in range(0, factors.shape[0], 4):
        a0, a1, a2, a3 = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        b0, b1, b2, b3 = terms[k], terms[k + 1], terms[k + 2], terms[k + 3]
        m0, m1, m2, m3 = signature[k], signature[k + 1], signature[k + 2], signature[k + 3]
        for i in range(num):
            x = hashes[i]
            m0 = min(m0, u32(u32(a0 * x) + b0))
            m1 = min(m1, u32(u32(a1 * x) + b1))
            m2 = min(m2, u32(u32(a2 * x) + b2))
            m3 = min(m3, u32(u32(a3 * x) + b3))
        signature[k], signature[k + 1], signature[k + 2], signature[k + 3] = m0, m1, m2, m3


@njit(**_OPTIONS)
def sketch(
    data: Any, offsets: Any, table: Any, keys: Any, factors: Any, terms: Any, signatures: Any
) -> None:
    """Signatures of documents data[offsets[d]:offsets[d + 1]]; rows must come filled with ones."""
    tokens = np.empty(_longest(offsets) // 2 + 2, np.uint64)
    hashes, small = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint32)
    for d in range(offsets.shape[0] - 1):
        count = np.int64(tokenize(data, offsets[d], offsets[d + 1], table, tokens))
        width = min(count, keys.shape[0] - 1)
        total = count - width + 1 if count else 0
        for first in range(0, total, BLOCK):
            num = min(BLOCK, total - first)
            _hash_block(tokens, first, num, width, keys, hashes)
            for i in range(num):
                small[i] = _fmix32(u32(hashes[i] >> _S32))
            _permute(small, num, factors, terms, signatures[d])


@njit(**_OPTIONS)
def collect_sets(data: Any, offsets: Any, table: Any, keys: Any, values: Any, ends: Any) -> Any:
    """Each document's shingle hashes, sorted and unique, one after the other in `values`.

    `values` holds the tokens first and needs room for half the bytes and 2 for each document;
    `ends[d]` becomes the end of document d.
    """
    used = 0
    hashes = np.empty(BLOCK, np.uint64)
    for d in range(offsets.shape[0] - 1):
        mine = values[used:]
        count = np.int64(tokenize(data, offsets[d], offsets[d + 1], table, mine))
        width = min(count, keys.shape[0] - 1)
        total = count - width + 1 if count else 0
        # A block's hashes take the place of its own first tokens, which no later block reads.
        for first in range(0, total, BLOCK):
            num = min(BLOCK, total - first)
            _hash_block(mine, first, num, width, keys, hashes)
            mine[first : first + num] = hashes[:num]
        used += _sort_unique(mine[:total])
        ends[d] = used
    return used


@njit(**_OPTIONS)
def _sort_unique(values: Any) -> Any:
    values.sort()
    kept = 0
    for i in range(values.shape[0]):
        if i == 0 or values[i] != values[kept - 1]:
            values[kept] = values[i]
            kept += 1
    return kept


@njit(**_OPTIONS)
def _longest(offsets: Any) -> Any:
    longest = np.int64(0)
    for d in range(offsets.shape[0] - 1):
        longest = max(longest, np.int64(offsets[d + 1] - offsets[d]))
    return longest


@njit(**_OPTIONS)
def make_band_keys(signatures: Any, rows: Any, keys: Any) -> None:
    """keys[band, document]: a 64-bit hash of the band's number and its rows of the signature."""
    for band in range(keys.shape[0]):
        for d in range(signatures.shape[0]):
            state = u64(_SEED + u64(band))
            for row in range(band * rows, (band + 1) * rows):
                state = _mix64(u64(state ^ u64(signatures[d, row])))
            keys[band, d] = state


@njit(**_OPTIONS)
def compare_sets(values: Any, ends: Any, pairs: Any, out: Any) -> None:
    """Jaccard similarity of sets pairs[i, 0] and pairs[i, 1]; -1 where both are empty."""
    for p in range(pairs.shape[0]):
        a, b = pairs[p, 0], pairs[p, 1]
        i, j = (ends[a - 1] if a else 0), (ends[b - 1] if b else 0)
        size = ends[a] - i + ends[b] - j
        common = 0
        while i < ends[a] and j < ends[b]:
            x, y = values[i], values[j]
            common += x == y
            i += x <= y
            j += y <= x
        out[p] = common / (size - common) if size else -1.0


@njit(**_OPTIONS)
def choose_keepers(pairs: Any, keepers: Any, via: Any) -> None:
    """Go through pairs (earlier, later), sorted by later then earlier: a document is removed for
    its earliest kept neighbour.  `keepers` and `via` (the pair's number) come filled with -1."""
    for p in range(pairs.shape[0]):
        earlier, later = pairs[p, 0], pairs[p, 1]
        if keepers[later] < 0 and keepers[earlier] < 0:
            keepers[later] = earlier
            via[later] = p
