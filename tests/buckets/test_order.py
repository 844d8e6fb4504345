"""Measures of the order of a stage equal those counted one by one, and Megatron's own blending."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from buckets.proof.order import Stream, correlate, measure_stream, read_stream, write_order
from buckets.proof.streams import blend, find_largest_deviation, find_longest_run, find_majority

SCHEMA = pa.schema([("bin", pa.string()), *((n, pa.int32()) for n in ("sequence", "length"))])

streams = st.lists(st.integers(0, 3), min_size=2, max_size=60)


def as_stream(values: list[int]) -> NDArray[np.uint16]:
    return np.array(values, np.uint16)


def write_plan(out: Path, buckets: list[list[tuple[str, int, int]]], groups: int = 2) -> None:
    (out / "plan").mkdir()
    for number, rows in enumerate(buckets):
        table = pa.Table.from_pylist(
            [dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA
        )
        path = out / "plan" / f"bucket-{number:05}.parquet"
        pq.write_table(table, path, row_group_size=groups)


@settings(max_examples=60, deadline=None)
@given(streams, st.integers(1, 59))
def test_correlation_is_the_formula(values: list[int], lag: int) -> None:
    if lag >= len(values):
        return
    share = [count / len(values) for count in Counter(values).values()]
    chance = sum(p * p for p in share)
    pairs = list(zip(values, values[lag:], strict=False))
    equal = sum(a == b for a, b in pairs) / len(pairs)
    (found,) = correlate(as_stream(values), [lag])
    if len(share) == 1:
        assert found is None
    else:
        assert found == pytest.approx((equal - chance) / (1 - chance), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(streams)
def test_longest_run_is_that_of_a_plain_count(values: list[int]) -> None:
    runs = [(len(list(group)), value) for value, group in groupby(values)]
    longest = max(length for length, _ in runs)
    first = next(value for length, value in runs if length == longest)
    assert find_longest_run(as_stream(values)) == (longest, first)


@settings(max_examples=60, deadline=None)
@given(streams, st.integers(1, 60))
def test_largest_deviation_is_that_of_every_window(values: list[int], window: int) -> None:
    window = min(window, len(values))
    share = np.bincount(values, minlength=4) / len(values)
    every = [
        np.abs(np.bincount(values[at : at + window], minlength=4) / window - share)
        for at in range(len(values) - window + 1)
    ]
    largest, worst = find_largest_deviation(as_stream(values), share, window)
    assert largest == pytest.approx(np.max(every))
    assert np.max(every, axis=0)[worst] == pytest.approx(largest)


@pytest.mark.filterwarnings("ignore")
def test_blending_is_megatrons() -> None:
    helpers = pytest.importorskip("megatron.core.datasets.helpers_cpp")
    chance = np.random.default_rng(3)
    for size, groups in ((1, 1), (97, 2), (5000, 7), (4096, 30)):
        weights = chance.dirichlet(np.ones(groups))
        index, sample = np.zeros(size, np.int16), np.zeros(size, np.int64)
        helpers.build_blending_indices(index, sample, weights, groups, size, False)
        assert np.array_equal(blend(weights, size), index)


def test_majority_goes_by_tokens_not_by_pieces() -> None:
    pieces = [(0, 1, 3), (0, 1, 3), (0, 0, 7), (2, 2, 1), (2, 1, 1), (5, 3, 9)]
    sequence, group, length = (np.array(column, np.int32) for column in zip(*pieces, strict=True))
    stream = np.zeros(len(pieces), np.uint16)
    assert find_majority(sequence, group, length, 4, stream) == 3
    assert stream[:3].tolist() == [0, 1, 3], "sequences without a piece are left out"


def test_a_stream_is_read_over_buckets_and_row_groups(tmp_path: Path) -> None:
    first = [("zh/law", 0, 5), ("en/news", 0, 9), ("zh/law", 1, 14), ("zh/law", 2, 14)]
    second = [("en/news", 0, 14), ("zh/art", 1, 8), ("zh/law", 1, 6), ("zh/art", 2, 14)]
    write_plan(tmp_path, [first, second])
    stream = read_stream(tmp_path)
    assert stream.bins == ("en/news", "zh/art", "zh/law") and stream.num_buckets == 2
    names = [stream.bins[number] for number in stream.bin_T]
    assert names == ["en/news", "zh/law", "zh/law", "en/news", "zh/art", "zh/art"]
    assert stream.window == 3


def test_order_of_streams_that_are_known(tmp_path: Path) -> None:
    """Two bins in turn: never the same next, always the same two later."""
    rows = [(("en/a", "zh/b")[number % 2], number, 8) for number in range(64)]
    write_plan(tmp_path, [rows[:32], [(b, s - 32, n) for b, s, n in rows[32:]]], groups=7)
    write_order(tmp_path, sequence_length=8)
    order: dict[str, Any] = json.loads((tmp_path / "order.json").read_text())
    assert (order["sequences"], order["window"], order["sequence_length"]) == (64, 32, 8)
    assert order["lags"] == [1, 2, 4, 8, 16, 32] and order["shares"] == [0.5, 0.5]
    ours, unbucketed = order["streams"]["buckets"], order["streams"]["unbucketed"]
    assert ours["autocorrelation"] == [-1, 1, 1, 1, 1, 1]
    assert (ours["longest_run"], ours["largest_deviation"]) == (1, 0)
    assert (unbucketed["longest_run"], unbucketed["largest_deviation"]) == (32, 0.5)
    assert unbucketed["autocorrelation"][0] == pytest.approx(1 - 2 / 63, abs=1e-6)
    assert unbucketed["autocorrelation"][-1] == -1
    assert list(order["streams"]) == ["buckets", "shuffled", "blended", "unbucketed"]
    assert abs(order["streams"]["shuffled"]["autocorrelation"][0]) < 0.4


def test_each_stream_has_the_same_sequences_but_blended_may_round() -> None:
    chance = np.random.default_rng(1)
    bin_T = chance.choice(5, 3000, p=[0.4, 0.3, 0.2, 0.05, 0.05]).astype(np.uint16)
    found = measure_stream(Stream(bin_T, tuple("abcde"), 6))
    streams = found["streams"]
    assert all(abs(r) < 0.06 for r in streams["shuffled"]["autocorrelation"])
    assert streams["unbucketed"]["longest_run"] == np.bincount(bin_T).max()
    assert streams["blended"]["largest_deviation"] < 0.003
    assert streams["blended"]["autocorrelation"][0] < -0.1, "bins take turns"


def test_one_bin_or_none_has_no_correlation(tmp_path: Path) -> None:
    write_plan(tmp_path, [[("zh/law", 0, 8), ("zh/law", 1, 8)], []])
    found = measure_stream(read_stream(tmp_path))
    assert found["streams"]["buckets"]["autocorrelation"] == [None]
    assert found["streams"]["buckets"]["longest_run"] == 2
    empty = measure_stream(Stream(np.empty(0, np.uint16), (), 0))
    assert empty["lags"] == [] and empty["streams"]["blended"]["longest_run"] == 0
