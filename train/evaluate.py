"""Bits per character on held-out documents, through the training's own model and schedule.

Loss per token is not comparable between vocabularies; bits per character are: the nats of all
tokens of a document, over ln 2 and its characters.  Documents are gone through in the order of
their length and cut to the longest of each round, so that little padding is computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
import torch
from megatron.core import parallel_state
from numpy.typing import NDArray

from tongwen.errors import TongwenError
from train.data import Batch, Sequences, make_batch
from train.forward import run_schedule, share_from_last_stage
from train.job import Job
from train.metrics import Evaluation
from train.model import Engine

_MICRO_BATCHES = 4
_MULTIPLE = 16


@dataclass(frozen=True)
class HeldOut:
    """The held-out sequences and what each of them is.

    Attributes:
        sequences: one document each.
        lengths_N: tokens of each, padding aside.
        languages, categories: names, by sequence.
        characters_N, bytes_N: of the text that bears loss.
    """

    sequences: Sequences
    lengths_N: NDArray[np.int64]
    languages: list[str]
    categories: list[str]
    characters_N: NDArray[np.int64]
    bytes_N: NDArray[np.int64]


def read_held_out(job: Job) -> HeldOut:
    """Open the held-out shard of the stage's vocabulary.

    Raises:
        TongwenError: the table does not describe the shard.
    """
    sequences = Sequences([job.held_out], job.sequence_length, job.shape.num_pieces)
    table = pq.read_table(job.held_out_table).sort_by("sequence").to_pydict()
    if table["sequence"] != list(range(len(sequences))):
        raise TongwenError(
            f"the table describes {len(table['sequence'])} sequences, the shard has "
            f"{len(sequences)}",
            where=str(job.held_out_table),
            expected="a row for each sequence of the held-out shard",
            do="build it again: tongwen run RECIPE --redo buckets/held_out",
        )
    lengths = [int((~sequences.read(i).padding).sum()) for i in range(len(sequences))]
    return HeldOut(
        sequences,
        np.array(lengths, np.int64),
        table["language"],
        table["category"],
        np.array(table["characters"], np.int64),
        np.array(table["bytes"], np.int64),
    )


def evaluate(model: torch.nn.Module, held_out: HeldOut, job: Job, engine: Engine) -> Evaluation:
    """Bits per character and byte by language, and per character by `language/category`."""
    nats_N = measure_nats(model, held_out, job, engine)
    pairs = zip(held_out.languages, held_out.categories, strict=True)
    groups = [f"{language}/{category}" for language, category in pairs]
    return Evaluation(
        bits_per_character=_divide(nats_N, held_out.characters_N, held_out.languages),
        bits_per_byte=_divide(nats_N, held_out.bytes_N, held_out.languages),
        by_category=_divide(nats_N, held_out.characters_N, groups),
    )


def _divide(
    nats_N: NDArray[np.float64], units_N: NDArray[np.int64], names: list[str]
) -> dict[str, float]:
    """Bits over units, summed within each name."""
    labels, found = np.array(names), {}
    for name in sorted(set(names)):
        units = int(units_N[labels == name].sum())
        if units:
            found[name] = float(nats_N[labels == name].sum()) / math.log(2) / units
    return found


def measure_nats(
    model: torch.nn.Module, held_out: HeldOut, job: Job, engine: Engine
) -> NDArray[np.float64]:
    """Sum of the loss of each held-out sequence in nats, on every rank."""
    num_sequences = len(held_out.sequences)
    nats_N = torch.zeros(num_sequences, dtype=torch.float64, device=engine.device)
    model.eval()
    with torch.no_grad():
        for indices, length in _rounds(held_out, job):
            outputs = run_schedule(
                model,
                _batches(held_out, indices, length, engine),
                num_micro_batches=len(indices),
                length=length * (job.train.micro_batch_size if engine.packs else 1),
                micro_batch_size=1 if engine.packs else job.train.micro_batch_size,
                train=False,
            )
            for micro, sums_B in zip(indices, outputs, strict=False):
                real = [at for at in micro if at < num_sequences]
                nats_N[real] = sums_B[: len(real)]
    model.train()
    share_from_last_stage(nats_N)
    return nats_N.cpu().numpy()


def _batches(
    held_out: HeldOut, indices: list[list[int]], length: int, engine: Engine
) -> Iterator[Batch]:
    for micro in indices:
        yield make_batch([held_out.sequences.read(at) for at in micro], length, engine)


def _rounds(held_out: HeldOut, job: Job) -> Iterator[tuple[list[list[int]], int]]:
    """This rank's micro-batches of each round, and the length all ranks cut to.

    A number beyond the last sequence stands for padding.
    """
    ranks = parallel_state.get_data_parallel_world_size()
    rank = parallel_state.get_data_parallel_rank()
    size = job.train.micro_batch_size
    order = np.argsort(held_out.lengths_N, kind="stable").tolist()
    multiple = math.lcm(_MULTIPLE, job.train.tensor_parallel)
    for start in range(0, len(order), size * ranks * _MICRO_BATCHES):
        part = order[start : start + size * ranks * _MICRO_BATCHES]
        longest = int(held_out.lengths_N[part].max())
        length = min(job.sequence_length, math.ceil(longest / multiple) * multiple)
        num_micro = math.ceil(len(part) / (size * ranks))
        part += [len(order)] * (num_micro * size * ranks - len(part))
        rows = [part[at : at + size] for at in range(0, len(part), size)]
        yield rows[rank::ranks], length
