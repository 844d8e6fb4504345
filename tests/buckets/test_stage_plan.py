"""The plan of a stage: one bin of every category in every bucket, equal in tokens."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from buckets.choosing.cells import Cell
from buckets.encoding import INDEX, DocumentIndex
from buckets.planning.plan import BucketPlan, StagePlan, measure_supply
from tongwen.errors import TongwenError

SEQUENCE = 64


class MadeIndex:
    """An index in memory: for each cell the lengths of its documents, in the order of use."""

    def __init__(self, lengths: list[list[int]]) -> None:
        self.ends = np.cumsum([0, *map(len, lengths)]).tolist()
        self.rows = np.zeros(self.ends[-1], INDEX)
        self.rows["length"] = np.concatenate([np.array(each, np.int64) for each in lengths])
        self.rows["cell"] = np.repeat(np.arange(len(lengths)), [len(each) for each in lengths])
        self.rows["key"] = np.arange(len(self.rows)) * 7919 % 10_007
        self.rows["low"] = np.arange(len(self.rows))

    def bounds(self, cell: int) -> tuple[int, int]:
        return self.ends[cell], self.ends[cell + 1]

    def release(self) -> None:
        return None


def make_plan(
    lengths: list[list[int]],
    cells: list[Cell],
    num_buckets: int,
    *,
    shares: list[float] | None = None,
    small: str = "refuse",
    epochs: float = 1.0,
) -> tuple[MadeIndex, StagePlan]:
    index: Any = MadeIndex(lengths)
    shares = shares or [1.0] * len(cells)
    tokens = [int(sum(each) * share) for each, share in zip(lengths, shares, strict=True)]
    supplies = [
        measure_supply(cast(DocumentIndex, index), number, asked, epochs, SEQUENCE)
        for number, asked in enumerate(tokens)
    ]
    plan = StagePlan(
        index,
        cells,
        supplies,
        range(num_buckets),
        sequence_length=SEQUENCE,
        small_categories=small,
        where="stages.s",
    )
    return index, plan


def make_cells(count: int, language: str = "zh") -> list[Cell]:
    return [Cell(0, language, f"c{number}", "text") for number in range(count)]


def measure_bins(buckets: list[BucketPlan], num_bins: int) -> NDArray[np.int64]:
    tokens_BG = np.zeros((len(buckets), num_bins), np.int64)
    for number, bucket in enumerate(buckets):
        np.add.at(tokens_BG[number], bucket.bin_U, bucket.uses.length_U.astype(np.int64))
    return tokens_BG


Cells = st.lists(st.lists(st.integers(1, 150), min_size=24, max_size=80), min_size=1, max_size=5)


@settings(max_examples=60)
@given(Cells, st.integers(1, 8))
def test_every_bucket_has_one_bin_of_every_category_equal_in_tokens(
    lengths: list[list[int]], num_buckets: int
) -> None:
    _, plan = make_plan(lengths, make_cells(len(lengths)), num_buckets)
    buckets = list(plan)
    tokens_BG = measure_bins(buckets, len(lengths))
    assert np.all(tokens_BG > 0)
    assert tokens_BG.sum(0).tolist() == [sum(each) for each in lengths]
    targets = np.stack([bucket.target_G for bucket in buckets])
    assert np.all(np.abs(targets - tokens_BG.sum(0) / num_buckets) <= 1)
    assert np.all(np.abs(tokens_BG - targets) <= SEQUENCE + 1)


@settings(max_examples=60)
@given(Cells, st.integers(1, 8), st.integers(1, 2))
def test_tokens_are_conserved_and_parts_go_on_in_later_buckets(
    lengths: list[list[int]], num_buckets: int, epochs: int
) -> None:
    shares = [float(epochs)] * len(lengths)
    made = make_plan(lengths, make_cells(len(lengths)), num_buckets, shares=shares, epochs=epochs)
    reached = Counter[tuple[int, int]]()
    for bucket in made[1]:
        uses = bucket.uses
        parts = zip(uses.row_U, uses.epoch_U, uses.start_U, uses.length_U, strict=True)
        for row, epoch, start, length in parts:
            assert reached[int(row), int(epoch)] == start
            reached[int(row), int(epoch)] += int(length)
    expected = {
        (row, epoch): int(length)
        for row, length in enumerate(made[0].rows["length"])
        for epoch in range(1, epochs + 1)
    }
    assert reached == expected


def test_only_as_much_of_a_cell_is_used_as_it_is_asked_for() -> None:
    chance = np.random.default_rng(3)
    lengths = [chance.integers(5, 60, 2000).tolist() for _ in range(2)]
    _, plan = make_plan(lengths, make_cells(2), 10, shares=[0.25, 0.5])
    tokens_BG = measure_bins(list(plan), 2)
    assert abs(tokens_BG[:, 0].sum() - 0.25 * sum(lengths[0])) <= 30
    assert abs(tokens_BG[:, 1].sum() - 0.5 * sum(lengths[1])) <= 30


def test_texts_and_questions_of_a_category_share_a_bin() -> None:
    cells = [Cell(0, "zh", "law", "text"), Cell(1, "zh", "law", "qa")]
    _, plan = make_plan([[20] * 400, [7] * 300], cells, 8)
    assert [group.bin for group in plan.bins] == ["zh/law"]
    for bucket in plan:
        counts = np.bincount(bucket.cell_U, bucket.uses.length_U)
        assert abs(counts[0] - 1000) <= 20 and abs(counts[1] - 300 * 7 / 8) <= 7


def test_small_categories_are_refused_with_their_numbers_or_joined() -> None:
    cells = [Cell(0, "zh", name, "text") for name in ("big", "few", "rare")]
    lengths = [[10] * 100, [10] * 3, [10] * 2]
    with pytest.raises(TongwenError, match=r"zh/few \(3\), zh/rare \(2\)"):
        make_plan(lengths, cells, 8)
    _, plan = make_plan(lengths, cells, 8, small="merge")
    assert [group.bin for group in plan.bins] == ["zh/big"]
    assert sum(len(bucket.uses) for bucket in plan) == 105
    _, plan = make_plan([[10] * 100, [10] * 5, [10] * 4], cells, 8, small="merge")
    assert [group.bin for group in plan.bins] == ["zh/big", "zh/other"]
    assert all(len(set(bucket.bin_U.tolist())) == 2 for bucket in plan)


def test_a_language_too_small_for_its_bins_is_an_error() -> None:
    cells = [*make_cells(1, "en"), *make_cells(1)]
    with pytest.raises(TongwenError, match="leave the language out"):
        make_plan([[10] * 5, [10] * 90], cells, 8, small="merge")


def test_a_document_longer_than_a_bucket_is_refused_by_name() -> None:
    lengths = [[10] * 100 + [900]]
    with pytest.raises(TongwenError, match="longer than a bucket") as error:
        make_plan(lengths, make_cells(1), 4)
    assert f"{100:032x}" in str(error.value)
    make_plan(lengths, make_cells(1), 2)


def test_a_later_range_of_buckets_is_planned_alone() -> None:
    index: Any = MadeIndex([[10] * 100])
    supply = measure_supply(index, 0, 600, 1.0, SEQUENCE)
    plan = StagePlan(
        index,
        make_cells(1),
        [supply],
        range(5, 8),
        sequence_length=SEQUENCE,
        small_categories="refuse",
        where="stages.s",
    )
    assert [(bucket.bucket, bucket.uses.num_tokens) for bucket in plan] == [
        (5, 200),
        (6, 200),
        (7, 200),
    ]
