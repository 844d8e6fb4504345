"""The stream of a cell, bin by bin: everything once, in order, cut only where it may be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from buckets.planning.cursor import WAITING, Cursor, Uses, join_uses, read_stream

ROW = np.dtype([("length", "<i4"), ("used", "<i8")])
Lengths = st.lists(st.integers(1, 60), min_size=1, max_size=120)


def make_rows(lengths: list[int], used: list[int] | None = None) -> NDArray:
    rows = np.zeros(len(lengths), ROW)
    rows["length"] = lengths
    rows["used"] = used or 0
    return rows


def open_cursor(
    lengths: list[int], sequence: int, epochs: int = 1, used: list[int] | None = None
) -> Cursor:
    return Cursor(read_stream(make_rows(lengths, used), 0, epochs), sequence)


def take_bins(cursor: Cursor, total: int, num_bins: int) -> list[Uses]:
    bins: list[Uses] = []
    done = 0
    for step in range(1, num_bins + 1):
        bins.append(cursor.take(total * step // num_bins - done))
        done += bins[-1].num_tokens
    return bins


def list_parts(uses: Uses) -> list[tuple[int, int, int, int]]:
    columns = (uses.row_U, uses.epoch_U, uses.start_U, uses.length_U)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(Lengths, st.integers(4, 40), st.integers(1, 9), st.integers(1, 3))
def test_all_bins_together_hold_every_use_whole_and_in_order(
    lengths: list[int], sequence: int, num_bins: int, epochs: int
) -> None:
    bins = take_bins(open_cursor(lengths, sequence, epochs), sum(lengths) * epochs, num_bins)
    reached: dict[tuple[int, int], int] = {}
    for row, epoch, start, length in list_parts(join_uses(bins)):
        assert reached.get((row, epoch), 0) == start
        reached[row, epoch] = start + length
    expected = {(r, e): n for r, n in enumerate(lengths) for e in range(1, epochs + 1)}
    assert reached == expected


@given(Lengths, st.integers(4, 40), st.integers(2, 9))
def test_only_documents_longer_than_a_sequence_are_cut_and_at_whole_sequences(
    lengths: list[int], sequence: int, num_bins: int
) -> None:
    bins = take_bins(open_cursor(lengths, sequence), sum(lengths), num_bins)
    for row, _, start, length in list_parts(join_uses(bins)):
        assert start % sequence == 0
        if start + length < lengths[row]:
            assert lengths[row] > sequence and length % sequence == 0


@given(Lengths, st.integers(4, 40), st.integers(1, 12))
def test_a_bin_misses_its_target_by_at_most_half_the_largest_thing_that_is_not_cut(
    lengths: list[int], sequence: int, num_bins: int
) -> None:
    total, done = sum(lengths), 0
    cursor = open_cursor(lengths, sequence)
    for step in range(1, num_bins + 1):
        done += cursor.take(total * step // num_bins - done).num_tokens
        largest = min(sequence, max(lengths))
        assert abs(total * step / num_bins - done) <= largest / 2 + 1


def test_what_fits_best_is_taken_out_of_turn_and_the_others_come_next() -> None:
    cursor = open_cursor([300, 600, 400, 90, 1300], 512)
    first, second = cursor.take(1000), cursor.take(1400)
    assert list_parts(first) == [(0, 1, 0, 300), (1, 1, 0, 600), (3, 1, 0, 90)]
    assert list_parts(second) == [(2, 1, 0, 400), (4, 1, 0, 1024)]


def test_a_document_is_used_again_only_after_all_were_used_once() -> None:
    cursor = open_cursor([10] * 200, 64, epochs=2)
    epochs = [epoch for _, epoch, _, _ in list_parts(cursor.take(4000))]
    assert epochs == [1] * 200 + [2] * 200


@given(Lengths, st.integers(4, 40), st.data())
def test_what_was_used_before_is_not_used_again(
    lengths: list[int], sequence: int, data: st.DataObject
) -> None:
    used = [data.draw(st.integers(0, 2 * length)) for length in lengths]
    cursor = open_cursor(lengths, sequence, epochs=2, used=used)
    parts = list_parts(cursor.take(2 * sum(lengths)))
    for row, length in enumerate(lengths):
        ends = [(e - 1) * length + s + n for r, e, s, n in parts if r == row]
        starts = [(e - 1) * length + s for r, e, s, _ in parts if r == row]
        spans = sorted(zip(starts, ends, strict=True))
        edges = [used[row], *(end for _, end in spans)]
        assert [start for start, _ in spans] == edges[:-1] and edges[-1] == 2 * length


@pytest.mark.parametrize("lengths", [[5] * 12, [30, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]])
def test_every_bin_gets_a_document_while_there_are_enough(lengths: list[int]) -> None:
    cursor, num_bins, done = open_cursor(lengths, 40), 12, 0
    for step in range(1, num_bins + 1):
        room = sum(lengths) * step // num_bins - done
        taken = cursor.take(room, least=1, leave=num_bins - step)
        assert len(taken)
        done += taken.num_tokens
    assert done == sum(lengths)


def test_few_documents_wait_however_many_there_are() -> None:
    lengths = np.random.default_rng(1).integers(1, 500, 50_000)
    cursor = open_cursor(lengths.tolist(), 512)
    bins = [cursor.take(100_000) for _ in range(50)]
    seen = np.sort(np.concatenate([uses.row_U for uses in bins]))
    missing = np.setdiff1d(np.arange(int(seen[-1])), seen)
    assert len(missing) <= WAITING
    assert max(abs(uses.num_tokens - 100_000) for uses in bins) <= 50
    tops = [int(uses.row_U.max()) for uses in bins]
    assert all(before < after for before, after in pairwise(tops))
