"""Planted shards, tiny models and real worker processes for the tests of `train`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from buckets.shards import Mode, ShardWriter
from tongwen.recipe import Model, Part, Stage, Train
from train import Job, LlamaShape, run_job, write_random_model

PIECES, LENGTH = 320, 64
MODEL = Model(
    num_layers=4,
    hidden_size=64,
    ffn_hidden_size=96,
    num_attention_heads=8,
    num_query_groups=4,
    init_std=0.15,
)
STAGE = Stage(
    name="planted",
    mixture=(Part(share=1.0),),
    learning_rate=3e-3,
    min_learning_rate=3e-4,
    warmup=0.2,
)
TRAIN = Train(
    micro_batch_size=2, checkpoint_every=4, evaluate_every=6, tensorboard=False, clip_grad=0.5
)


@dataclass(frozen=True)
class Planted:
    """Shards, held-out documents and a starting model that all tests share."""

    folder: Path

    def job(self, out: Path, *, stage: Stage = STAGE, **settings: Any) -> Job:
        """A job over the planted files; `settings` replace those of `[train]`."""
        return Job(
            shape=LlamaShape.from_section(MODEL, PIECES),
            train=TRAIN.model_copy(update=settings),
            stage=stage,
            shards=tuple(self.folder / f"bucket-{number:05d}" for number in range(3)),
            held_out=self.folder / "extended",
            held_out_table=self.folder / "held_out.parquet",
            start=self.folder / "start",
            out=out,
            tokenizer_files=(),
            seed=1,
            sequence_length=LENGTH,
        )


def _document(rng: np.random.Generator, longest: int) -> list[tuple[np.ndarray, int]]:
    """A learnable document: ids that count on, sometimes behind a prompt without loss."""
    length = int(rng.integers(3, max(4, longest)))
    step = int(rng.integers(1, 4))
    ids = ((rng.integers(PIECES) + np.arange(length) * step) % PIECES).astype(np.int32)
    cut = int(rng.integers(1, length)) if rng.random() < 0.5 else 0
    if not cut:
        return [(ids, int(Mode.OPENS | Mode.LEARN))]
    return [(ids[:cut], int(Mode.OPENS)), (ids[cut:], int(Mode.LEARN))]


def plant_shard(prefix: Path, num_sequences: int, seed: int) -> None:
    """Packed sequences of several documents with uneven loss and some padding."""
    rng = np.random.default_rng(seed)
    with ShardWriter(prefix, PIECES) as writer:
        for _ in range(num_sequences):
            runs: list[tuple[np.ndarray, int]] = []
            left = LENGTH
            while left > 5:
                document = _document(rng, min(left, 40))
                runs += document
                left -= sum(len(ids) for ids, _ in document)
            runs += [(np.zeros(left, np.int32), int(Mode.PADDING))] if left else []
            writer.write_sequence(runs)


def plant_held_out(folder: Path, num_documents: int = 11) -> None:
    """One document a sequence: BOS + prompt, text with loss, EOS without, padding."""
    rng, rows = np.random.default_rng(9), []
    with ShardWriter(folder / "extended", PIECES) as writer:
        for number in range(num_documents):
            length = int(rng.integers(8, LENGTH - 2))
            ids = rng.integers(3, PIECES, length).astype(np.int32)
            runs = [(ids[:3], Mode.OPENS), (ids[3:-1], Mode.LEARN), (ids[-1:], Mode(0))]
            rest = np.zeros(LENGTH - length, np.int32)
            writer.write_sequence(
                [(part, int(mode)) for part, mode in runs] + [(rest, int(Mode.PADDING))]
            )
            rows.append(
                {
                    "sequence": number,
                    "id": f"{number:032x}",
                    "category": ("law", "web")[number % 2],
                    "language": ("zh", "en")[number % 3 % 2],
                    "characters": 2 * length,
                    "bytes": 5 * length,
                }
            )
    pq.write_table(pa.Table.from_pylist(rows), folder / "held_out.parquet")


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    for number in range(3):
        plant_shard(folder / f"bucket-{number:05d}", (32, 30, 29)[number], seed=number)
    plant_held_out(folder)
    write_random_model(folder / "start", MODEL, PIECES, seed=1)
    return Planted(folder)


@pytest.fixture(scope="session")
def trained(
    planted: Planted, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int, int, int], Path]:
    """(tensor, pipeline, data parallel) -> the folder of a finished training, run once.

    Micro-batches are of another size in each layout: with uneven loss masks a mean of their means
    is another objective than the mean over the tokens.
    """
    sizes = {(1, 1, 1): 4, (2, 2, 1): 1}
    done: dict[tuple[int, int, int], Path] = {}

    def run(tensor: int, pipeline: int, data: int) -> Path:
        layout = (tensor, pipeline, data)
        if layout not in done:
            out = tmp_path_factory.mktemp("trained")
            run_job(
                planted.job(
                    out,
                    num_processes=tensor * pipeline * data,
                    tensor_parallel=tensor,
                    pipeline_parallel=pipeline,
                    micro_batch_size=sizes.get(layout, 2),
                )
            )
            done[layout] = out
        return done[layout]

    return run


@pytest.fixture(scope="session")
def read_metrics() -> Callable[[Path, str], list[dict[str, Any]]]:
    """(folder, event) -> the lines of `metrics.jsonl` of one kind."""

    def read(out: Path, event: str) -> list[dict[str, Any]]:
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["event"] == event]

    return read


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., None]:
    """Poll a condition until it holds."""

    def wait(condition: Callable[[], bool], seconds: float = 90.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def with_shape() -> Callable[..., Job]:
    """Change a job's model shape."""

    def change(job: Job, **values: Any) -> Job:
        return replace(job, shape=replace(job.shape, **values))

    return change
