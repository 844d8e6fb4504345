"""Packing loses nothing, overfills nothing and keeps the order of a document's pieces."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.packing import Packing, pack_bucket, pack_documents
from buckets.packing.fit import best_fit, sort_rests

parts = st.lists(st.tuples(st.integers(1, 150), st.integers(0, 4)), min_size=1, max_size=80)


def pack(
    given: list[tuple[int, int]], sequence_length: int, seed: int, ordered: bool = False
) -> Packing:
    lengths, bins = (np.array(column, np.int32) for column in zip(*given, strict=True))
    return pack_bucket(lengths, bins, sequence_length, seed, ordered=ordered)


@settings(max_examples=100, deadline=None)
@given(
    given=parts, sequence_length=st.integers(2, 64), seed=st.integers(0, 9), ordered=st.booleans()
)
def test_every_token_once_in_order(
    given: list[tuple[int, int]], sequence_length: int, seed: int, ordered: bool
) -> None:
    packing = pack(given, sequence_length, seed, ordered)
    places = np.zeros((packing.num_sequences, sequence_length), np.int64)
    found: list[list[tuple[int, int, int]]] = [[] for _ in given]
    columns = (packing.document_Q, packing.start_Q, packing.length_Q)
    columns += (packing.sequence_Q, packing.offset_Q)
    rows = np.stack(columns, 1).tolist()
    assert [row[3:] for row in rows] == sorted(row[3:] for row in rows)
    for part, start, length, sequence, offset in rows:
        assert offset + length <= sequence_length
        places[sequence, offset : offset + length] += 1
        found[part].append((start, length, sequence))
    assert places.max() == 1, "two pieces overlap"
    assert places.any(1).all(), "an empty sequence"
    assert (np.diff(places, axis=1) <= 0).all(), "padding is at the end"
    for pieces, (length, _) in zip(found, given, strict=True):
        pieces.sort()
        assert [start for start, _, _ in pieces] == list(range(0, length, sequence_length))
        assert sum(size for _, size, _ in pieces) == length
        order = [sequence for _, _, sequence in pieces]
        assert order == sorted(set(order)), "pieces out of order"
    assert packing.fill == sum(length for length, _ in given) / places.size


@settings(max_examples=100, deadline=None)
@given(given=parts, sequence_length=st.integers(2, 64))
def test_a_sequence_belongs_to_the_bin_with_most_tokens(
    given: list[tuple[int, int]], sequence_length: int
) -> None:
    packing = pack(given, sequence_length, 0)
    for number, group in enumerate(packing.bin_N.tolist()):
        here = packing.sequence_Q == number
        tokens = [0] * 5
        for part, length in zip(packing.document_Q[here], packing.length_Q[here], strict=True):
            tokens[given[part][1]] += int(length)
        assert group == tokens.index(max(tokens))


@settings(max_examples=150, deadline=None)
@given(given=st.data(), capacity=st.sampled_from([3, 32, 64, 65, 5_000, 20_000]))
def test_best_fit_is_best_fit(given: st.DataObject, capacity: int) -> None:
    """Against a search over all open sequences: the room left over is the least possible."""
    lengths = given.draw(st.lists(st.integers(1, capacity), min_size=1, max_size=60))
    sequences, offsets, count = best_fit(np.array(lengths, np.int32), capacity)
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


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 300), max_size=60), sequence_length=st.integers(1, 90))
def test_rests_come_longest_first_and_equal_ones_as_given(
    lengths: list[int], sequence_length: int
) -> None:
    places, rests = sort_rests(np.array(lengths, np.int32), sequence_length)
    rest = [length % sequence_length for length in lengths]
    expected = sorted((-size, place) for place, size in enumerate(rest) if size)
    assert list(zip((-rests).tolist(), places.tolist(), strict=True)) == expected


def test_fill_is_near_the_best() -> None:
    """Best-fit decreasing needs at most 11/9 of the best; on text-like lengths far less."""
    chance = np.random.default_rng(0)
    lengths = np.clip(chance.lognormal(6, 1.2, 5_000), 1, 60_000).astype(np.int32)
    assert pack_documents(lengths, 4096, 0).fill > 0.995


def test_long_documents_spread_over_the_bucket() -> None:
    """The pieces of a document of 40 sequences among 400 others do not stand side by side."""
    lengths = np.array([64 * 40, *[64] * 400], np.int32)
    packing = pack_documents(lengths, 64, 3)
    gaps = np.diff(packing.sequence_Q[packing.document_Q == 0])
    assert gaps.min() >= 1 and gaps.mean() > 5
