"""datasketch, fed with shingles made in plain Python: what signatures must equal to the bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import pyarrow as pa
import xxhash
from datasketch import MinHash
from datasketch.hashfunc import sha1_hash32

from corpus import hash_shingle, join_shingle, minhash, split_shingles
from corpus.hashing.signatures import Hash, Scheme

HASHES: tuple[Hash, ...] = ("fast", "xxh32", "sha1")
SCHEMES: tuple[Scheme, ...] = ("affine32", "legacy")
FUNCTIONS: dict[str, Callable[[Any], int]] = {
    "fast": hash_shingle,
    "xxh32": xxhash.xxh32_intdigest,
    "sha1": sha1_hash32,
}
FILLER = "filler " * 60
"""Goes after short texts, so that they are not the last bytes of their column."""


def hash_text(text: str, ngram: int, hash: str) -> list[int]:
    """The hashes of a text's shingles, as datasketch's hash functions give them."""
    shingles: list[Any] = split_shingles(text, ngram)
    shingles = shingles if hash == "fast" else [join_shingle(each) for each in shingles]
    return [FUNCTIONS[hash](each) for each in shingles]


def make_signature(
    hashes: list[int], num_perm: int, seed: int, scheme: Literal["affine32", "legacy"]
) -> list[int]:
    """datasketch's hash values for given hashes."""
    sketch = _make_empty(num_perm, seed, scheme).copy()
    sketch.update_batch(hashes)
    return sketch.hashvalues.tolist()


def assert_equal_to_datasketch(
    texts: list[str], *, num_perm: int, ngram: int, seed: int, hash: Hash, scheme: Scheme
) -> None:
    """Texts in the middle and at the end of a column both have datasketch's signature."""
    options: dict[str, Any] = {"num_perm": num_perm, "ngram": ngram, "seed": seed}
    options |= {"hash": hash, "scheme": scheme}
    found = minhash(pa.array([*texts, FILLER], pa.string()), **options).to_pylist()[:-1]
    alone = minhash(pa.array(texts, pa.string()), **options).to_pylist()
    for text, signature, again in zip(texts, found, alone, strict=True):
        expected = make_signature(hash_text(text, ngram, hash), num_perm, seed, scheme)
        assert signature == expected, text
        assert again == expected, text


@lru_cache
def _make_empty(num_perm: int, seed: int, scheme: Literal["affine32", "legacy"]) -> MinHash:
    return MinHash(num_perm=num_perm, seed=seed, hashfunc=int, scheme=scheme)
