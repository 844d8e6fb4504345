"""Bins cut by tokens: nothing lost, parts in order, and as even as sequences are short."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.cutting import cut_bins

lengths = st.lists(st.integers(1, 3_000), max_size=40)


@settings(max_examples=200, deadline=None)
@given(lengths=lengths, step=st.integers(1, 600), num_buckets=st.integers(1, 9))
def test_parts_cover_every_document_once_in_rising_buckets(
    lengths: list[int], step: int, num_buckets: int
) -> None:
    parts = cut_bins(np.array(lengths, np.int32), step, num_buckets)
    assert parts.bucket_K.tolist() == sorted(parts.bucket_K.tolist())
    for document, length in enumerate(lengths):
        mine = np.flatnonzero(parts.document_K == document)
        ends = (parts.start_K[mine] + parts.length_K[mine]).tolist()
        assert parts.start_K[mine].tolist() == [0, *ends[:-1]] and ends[-1] == length
        assert all(end % step == 0 for end in ends[:-1]), "cut inside a sequence"
        assert len(set(parts.bucket_K[mine].tolist())) == len(mine), "cut for nothing"
    pieces = sum(-(-length // step) for length in lengths)
    assert len(set(parts.bucket_K.tolist())) == min(pieces, num_buckets)


@settings(max_examples=100, deadline=None)
@given(lengths=lengths, num_buckets=st.integers(2, 6))
def test_bins_differ_by_a_sequence_however_long_a_document_is(
    lengths: list[int], num_buckets: int
) -> None:
    length_D = np.array([*lengths, 50_000], np.int32)
    parts = cut_bins(length_D, 100, num_buckets)
    filled = np.bincount(parts.bucket_K, weights=parts.length_K, minlength=num_buckets)
    assert np.abs(filled - length_D.sum() / num_buckets).max() <= 100


@pytest.mark.parametrize(
    ("lengths", "buckets", "expected"),
    [
        ([1_300, 700], 2, [(0, 0, 1_024, 0), (0, 1_024, 276, 1), (1, 0, 700, 1)]),
        ([600], 3, [(0, 0, 512, 0), (0, 512, 88, 1)]),
        ([], 3, []),
    ],
)
def test_worked_examples(lengths: list[int], buckets: int, expected: list[tuple[int, ...]]) -> None:
    parts = cut_bins(np.array(lengths, np.int32), 512, buckets)
    columns = (parts.document_K, parts.start_K, parts.length_K, parts.bucket_K)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
