"""Every bucket gets one bin of every group, of nearly equal tokens, or the recipe is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.plan import (
    Balance,
    Group,
    assign_buckets,
    find_too_long,
    measure_balance,
    name_bins,
    refuse_too_long,
)
from tongwen.errors import TongwenError

LAW, POEMS, OTHER, NEWS = (Group("zh", name) for name in ("law", "poems", "other", "news"))
BOOKS = Group("en", "books")


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(1, 500), min_size=8, max_size=60), min_size=1, max_size=5),
    num_buckets=st.integers(1, 8),
    step=st.integers(20, 600),
)
def test_bins_differ_by_at_most_a_sequence(
    sizes: list[list[int]], num_buckets: int, step: int
) -> None:
    length_U = np.concatenate([np.array(group, np.int32) for group in sizes])
    bin_U = np.repeat(np.arange(len(sizes)), [len(group) for group in sizes])
    parts = assign_buckets(length_U, bin_U, num_buckets, step)
    names = tuple(Group("zh", str(i)) for i in range(len(sizes)))
    args = (parts.length_K, bin_U[parts.document_K], parts.bucket_K, num_buckets)
    balance = measure_balance(names, *args)
    assert balance.tokens_BG.sum() == length_U.sum()
    found = np.bincount(parts.document_K, parts.length_K, len(length_U))
    assert found.tolist() == length_U.tolist()
    for number, group in enumerate(sizes):
        tokens_B = balance.tokens_BG[:, number]
        assert tokens_B.min() > 0, "a bucket without a bin"
        assert tokens_B.max() - tokens_B.min() <= max(min(max(group), step), 2 * step)
        assert abs(balance.target_G[number] - sum(group) / num_buckets) <= 0.5


def test_groups_are_even_together() -> None:
    """With many documents each bucket's mixture is the stage's mixture."""
    chance = np.random.default_rng(1)
    length_U = chance.integers(10, 2_000, 20_000).astype(np.int32)
    bin_U = chance.choice(5, 20_000, p=[0.5, 0.2, 0.2, 0.05, 0.05])
    parts = assign_buckets(length_U, bin_U, 16, 512)
    names = tuple(Group("zh", str(i)) for i in range(5))
    args = (parts.length_K, bin_U[parts.document_K], parts.bucket_K, 16)
    points, _ = measure_balance(names, *args).largest_deviation
    assert points < 0.01


def test_largest_deviation_names_the_bin() -> None:
    """Bucket 0 holds 9 + 1 tokens, bucket 1 5 + 5: law has 70 % of all, 90 % and 50 % here."""
    tokens_BG = np.array([[9, 1], [5, 5]])
    points, group = Balance((LAW, POEMS), tokens_BG).largest_deviation
    assert abs(points - 20) < 1e-9 and group in (LAW, POEMS)


def test_large_groups_stay_as_they_are() -> None:
    counts = {LAW: 8, BOOKS: 9}
    assert name_bins(counts, counts, 8, "refuse", "stages.x") == {LAW: LAW, BOOKS: BOOKS}


def test_refusal_lists_groups_and_counts() -> None:
    counts = {LAW: 100, POEMS: 3, BOOKS: 1}
    with pytest.raises(TongwenError, match=r"en/books \(1\), zh/poems \(3\)"):
        name_bins(counts, counts, 8, "refuse", "stages.x")


def test_one_document_is_too_few_for_one_bucket() -> None:
    with pytest.raises(TongwenError, match=r"zh/poems \(1\)"):
        name_bins({LAW: 5, POEMS: 1}, {LAW: 5, POEMS: 1}, 1, "refuse", "stages.x")


def test_small_groups_join_other() -> None:
    counts = {LAW: 100, POEMS: 5, NEWS: 5, BOOKS: 50}
    bins = name_bins(counts, counts, 8, "merge", "stages.x")
    assert bins == {LAW: LAW, POEMS: OTHER, NEWS: OTHER, BOOKS: BOOKS}


def test_small_groups_join_a_category_named_other() -> None:
    counts = {LAW: 100, POEMS: 2, OTHER: 20}
    assert name_bins(counts, counts, 8, "merge", "x") == {LAW: LAW, POEMS: OTHER, OTHER: OTHER}


def test_small_other_joins_the_largest_of_its_language() -> None:
    counts = {LAW: 100, NEWS: 90, POEMS: 2, BOOKS: 900}
    tokens = {LAW: 1_000, NEWS: 5_000, POEMS: 2, BOOKS: 90_000}
    bins = name_bins(counts, tokens, 8, "merge", "stages.x")
    assert bins == {LAW: LAW, NEWS: NEWS, POEMS: NEWS, BOOKS: BOOKS}


def test_language_too_small_as_a_whole() -> None:
    counts = {LAW: 100, BOOKS: 2}
    with pytest.raises(TongwenError, match=r"en/books \(2\)"):
        name_bins(counts, counts, 8, "merge", "stages.x")


def test_document_longer_than_a_bucket() -> None:
    length_U = np.array([700, 100, 100, 100], np.int32)
    assert find_too_long(length_U, 1) is None
    assert find_too_long(length_U, 2) == 0
    message = str(refuse_too_long("abc", 700, 1_000, 2, "stages.x"))
    for word in ("abc", "700", "500", "at most 1 buckets", "stages.x.buckets = 2"):
        assert word in message
