"""MinHash signatures of a column of texts, the same to the bit as datasketch's.

Broder 1997; the permutations are those of datasketch 2 (https://github.com/ekzhu/datasketch).
`affine32`, its default: h -> a * fmix32(h) + b modulo 2^32 with a odd.  `legacy`, its only one
before: h -> (a * h + b modulo 2^64) modulo 2^61 - 1, lower half; the first modulo is an overflow
that belongs to the values by now.

No Python runs for a text.  Half of the time goes into the permutations, which run at the speed of
the processor's multipliers (`benchmarks/permutation_limit.py`).
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.hashing import kernels
from corpus.hashing.character_table import character_table
from corpus.hashing.shingles import hash_shingle, shingle_keys
from tongwen.errors import TongwenError

if TYPE_CHECKING:
    from datasketch import MinHash

Column: TypeAlias = "pa.Array | pa.ChunkedArray"
Hash: TypeAlias = Literal["fast", "xxh32", "sha1"]
Scheme: TypeAlias = Literal["affine32", "legacy"]

MAX_TEXT_BYTES = 1 << 30
"""Longer texts are refused with the hashes of bytes, which hold a text's folded copy."""


def minhash(
    column: Column,
    *,
    num_perm: int = 128,
    ngram: int = 5,
    seed: int = 1,
    hash: Hash = "fast",
    scheme: Scheme = "affine32",
) -> pa.FixedSizeListArray:
    """A signature for each text.

    Args:
        column: strings; a null counts as an empty text.
        num_perm: values of a signature.
        ngram: tokens of a shingle (see `corpus.hashing.shingles`).
        seed: of the permutations, as in datasketch.
        hash: of a shingle: `fast` is `corpus.hash_shingle`; `xxh32` and `sha1` (the first four
            bytes, datasketch's default) are of the bytes that `corpus.join_shingle` gives.
        scheme: of the permutations, as in datasketch.

    Returns:
        Fixed-size lists of `num_perm` uint32; a text without tokens has all bits set.

    Raises:
        TypeError: the column does not hold strings.
        TongwenError: an argument is out of range.
    """
    _check(num_perm, ngram, hash, scheme)
    if hash == "fast" and scheme == "affine32":
        signatures = sketch_column(column, num_perm, ngram, seed)
    else:
        signatures = _sketch_otherwise(column, num_perm, ngram, seed, hash, scheme)
    return pa.FixedSizeListArray.from_arrays(pa.array(signatures.reshape(-1)), num_perm)


def _check(num_perm: int, ngram: int, hash: str, scheme: str) -> None:
    for name, value in (("num_perm", num_perm), ("ngram", ngram)):
        if value < 1:
            raise TongwenError(f"{name} is {value}", where="minhash", expected="1 or more")
    for name, value, known in (("hash", hash, Hash), ("scheme", scheme, Scheme)):
        if value not in get_args(known):
            expected = " or ".join(get_args(known))
            raise TongwenError(f"{name} is {value!r}", where="minhash", expected=expected)


def sketch_column(column: Column, num_perm: int, ngram: int, seed: int) -> NDArray[np.uint32]:
    """The signatures as an array of shape (texts, num_perm)."""
    data, offsets = string_buffers(column)
    factors, terms = make_permutations(num_perm, seed)
    signatures = np.full((len(offsets) - 1, len(factors)), 0xFFFFFFFF, np.uint32)
    kernels.sketch(data, offsets, character_table(), key_array(ngram), factors, terms, signatures)
    return np.ascontiguousarray(signatures[:, :num_perm])


def _sketch_otherwise(
    column: Column, num_perm: int, ngram: int, seed: int, hash: str, scheme: Scheme
) -> NDArray[np.uint32]:
    """Signatures with a hash of bytes, or of the legacy scheme."""
    data, offsets = string_buffers(column)
    factors, terms = make_permutations(num_perm, seed, scheme)
    signatures = np.full((len(offsets) - 1, len(factors)), 0xFFFFFFFF, np.uint32)
    table = character_table()
    if hash == "fast":
        keys = key_array(ngram)
        kernels.sketch(data, offsets, table, keys, factors, terms, signatures)
    else:
        _check_lengths(offsets)
        sha1 = hash == "sha1"
        kernels.sketch_bytes(data, offsets, table, ngram, sha1, factors, terms, signatures)
    return np.ascontiguousarray(signatures[:, :num_perm])


