"""What a rank is given in an iteration, against definitions written out by hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.shards import PackedSequence
from tongwen.recipe import Part, Stage
from train import learning_rate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch

    from train.data import Sequences, Slice, make_batch
    from train.model import Engine

CPU = Engine(torch.device("cpu"), transformer_engine=False)
GPU_LIKE = Engine(torch.device("cpu"), transformer_engine=True)
BITS = st.lists(st.booleans(), min_size=12, max_size=12)


def _sequence(learn: list[bool], opens: list[bool]) -> PackedSequence:
    tokens = np.arange(100, 100 + len(learn), dtype=np.int32)
    return PackedSequence(tokens, np.array(learn), np.array(opens), np.zeros(len(learn), bool))


@settings(max_examples=30, deadline=None)
@given(BITS, BITS, BITS)
def test_labels_loss_and_sight(learn: list[bool], opens: list[bool], other: list[bool]) -> None:
    batch = make_batch([_sequence(learn, opens), _sequence(other, opens)], 12, CPU)
    assert batch.hidden_B1SS is not None
    for row, bits in enumerate((learn, other)):
        for at in range(12):
            bears = at < 11 and bits[at + 1] and not opens[at + 1]
            assert batch.loss_mask_BS[row, at] == float(bears)
            if at < 11:
                assert batch.labels_BS[row, at] == batch.tokens_BS[row, at + 1]
            for seen in range(12):
                visible = seen <= at and not any(opens[seen + 1 : at + 1])
                assert bool(batch.hidden_B1SS[row, 0, at, seen]) != visible


@settings(max_examples=30, deadline=None)
@given(BITS, BITS)
def test_packing_has_the_boundaries_of_the_mask(one: list[bool], two: list[bool]) -> None:
    learn = [True] * 12
    batch = make_batch([_sequence(learn, one), _sequence(learn, two)], 12, GPU_LIKE)
    assert batch.packing is not None and batch.hidden_B1SS is None
    starts = [
        0,
        *(n for n in range(1, 12) if one[n]),
        12,
        *(12 + n for n in range(1, 12) if two[n]),
    ]
    bounds: Any = batch.packing.cu_seqlens_q
    assert bounds.tolist() == [*starts, 24]
    assert batch.packing.max_seqlen_q == max(np.diff([*starts, 24]))
    assert batch.tokens_BS.shape == (1, 24)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(0, 5))
def test_ranks_share_an_iteration(ranks: int, size: int, micro: int, iteration: int) -> None:
    total = ranks * size * micro
    slices = [Slice(total, size, rank, ranks) for rank in range(ranks)]
    indices = [index for each in slices for part in each.indices(iteration) for index in part]
    assert sorted(indices) == list(range(iteration * total, (iteration + 1) * total))
    assert all(len(list(each.indices(iteration))) == each.num_micro_batches for each in slices)


def test_sequences_run_through_the_buckets_and_end_in_padding(planted: Any) -> None:
    job = planted.job(planted.folder)
    sequences = Sequences(job.shards, job.sequence_length, job.shape.num_pieces)
    assert len(sequences) == 91
    assert [sequences.bucket_of(n) for n in (0, 31, 32, 61, 62, 90, 95)] == [0, 0, 1, 1, 2, 2, 2]
    assert not sequences.read(90).padding.all()
    assert sequences.read(91).padding.all()
    assert not sequences.read(95).learn.any()


def test_an_id_outside_of_the_vocabulary_is_refused(planted: Any) -> None:
    from tongwen.errors import TongwenError

    job = planted.job(planted.folder)
    with pytest.raises(TongwenError, match="in a vocabulary of 100 pieces"):
        Sequences(job.shards, job.sequence_length, 100).read(0)


def _stage(**values: Any) -> Stage:
    rates = {"learning_rate": 1.0, "min_learning_rate": 0.2}
    return Stage.model_validate({"name": "x", "mixture": (Part(share=1.0),), **rates, **values})


def test_learning_rates() -> None:
    linear = [learning_rate(_stage(schedule="linear", warmup=0.2), n, 10) for n in range(10)]
    assert linear == pytest.approx([0.5, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    cosine = [learning_rate(_stage(warmup=0.0), n, 5) for n in range(5)]
    half = 0.4 * 2**-0.5
    assert cosine == pytest.approx([1.0, 0.6 + half, 0.6, 0.6 - half, 0.2])
    constant = [learning_rate(_stage(schedule="constant", warmup=0.5), n, 4) for n in range(4)]
    assert constant == pytest.approx([0.5, 1.0, 1.0, 1.0])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200), st.floats(0, 0.9), st.sampled_from(["linear", "cosine"]))
def test_learning_rates_stay_in_their_bounds(length: int, warmup: float, schedule: str) -> None:
    stage = _stage(warmup=warmup, schedule=schedule)
    rates = [learning_rate(stage, n, length) for n in range(length)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1.0)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert length == 1 or top == length - 1 or rates[-1] == pytest.approx(0.2)
