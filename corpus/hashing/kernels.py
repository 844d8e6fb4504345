"""Compiled loops over an Arrow column of texts: shingles, signatures, sets, hashes of whole texts.

`shingles` says what these compute, `tokens` cuts a text up, `lanes` and `hashes` are the vectors;
here they are put together.  A text goes by in pieces of 8 KB whose tokens and hashes stay in the
first-level cache, so the room needed does not depend on a text's length.  Only the hashes of other
makers (SHA-1, xxHash32), which are hashes of bytes, need a text's folded copy as a whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from corpus.compiled import kernel, part
from corpus.hashing.hashes import PADDING, SCRATCH, hash_pieces
from corpus.hashing.joining import join_tokens
from corpus.hashing.lanes import lower_16, lower_32
from corpus.hashing.shingles import FINGERPRINT_FACTOR, KEY_STEP, MIX
from corpus.hashing.tokens import tokenize, tokenize_piece

u32, u64 = np.uint32, np.uint64
BLOCK, PIECE = 1024, 8192
ROUND = 32
"""Loops over shingles run on to a multiple of this: what is vectorised then has no remainder."""

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_ZERO = u64(0)
_SEED = u64(0xCBF29CE484222325)
_MIX0, _MIX1, _S33, _S32 = u64(MIX[0]), u64(MIX[1]), u64(33), u64(32)
_STEP, _FINGERPRINT = u64(KEY_STEP), u64(FINGERPRINT_FACTOR)


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


@part
def _hash_shingles(tokens: Any, num: Any, width: Any, keys: Any, hashes: Any) -> None:
    """64-bit hashes of the `num` shingles that start with the first tokens; more are written."""
    rounded = u64((num + ROUND - 1) // ROUND * ROUND)
    length = u64(keys[0] * u64(width))
    if width == 5:
        k1, k2, k3, k4, k5 = keys[1], keys[2], keys[3], keys[4], keys[5]
        for i in range(rounded):
            first = u64(k1 * tokens[i] + k2 * tokens[i + u64(1)] + k3 * tokens[i + u64(2)])
            rest = u64(k4 * tokens[i + u64(3)] + k5 * tokens[i + u64(4)])
            hashes[i] = _mix64(u64(length + first + rest))
        return
    for i in range(rounded):
        hashes[i] = length
    for j in range(width):
        key, mine = keys[j + 1], tokens[j:]
        for i in range(rounded):
            hashes[i] = u64(hashes[i] + u64(key * mine[i]))
    for i in range(rounded):
        hashes[i] = _mix64(hashes[i])


@part
def lower_signature(hashes: Any, num: Any, factors: Any, terms: Any, signature: Any) -> None:
    """Lower the signature by `num` hashes; the number of permutations is a multiple of 16."""
    whole = factors.shape[0] // 32 * 32
    for at in range(0, whole, 32):
        lower_32(hashes, num, factors, terms, signature, at)
    if whole < factors.shape[0]:
        lower_16(hashes, num, factors, terms, signature, whole)


@part
def _add_tokens(tokens: Any, num: Any, sums: Any) -> None:
    """Go on with the fingerprint of a text: two sums and how many tokens were before."""
    first, second = sums[0], sums[1]
    place = u64(sums[2] + u64(1))
    for i in range(u64(num)):
        mixed = _mix64(u64(tokens[i] + u64(_STEP * u64(place + i))))
        first = u64(first + mixed)
        second = u64(second + u64(u64(mixed ^ (mixed >> _S32)) * _FINGERPRINT))
    sums[0], sums[1], sums[2] = first, second, u64(sums[2] + u64(num))


@part
def _close_fingerprint(sums: Any, out: Any) -> None:
    for half in range(2):
        out[half] = _mix64(u64(sums[half] + sums[2])) if sums[2] else _ZERO


@kernel
def fingerprint_tokens(data: Any, offsets: Any, table: Any, out: Any) -> None:
    """out[d]: both halves of the 128-bit hash of document d's whole sequence of tokens."""
    tokens, sums = np.empty(PIECE // 2 + 2 * ROUND, np.uint64), np.empty(3, np.uint64)
    for d in range(offsets.shape[0] - 1):
        at, stop = u64(offsets[d]), u64(offsets[d + 1])
        sums[:] = _ZERO
        while at < stop:
            enough = min(at + u64(PIECE), stop)
            num, at = tokenize_piece(data, at, enough, stop, table, tokens, None)
            _add_tokens(tokens, num, sums)
        _close_fingerprint(sums, out[d])


@kernel
def sketch(
    data: Any,
    offsets: Any,
    table: Any,
    keys: Any,
    factors: Any,
    terms: Any,
    signatures: Any,
    fingerprints: Any = None,
) -> None:
    """Signatures of documents data[offsets[d]:offsets[d + 1]]; rows must come filled with ones.

    `fingerprints`, where given, gets what `fingerprint_tokens` writes.
    """
    room = PIECE // 2 + 3 * ROUND + keys.shape[0]
    tokens, sums = np.empty(room, np.uint64), np.empty(3, np.uint64)
    hashes, small = np.empty(room, np.uint64), np.empty(room, np.uint32)
    ngram = keys.shape[0] - 1
    for d in range(offsets.shape[0] - 1):
        at, stop = u64(offsets[d]), u64(offsets[d + 1])
        held, seen = 0, False
        sums[:] = _ZERO
        while at < stop:
            enough = min(at + u64(PIECE), stop)
            fresh = tokens[held:]
            num, at = tokenize_piece(data, at, enough, stop, table, fresh, None)
            if fingerprints is not None:
                _add_tokens(fresh, num, sums)
            held += np.int64(num)
            width = ngram if seen or at < stop else min(held, ngram)
            total = held - width + 1 if held >= width and width else 0
            if total:
                seen = True
                _hash_shingles(tokens, total, width, keys, hashes)
                _halve(hashes, total, factors, small)
                lower_signature(small, total, factors, terms, signatures[d])
            kept = min(held, ngram - 1)
            for i in range(kept):
                tokens[i] = tokens[held - kept + i]
            held = kept
        if fingerprints is not None:
            _close_fingerprint(sums, fingerprints[d])


@part
def _halve(hashes: Any, num: Any, factors: Any, small: Any) -> None:
    """The upper halves, as the scheme wants them."""
    for i in range(u64((num + ROUND - 1) // ROUND * ROUND)):
        small[i] = u32(hashes[i] >> _S32)
    _premix(small, num, factors)


@part
def _premix(small: Any, num: Any, factors: Any) -> None:
    """Affine permutations (of 32 bits) start from mixed hashes, legacy ones do not."""
    if factors.itemsize == 4:
        for i in range(u64((num + ROUND - 1) // ROUND * ROUND)):
            small[i] = _fmix32(small[i])


@kernel
def sketch_bytes(
    data: Any,
    offsets: Any,
    table: Any,
    ngram: Any,
    sha1: Any,
    factors: Any,
    terms: Any,
    signatures: Any,
) -> None:
    """What `sketch` does, with SHA-1 or xxHash32 of the bytes of a shingle."""
    longest = _longest(offsets)
    tokens, spans = np.empty(longest // 2 + 2, np.uint64), np.empty(longest // 2 + 2, np.uint64)
    joined = np.empty(2 * longest + 2 * PADDING, np.uint8)
    starts, scratch = np.empty(longest // 2 + 2 * ROUND, np.uint32), np.empty(SCRATCH, np.uint32)
    ends, hashes = np.empty_like(starts), np.empty_like(starts)
    for d in range(offsets.shape[0] - 1):
        start, stop = offsets[d], offsets[d + 1]
        found = tokenize_piece(data, start, stop, stop, table, tokens, spans)[0]
        count = np.int64(found)
        join_tokens(data, start, table, tokens, spans, count, joined, ends)
        width = min(count, ngram)
        total = count - width + 1 if count else 0
        for i in range(total):
            starts[i] = spans[i]
            ends[i] = ends[i + width - 1] - starts[i]
        hash_pieces(joined, starts, ends, total, sha1, hashes, scratch)
        _premix(hashes, total, factors)
        lower_signature(hashes, total, factors, terms, signatures[d])


@kernel
def collect_sets(data: Any, offsets: Any, table: Any, keys: Any, values: Any, ends: Any) -> Any:
    """Each document's shingle hashes, sorted and unique, one after the other in `values`.

    `values` holds the tokens first and needs room for half the bytes and 2 for each document;
    `ends[d]` becomes the end of document d.
    """
    used = 0
    longest = _longest(offsets) // 2 + 2
    ordered, places = np.empty(longest, np.uint64), np.empty(4 * longest + 8, np.int64)
    tokens = np.empty(BLOCK + ROUND + keys.shape[0], np.uint64)
    hashes = np.empty(BLOCK, np.uint64)
    for d in range(offsets.shape[0] - 1):
        mine = values[used:]
        count = np.int64(tokenize(data, offsets[d], offsets[d + 1], table, mine))
        width = min(count, keys.shape[0] - 1)
        total = count - width + 1 if count else 0
        # A block's hashes take the place of its own first tokens, which no later block reads.
        for first in range(0, total, BLOCK):
            num = min(BLOCK, total - first)
            tokens[: num + width - 1] = mine[first : first + num + width - 1]
            _hash_shingles(tokens, num, width, keys, hashes)
            mine[first : first + num] = hashes[:num]
        used += sort_unique(mine[:total], ordered, places)
        ends[d] = used
    return used


@part
def sort_unique(values: Any, ordered: Any, places: Any) -> Any:
    """Sort hashes in place, each once; returns how many are left.

    Hashes are spread evenly, so their first bits say almost where each belongs: they are dealt out
    by those, and what is left to do is insertion over a place or two.  4 us for 700 hashes, where
    a comparing sort takes 9 to 23.

    Args:
        values: at most 2^62.
        ordered, places: scratch, as long as `values` and 4 times that and 8 more.
    """
    size, shift = np.int64(1), u64(64)
    while size < values.shape[0]:
        size, shift = 2 * size, shift - u64(1)
    if size == 1:
        return values.shape[0]
    places[: size + 1] = 0
    for i in range(values.shape[0]):
        places[np.int64(values[i] >> shift) + 1] += 1
    for place in range(size):
        places[place + 1] += places[place]
    for i in range(values.shape[0]):
        place = np.int64(values[i] >> shift)
        ordered[places[place]] = values[i]
        places[place] += 1
    return _insert(values, ordered)


@part
def _insert(values: Any, ordered: Any) -> Any:
    """Insertion sort of what is almost ordered; equal ones come once."""
    kept = 0
    for i in range(values.shape[0]):
        new, at = ordered[i], kept
        while at > 0 and values[at - 1] > new:
            at -= 1
        if at > 0 and values[at - 1] == new:
            continue
        for move in range(kept, at, -1):
            values[move] = values[move - 1]
        values[at] = new
        kept += 1
    return kept


@part
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
