"""The step `buckets/STAGE` of a run, or the encoder alone on the same documents.

    python with_tongwen_buckets.py build RECIPE
    python with_tongwen_buckets.py encode RECIPE

`build` is the whole step as `tongwen run` does it: from the run's documents to shards, plan,
places, tables and a record with the hash of every file.  `encode` has the texts in memory before
its clock starts and throws the ids away.  Both tell the CPU seconds and the wall of that; what the
process took in all, start-up included, is for the caller to measure.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow as pa
from bucket_corpus import read_used
from harness import cpu_seconds

from tokenizer import Encoder
from tongwen.pipeline import required_steps, run_steps
from tongwen.recipe import Recipe, load_recipe
from tongwen.run import RunFolder
from tongwen.steps import list_steps

_BATCHES = 8
"""Of 2 MB each.  Portions of 2 MB take the encoder a third longer by the wall, larger ones as
long."""


def main(work: str, recipe: str) -> None:
    print(json.dumps({"build": build, "encode": encode}[work](load_recipe(Path(recipe)))))


def build(recipe: Recipe) -> dict[str, Any]:
    """Build the stage anew."""
    name = f"buckets/{recipe.stages[0].name}"
    folder = RunFolder(recipe.folder).path(name)
    if folder.exists():
        shutil.rmtree(folder)
    step = required_steps(list_steps(recipe), name)[-1]
    cpu, wall = cpu_seconds(), time.perf_counter()
    done = run_steps(recipe, (step,))
    taken = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall}
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return taken | {"counts": done[0][1].counts, "bytes": size}


def encode(recipe: Recipe) -> dict[str, Any]:
    """Encode every document of the stage, in portions that suit two threads."""
    run = RunFolder(recipe.folder)
    model = run.path("tokenizer/vocabulary") / "tokenizer.model"
    encoder = Encoder(model, num_threads=recipe.run.workers)
    batches = list(read_used(run))
    portions = [batches[i : i + _BATCHES] for i in range(0, len(batches), _BATCHES)]
    columns = [join(part, name) for part in portions for name in ("prompt", "text")]
    encoder.encode(columns[-1].slice(0, 1))
    cpu, wall = cpu_seconds(), time.perf_counter()
    tokens = sum(len(encoder.encode(column)[0]) for column in columns)
    return {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall, "tokens": tokens}


def join(batches: list[pa.RecordBatch], name: str) -> pa.Array:
    """A column of some batches as one array."""
    return pa.concat_arrays([batch[name].cast(pa.large_string()) for batch in batches])


if __name__ == "__main__":
    main(*sys.argv[1:])
