"""Signatures of real documents by ours and by datasketch, compared to the bit.

    python benchmarks/check_identity.py SAMPLE DOCUMENTS

datasketch gets the shingles of `corpus.split_shingles`: as they are with our hash function, else as
the bytes of `corpus.hashing.shingles.join_shingle`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import xxhash
from contenders import NGRAM, NUM_PERM, read_sample
from datasketch import MinHash
from datasketch.hashfunc import sha1_hash32

from corpus import hash_shingle, minhash, split_shingles
from corpus.hashing.shingles import join_shingle

LONGEST = 4_000
"""Characters; plain Python hashes some 100,000 shingles a second."""
HASHES: tuple[Literal["fast", "xxh32", "sha1"], ...] = ("fast", "xxh32", "sha1")
FUNCTIONS: dict[str, Callable[..., int]] = {
    "fast": hash_shingle,
    "xxh32": xxhash.xxh32_intdigest,
    "sha1": sha1_hash32,
}


def main(sample: str, wanted: str) -> None:
    texts = [text for text in read_sample(Path(sample), 1e9) if len(text) <= LONGEST]
    texts = texts[: int(wanted)]
    column = pa.array(texts)
    mismatches = dict.fromkeys(HASHES, 0)
    found = {name: to_numpy(minhash(column, num_perm=NUM_PERM, hash=name)) for name in HASHES}
    for row, text in enumerate(texts):
        shingles = list(set(split_shingles(text, NGRAM)))
        encoded = [join_shingle(shingle) for shingle in shingles]
        for name in HASHES:
            expected = sketch(shingles if name == "fast" else encoded, name)
            mismatches[name] += not np.array_equal(expected, found[name][row])
    print(json.dumps({"documents": len(texts), "mismatches": mismatches}))


def sketch(shingles: list[Any], name: str) -> np.ndarray:
    signature = MinHash(num_perm=NUM_PERM, hashfunc=FUNCTIONS[name])
    signature.update_batch(shingles)
    return signature.hashvalues


def to_numpy(signatures: pa.FixedSizeListArray) -> np.ndarray:
    return signatures.flatten().to_numpy().reshape(len(signatures), -1)


if __name__ == "__main__":
    main(*sys.argv[1:])
