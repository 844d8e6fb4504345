"""The bins of a bucket alternate as evenly as Tijdeman's theorem says."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.packing import Packing, bound_run, pack_bucket
from buckets.packing.pack import make_keys

S = 16
sizes = st.lists(st.integers(0, 25), min_size=1, max_size=9).filter(any)


def pack_whole(counts: list[int], seed: int = 0, ordered: bool = False) -> Packing:
    """A bucket of `counts[g]` documents of bin g, each a sequence."""
    bins = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return pack_bucket(np.full(len(bins), S, np.int32), bins, S, seed, ordered=ordered)


def find_runs(packing: Packing) -> list[tuple[int, int]]:
    """(length, bin) of every run, the longest first, of several the smallest bin."""
    runs = [(len(list(run)), group) for group, run in groupby(packing.bin_N.tolist())]
    return sorted(runs, key=lambda run: (-run[0], run[1]))


@settings(max_examples=200, deadline=None)
@given(counts=sizes)
def test_every_beginning_has_each_bin_in_its_share(counts: list[int]) -> None:
    """Off by at most 1 - 1/(2G - 2), in exact arithmetic."""
    packing = pack_whole(counts)
    total, done = sum(counts), [0] * len(counts)
    groups = sum(count > 0 for count in counts)
    most = 1 - Fraction(1, 2 * groups - 2) if groups > 1 else Fraction(0)
    for place, group in enumerate(packing.bin_N.tolist(), 1):
        done[group] += 1
        for count, so_far in zip(counts, done, strict=True):
            assert abs(so_far - Fraction(place * count, total)) <= most
    assert done == counts


@settings(max_examples=200, deadline=None)
@given(counts=sizes)
def test_no_run_is_longer_than_the_bound(counts: list[int]) -> None:
    packing = pack_whole(counts)
    longest, group = find_runs(packing)[0]
    assert (packing.longest_run, packing.longest_run_bin) == (longest, group)
    bins, total = sum(count > 0 for count in counts), sum(counts)
    assert packing.run_bound == bound_run(counts[group], total, bins) >= longest
    for length, each in find_runs(packing):
        assert length <= bound_run(counts[each], total, bins)
        assert bins == 1 or length * (1 - Fraction(counts[each], total)) < 2


def test_the_bound_is_reached() -> None:
    """Two bins of 2 and 1 sequences: 3 of the larger one may follow, and 1/(1 - 2/3) is 3."""
    assert bound_run(2, 3, 2) == 3
    assert bound_run(5, 10, 2) == 2
    assert bound_run(9, 10, 2) == 10
    assert bound_run(7, 7, 1) == 7


@settings(max_examples=150, deadline=None)
@given(
    given=st.lists(st.tuples(st.integers(1, 90), st.integers(0, 3)), min_size=1, max_size=80),
    ordered=st.booleans(),
)
def test_runs_and_bound_where_sequences_must_wait(
    given: list[tuple[int, int]], ordered: bool
) -> None:
    lengths, bins = (np.array(column, np.int32) for column in zip(*given, strict=True))
    packing = pack_bucket(lengths, bins, S, 1, ordered=ordered)
    longest, group = find_runs(packing)[0]
    assert (packing.longest_run, packing.longest_run_bin) == (longest, group)
    assert longest <= packing.run_bound <= packing.num_sequences * 2


def test_a_sequence_that_ends_documents_waits_for_them_and_its_bin_catches_up() -> None:
    """Ten documents of bins 0 to 9, each a sequence and one token, and what fills up the last
    sequence is of bin 10: it alone could go anywhere, but must come last."""
    lengths = np.array([*[S + 1] * 10, S - 10], np.int32)
    bins = np.array([*range(10), 10], np.int32)
    packing = pack_bucket(lengths, bins, S, 3)
    assert packing.num_sequences == 11 and packing.fill == 1
    assert packing.bin_N[-1] == 10 and packing.longest_run <= packing.run_bound


def test_ordered_keeps_the_order_given_inside_each_bin() -> None:
    packing = pack_whole([30, 20, 10], ordered=True)
    for group in range(3):
        mine = packing.document_Q[packing.bin_N[packing.sequence_Q] == group]
        assert (np.diff(mine) > 0).all()
    other = pack_whole([30, 20, 10], seed=5, ordered=True)
    assert np.array_equal(packing.document_Q, other.document_Q)


def test_ordered_goes_by_the_mean_place_of_short_documents() -> None:
    """Pairs that fill a sequence: (0, 7), (1, 2), ... by construction of their lengths."""
    lengths = np.array([15, 14, 2, 13, 3, 12, 4, 1], np.int32)
    packing = pack_bucket(lengths, np.zeros(8, np.int32), S, 0, ordered=True)
    means = [
        packing.document_Q[packing.sequence_Q == number].mean()
        for number in range(packing.num_sequences)
    ]
    assert packing.fill == 1 and means == [1.5, 3.5, 3.5, 5.5]


def test_seed_orders_the_sequences() -> None:
    first, again, other = (pack_whole([50, 30], seed) for seed in (1, 1, 2))
    for name in ("document_Q", "sequence_Q", "bin_N"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.document_Q, other.document_Q)
    assert np.array_equal(first.bin_N, other.bin_N)


def test_keys_are_those_of_splitmix64() -> None:
    """The first outputs of the published generator for the seed 1234567."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert make_keys(3, 1234567).tolist() == expected


def test_order_of_a_bin_is_random() -> None:
    """Places of 2,000 sequences of one bin are not correlated with their numbers."""
    packing = pack_whole([2_000])
    assert abs(np.corrcoef(packing.document_Q, np.arange(2_000))[0, 1]) < 0.08
