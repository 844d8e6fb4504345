"""How far a stage was trained on, and what of every document is used up by then.

A document's uses are in the order of its tokens, epoch after epoch, so what was used of it is one
number: its tokens in the buckets before a place.  The plan's rows hold them; DuckDB adds them up.

The price: a pass over the plan of the buckets before the place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from buckets.lineage.tables import plan_path
from tongwen.errors import TongwenError
from tongwen.recipe import Recipe, Stage, parse_bytes
from tongwen.run import RunFolder


@dataclass(frozen=True)
class Place:
    """Where in a stage something new can begin.

    Attributes:
        bucket: the first that is not begun (one more than there are, if all are).
        sequence: of the stage, with which that bucket begins.
        tokens: of the buckets before it.
        iteration: of the training, done so far.
    """

    bucket: int
    sequence: int
    tokens: int
    iteration: int


def find_place(
    recipe: Recipe, run: RunFolder, stage: Stage, from_bucket: int | None = None
) -> Place:
    """The first bucket that a stage's training has not begun, or a later one.

    Raises:
        TongwenError: the training is finished, or has begun `from_bucket`, or there are no such
            buckets.
    """
    iteration = read_iteration(run, stage)
    read = iteration * recipe.train.global_batch_size
    names = ["first_sequence", "sequences", "tokens"]
    table = pq.read_table(run.finished(f"buckets/{stage.name}") / "buckets.parquet", columns=names)
    rows = sorted(table.to_pylist(), key=lambda row: row["first_sequence"])
    first = sum(row["first_sequence"] < read for row in rows)
    bucket = first if from_bucket is None else from_bucket
    if not first <= bucket <= len(rows):
        raise TongwenError(
            f"bucket {bucket} cannot be the first of a new mixture: "
            + (f"{read:,} sequences were trained on" if bucket < first else "it does not follow"),
            where=f"stages.{stage.name}, {len(rows)} buckets",
            expected=f"a bucket from {first} to {len(rows)}",
            do="leave --from-bucket out to begin with the first that is not begun",
        )
    before = rows[:bucket]
    sequences, tokens = (sum(row[name] for row in before) for name in ("sequences", "tokens"))
    return Place(bucket, sequences, tokens, iteration)


def read_iteration(run: RunFolder, stage: Stage) -> int:
    """Iterations up to the newest checkpoint of an unfinished training.

    Raises:
        TongwenError: the training is finished.
    """
    name = f"train/{stage.name}"
    work = run.path(name).with_name(f".{stage.name}.partial")
    if run.record(name) is not None or (work / "model").exists():
        raise TongwenError(
            "the stage was trained to its end: nothing of it is left to be mixed anew",
            where=str(run.path(name)),
            expected="a training that is not finished",
            do=f"train it again over new buckets: tongwen run RECIPE --redo buckets/{stage.name}",
        )
    states = sorted(work.glob("checkpoints/iteration-*/state.json"))
    return json.loads(states[-1].read_text(encoding="utf-8"))["iteration"] if states else 0


def write_consumed(recipe: Recipe, folder: Path, bucket: int, path: Path) -> None:
    """Write (id string, tokens int64), sorted by id: the use of documents before a bucket.

    Args:
        folder: the stage's buckets.
        bucket: at least 1.
    """
    from corpus.counting.statistics import connect

    plan = [str(plan_path(folder, number)) for number in range(bucket)]
    query = """
        COPY (
            SELECT id, sum(length)::BIGINT AS tokens FROM read_parquet($plan)
            GROUP BY id ORDER BY id
        ) TO $path (FORMAT parquet, COMPRESSION zstd)
    """
    memory = parse_bytes(recipe.run.memory)
    with connect(path.parent, memory, recipe.run.workers) as database:
        database.execute(query, {"plan": plan, "path": str(path)})