def _check_lengths(offsets: NDArray[np.int64]) -> None:
    longest = int(np.diff(offsets).max(initial=0))
    if longest > MAX_TEXT_BYTES:
        raise TongwenError(
            f"a text has {longest} bytes",
            where="minhash",
            expected=f"at most {MAX_TEXT_BYTES} with this hash",
            do='use hash="fast", which has no limit',
        )


def to_datasketch(
    signature: Any, *, seed: int = 1, scheme: Scheme = "affine32", hash: Hash = "fast"
) -> MinHash:
    """One signature as datasketch's own object, to compare, index, merge and update.

    Args:
        signature: a row of `minhash`: an Arrow scalar, array or list of numbers.
        seed, scheme, hash: as they were given to `minhash`.

    Returns:
        A MinHash whose `update` takes a shingle (`corpus.split_shingles`) with hash `fast`, else
        its bytes (`corpus.join_shingle`).

    Raises:
        TongwenError: datasketch 2 or xxhash is not installed.
    """
    _check(1, 1, hash, scheme)
    minhash_type = _import("datasketch", "2").MinHash
    functions = {"fast": hash_shingle, "sha1": None}
    hashfunc = _import("xxhash", "3").xxh32_intdigest if hash == "xxh32" else functions[hash]
    values = signature.as_py() if isinstance(signature, pa.Scalar) else signature
    kind = np.uint64 if scheme == "legacy" else np.uint32
    return minhash_type(
        hashvalues=np.array(values, kind), seed=seed, hashfunc=hashfunc, scheme=scheme
    )


def _import(name: str, version: str) -> Any:
    try:
        module = import_module(name)
    except ImportError:
        module = None
    if module is None or int(metadata.version(name).split(".")[0]) < int(version):
        raise TongwenError(
            f"{name} {version} or later is not installed",
            where="to_datasketch",
            do=f"pip install '{name}>={version}'",
        )
    return module


def normalized_keys(column: Column) -> NDArray[np.uint64]:
    """A 128-bit hash of each text's tokens in order, as an array of shape (texts, 2).

    Texts that differ only in case, width, punctuation and space have the same; a text without
    tokens has zeros (`corpus.hashing.shingles.hash_tokens_128`).
    """
    data, offsets = string_buffers(column)
    keys = np.empty((len(offsets) - 1, 2), np.uint64)
    kernels.fingerprint_tokens(data, offsets, character_table(), keys)
    return keys


def sketch_with_normalized(
    column: Column, num_perm: int, ngram: int, seed: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """What `sketch_column` and `normalized_keys` give, cutting the texts into tokens once."""
    data, offsets = string_buffers(column)
    factors, terms = make_permutations(num_perm, seed)
    signatures = np.full((len(offsets) - 1, len(factors)), 0xFFFFFFFF, np.uint32)
    keys = np.empty((len(offsets) - 1, 2), np.uint64)
    shingle_keys = key_array(ngram)
    kernels.sketch(data, offsets, character_table(), shingle_keys, factors, terms, signatures, keys)
    return np.ascontiguousarray(signatures[:, :num_perm]), keys


@lru_cache
def make_permutations(
    num_perm: int, seed: int, scheme: Scheme = "affine32"
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Factors and terms as datasketch draws them, padded to a multiple of 16.

    uint32 with the scheme `affine32`, uint64 with `legacy`.
    """
    random = np.random.RandomState(seed)
    padding = (0, -num_perm % 16)
    if scheme == "legacy":
        prime = (1 << 61) - 1
        pairs = [
            (random.randint(1, prime, dtype=np.uint64), random.randint(0, prime, dtype=np.uint64))
            for _ in range(num_perm)
        ]
        factors, terms = np.array(pairs, np.uint64).T
    else:
        factors = random.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2)
        factors += np.uint32(1)
        terms = random.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    return np.pad(factors, padding), np.pad(terms, padding)


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
