"""MinHash signatures of a column of texts, the same to the bit as datasketch's.

Broder 1997; the permutations are those of datasketch 2's default scheme `affine32`
(https://github.com/ekzhu/datasketch): h -> a * fmix32(h) + b modulo 2^32 with a odd.  No Python
runs for a document: some 350 MB of Chinese text a second and core (240 of English) with 128
permutations, where datasketch with ready-made shingles and its default hash does 6.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import kernels
from corpus.shingles import TABLE_SIZE, classify, shingle_keys

Column: TypeAlias = "pa.Array | pa.ChunkedArray"


def minhash(
    column: Column, *, num_perm: int = 128, ngram: int = 5, seed: int = 1
) -> pa.FixedSizeListArray:
    """A signature for each text.

    Args:
        column: strings; a null counts as an empty text.
        num_perm: values of a signature.
        ngram: tokens of a shingle (see `corpus.shingles`).
        seed: of the permutations, as in datasketch.

    Returns:
        Fixed-size lists of `num_perm` uint32; a text without tokens has all bits set.

    Raises:
        TypeError: the column does not hold strings.
    """
    signatures = sketch_column(column, num_perm, ngram, seed)
    return pa.FixedSizeListArray.from_arrays(pa.array(signatures.reshape(-1)), num_perm)


def sketch_column(column: Column, num_perm: int, ngram: int, seed: int) -> NDArray[np.uint32]:
    """The signatures as an array of shape (texts, num_perm)."""
    data, offsets = string_buffers(column)
    factors, terms = make_permutations(num_perm, seed)
    signatures = np.full((len(offsets) - 1, len(factors)), 0xFFFFFFFF, np.uint32)
    kernels.sketch(data, offsets, character_table(), key_array(ngram), factors, terms, signatures)
    return np.ascontiguousarray(signatures[:, :num_perm])


@lru_cache
def make_permutations(num_perm: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Factors and terms as datasketch draws them, padded to a multiple of 4."""
    random = np.random.RandomState(seed)
    factors = random.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    terms = random.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    padding = (0, -num_perm % 4)
    return np.pad(factors, padding), np.pad(terms, padding)


@lru_cache
def character_table() -> NDArray[np.uint32]:
    """Kind (from bit 24) and folded code point of every code point of planes 0 and 1."""
    entries = (classify(code) for code in range(TABLE_SIZE))
    return np.fromiter((kind << 24 | folded for kind, folded in entries), np.uint32, TABLE_SIZE)


def key_array(ngram: int) -> NDArray[np.uint64]:
    """The multipliers of a shingle's tokens."""
    return np.array(shingle_keys(ngram), np.uint64)


def string_buffers(column: Column) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bytes and offsets of a column of strings, without copying the bytes of a plain array.

    Raises:
        TypeError: the column does not hold strings.
    """
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        if not (pa.types.is_string_view(kind) or pa.types.is_null(kind)):
            raise TypeError(f"a column of strings is needed, not of {kind}")
        column = column.cast(pa.large_string())
    if isinstance(column, pa.ChunkedArray):
        column = column.cast(pa.large_string()).combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if column.null_count:
        column = column.fill_null("")
    return _array_buffers(column)


def _array_buffers(array: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    width = np.dtype(np.int64 if pa.types.is_large_string(array.type) else np.int32)
    _, starts, content = array.buffers()
    if starts is None or not len(array):
        return np.frombuffer(b"", np.uint8), np.zeros(len(array) + 1, np.int64)
    offsets = np.frombuffer(starts, width, len(array) + 1, array.offset * width.itemsize)
    data = np.frombuffer(content if content is not None else b"", np.uint8)
    # Numba compiles once more for writable bytes.
    data.flags.writeable = False
    return data, offsets.astype(np.int64)
