"""Packing loses nothing, overfills nothing and keeps the order of a document's pieces."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.packing import best_fit, pack_documents

lengths = st.lists(st.integers(1, 150), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(lengths=lengths, sequence_length=st.integers(16, 64), seed=st.integers(0, 9))
def test_every_token_once_in_order(lengths: list[int], sequence_length: int, seed: int) -> None:
    packing = pack_documents(np.array(lengths, np.int32), sequence_length, seed)
    places = np.zeros((packing.num_sequences, sequence_length), np.int64)
    found: list[list[tuple[int, int, int]]] = [[] for _ in lengths]
    columns = (packing.document_Q, packing.start_Q, packing.length_Q)
    columns += (packing.sequence_Q, packing.offset_Q)
    for document, start, length, sequence, offset in np.stack(columns, 1).tolist():
        assert offset + length <= sequence_length
        places[sequence, offset : offset + length] += 1
        found[document].append((start, length, sequence))
    assert places.max() == 1, "two pieces overlap"
    assert places.any(1).all(), "an empty sequence"
    assert (np.diff(places, axis=1) <= 0).all(), "padding is at the end"
    for pieces, length in zip(found, lengths, strict=True):
        pieces.sort()
        assert [start for start, _, _ in pieces] == list(range(0, length, sequence_length))
        assert sum(size for _, size, _ in pieces) == length
        order = [sequence for _, _, sequence in pieces]
        assert order == sorted(set(order)), "pieces out of order"
    assert packing.fill == sum(lengths) / places.size


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 31), min_size=1, max_size=60), capacity=st.just(32))
def test_best_fit_is_best_fit(lengths: list[int], capacity: int) -> None:
    """Against a search over all open sequences: the room left over is the least possible."""
    sequences, offsets, count = best_fit(lengths, capacity)
    used: list[int] = []
    for length, sequence, offset in zip(lengths, sequences, offsets, strict=True):
        rooms = [capacity - filled for filled in used if capacity - filled >= length]
        if sequence == len(used):
            assert not rooms and offset == 0
            used.append(length)
        else:
            assert capacity - used[sequence] == min(rooms) and offset == used[sequence]
            used[sequence] += length
    assert count == len(used) and max(used) <= capacity


def test_fill_is_near_the_best() -> None:
    """Best-fit decreasing needs at most 11/9 of the best; on text-like lengths far less."""
    chance = np.random.default_rng(0)
    lengths = np.clip(chance.lognormal(6, 1.2, 5_000), 1, 60_000).astype(np.int32)
    assert pack_documents(lengths, 4096, 0).fill > 0.995


def test_seed_orders_the_sequences() -> None:
    lengths = np.arange(1, 200, dtype=np.int32)
    first, again, other = (pack_documents(lengths, 64, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.document_Q, again.document_Q)
    assert not np.array_equal(first.document_Q, other.document_Q)


def test_long_documents_spread_over_the_bucket() -> None:
    """The pieces of a document of 40 sequences among 400 others do not stand side by side."""
    lengths = np.array([64 * 40, *[64] * 400], np.int32)
    packing = pack_documents(lengths, 64, 3)
    gaps = np.diff(packing.sequence_Q[packing.document_Q == 0])
    assert gaps.min() >= 1 and gaps.mean() > 5
