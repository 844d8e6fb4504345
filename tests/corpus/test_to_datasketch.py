"""A signature handed to datasketch is one that datasketch made."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH

from corpus import join_shingle, minhash, split_shingles, to_datasketch
from corpus.hashing.signatures import Hash, Scheme
from tests.corpus.oracle import FUNCTIONS, HASHES, SCHEMES
from tongwen.errors import TongwenError

TEXTS = [
    "不动产登记暂行条例实施细则第一条，为规范不动产登记行为，细化不动产统一登记制度。",
    "不动产登记暂行条例实施细则第一条，为规范不动产登记行为，细化不动产统一登记制度，制定。",
    "The committee shall meet once a year in the city of its seat, and whenever it is called.",
    "",
]


def make_by_datasketch(text: str, hash: Hash, scheme: Scheme, seed: int) -> MinHash:
    sketch = MinHash(num_perm=64, seed=seed, hashfunc=FUNCTIONS[hash], scheme=scheme)
    for shingle in split_shingles(text):
        sketch.update(shingle if hash == "fast" else join_shingle(shingle))
    return sketch


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("hash", HASHES)
def test_it_compares_indexes_and_grows_as_datasketchs_own(hash: Hash, scheme: Scheme) -> None:
    options: dict[str, Any] = {"seed": 4, "hash": hash, "scheme": scheme}
    ours = [
        to_datasketch(row, **options) for row in minhash(pa.array(TEXTS), num_perm=64, **options)
    ]
    theirs = [make_by_datasketch(text, hash, scheme, 4) for text in TEXTS]
    index = MinHashLSH(threshold=0.5, num_perm=64)
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine == other
        assert mine.jaccard(other) == 1.0
        assert mine.hashvalues.dtype == other.hashvalues.dtype
        index.insert(number, mine if number % 2 else other)
        assert number in index.query(other if number % 2 else mine)
    assert ours[0].jaccard(ours[1]) == theirs[0].jaccard(theirs[1]) > 0.5
    new = split_shingles("一段新的文字")[0]
    for sketch in (ours[0], theirs[0]):
        sketch.update(new if hash == "fast" else join_shingle(new))
        sketch.merge(ours[2])
    assert ours[0] == theirs[0]
    assert ours[3].is_empty()


def test_a_signature_may_come_as_a_scalar_an_array_or_a_list() -> None:
    column = minhash(pa.array(TEXTS), num_perm=32)
    rows: list[Any] = [column[0], column[0].values, column[0].as_py(), np.array(column[0].as_py())]
    assert len({tuple(to_datasketch(row).hashvalues.tolist()) for row in rows}) == 1


@pytest.mark.parametrize(("package", "hash"), [("datasketch", "fast"), ("xxhash", "xxh32")])
def test_a_missing_package_is_named(
    package: str, hash: Hash, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TongwenError, match=f"pip install '{package}"):
        to_datasketch([1, 2, 3], hash=hash)
