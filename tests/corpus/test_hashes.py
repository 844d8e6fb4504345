"""The vectors: SHA-1 and xxHash32 of any bytes, and permutations, against their definitions."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from corpus.hashing.hashes import PADDING, SCRATCH, hash_pieces
from corpus.hashing.kernels import lower_signature
from corpus.hashing.lanes import LANES

MERSENNE = (1 << 61) - 1


def lower(hashes: NDArray[Any], factors: NDArray[Any], terms: NDArray[Any]) -> NDArray[Any]:
    """The signature that the kernel makes of some hashes."""
    signature = np.full(len(factors), 0xFFFFFFFF, np.uint32)
    lower_signature(hashes, len(hashes), factors, terms, signature)
    return signature


def hash_all(data: bytes, pieces: list[tuple[int, int]], sha1: bool) -> list[int]:
    """What the kernel makes of data[start : start + length]."""
    padded = np.frombuffer(data + bytes(PADDING), np.uint8)
    room = (len(pieces) + LANES - 1) // LANES * LANES
    starts, lengths, out = (np.full(room, 0xDEADBEEF, np.uint32) for _ in range(3))
    starts[: len(pieces)] = [start for start, _ in pieces]
    lengths[: len(pieces)] = [length for _, length in pieces]
    hash_pieces(padded, starts, lengths, len(pieces), sha1, out, np.empty(SCRATCH, np.uint32))
    return out[: len(pieces)].tolist()


def expect(data: bytes, pieces: list[tuple[int, int]], sha1: bool) -> list[int]:
    parts = [data[start : start + length] for start, length in pieces]
    if sha1:
        return [int.from_bytes(hashlib.sha1(each).digest()[:4], "little") for each in parts]
    return [xxhash.xxh32_intdigest(each) for each in parts]


@pytest.mark.parametrize("sha1", [True, False])
@pytest.mark.parametrize("order", ["rising", "mixed", "equal"])
def test_hashes_of_every_length_are_hashlibs_and_xxhashs(sha1: bool, order: str) -> None:
    random = np.random.default_rng(7)
    data = random.bytes(5000)
    lengths = np.arange(201) if order != "equal" else np.repeat(np.arange(201), LANES)
    lengths = random.permutation(lengths) if order == "mixed" else lengths
    starts = random.integers(0, len(data) - 200, len(lengths))
    pieces = list(zip(starts.tolist(), lengths.tolist(), strict=True))
    assert hash_all(data, pieces, sha1) == expect(data, pieces, sha1)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=1000), st.data(), st.booleans())
def test_hashes_of_any_pieces_are_hashlibs_and_xxhashs(
    data: bytes, source: st.DataObject, sha1: bool
) -> None:
    start = st.integers(0, len(data))
    bounds = source.draw(st.lists(st.tuples(start, start), max_size=40))
    pieces = [(min(pair), max(pair) - min(pair)) for pair in bounds]
    assert hash_all(data, pieces, sha1) == expect(data, pieces, sha1)


@pytest.mark.parametrize("num_perm", [16, 32, 48])
def test_legacy_permutations_are_exact_next_to_the_prime(num_perm: int) -> None:
    values = [(top << 61) + low for top in range(8) for low in range(MERSENNE - 9, MERSENNE + 1)]
    for start in range(0, len(values) - num_perm, num_perm):
        terms = np.array(values[start : start + num_perm], np.uint64)
        for hash in (0, 1, 3):
            factors = np.full(num_perm, 1 << 32, np.uint64)
            expected = [
                ((hash << 32) + int(term)) % (1 << 64) % MERSENNE % (1 << 32) for term in terms
            ]
            assert lower(np.array([hash], np.uint32), factors, terms).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=70), st.data(), st.booleans())
def test_permutations_are_the_formula(hashes: list[int], source: st.DataObject, wide: bool) -> None:
    bits = 64 if wide else 32
    number = st.integers(0, (1 << bits) - 1)
    num_perm = source.draw(st.sampled_from([16, 32, 80]))
    pairs = source.draw(st.lists(st.tuples(number, number), min_size=num_perm, max_size=num_perm))

    def permute(a: int, b: int, h: int) -> int:
        mixed = (a * h + b) % (1 << bits)
        return mixed % MERSENNE % (1 << 32) if wide else mixed

    expected = [min([permute(a, b, h) for h in hashes], default=0xFFFFFFFF) for a, b in pairs]
    kind = np.uint64 if wide else np.uint32
    factors: NDArray[Any] = np.array([a for a, _ in pairs], kind)
    terms: NDArray[Any] = np.array([b for _, b in pairs], kind)
    assert lower(np.array(hashes, np.uint32), factors, terms).tolist() == expected
