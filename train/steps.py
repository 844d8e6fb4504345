"""The step `train/STAGE`: the stage's buckets and the weights before it in, a trained model out.

A killed training goes on from its newest checkpoint.  When the model is exported the checkpoints
are removed: the exported weights are the product, and the next stage starts its optimizer anew.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from tongwen.errors import TongwenError
from tongwen.progress import say
from tongwen.recipe import Recipe, Stage
from tongwen.record import Counts
from tongwen.run import RunFolder
from train.folder import check_folder, check_shape, write_random_model
from train.job import Job
from train.launch import run_job
from train.shape import LlamaShape, check_vocabulary
from train.shards import check_files, check_vocabulary_of, hash_shards, list_taken

_TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


def build_training(recipe: Recipe, run: RunFolder, out: Path, *, stage: str, before: str) -> Counts:
    """Train a stage.

    Args:
        stage: its name.
        before: output whose `model/` it starts from; "" for `[model] base`, or random weights.

    Raises:
        TongwenError: the starting model is not the recipe's, or the training failed.
    """
    if not (out / "model").exists():
        job = make_job(recipe, run, out, stage=_find_stage(recipe, stage), before=before)
        run_job(job)
    for left in ("checkpoints", "start"):
        shutil.rmtree(out / left, ignore_errors=True)
    return _count(out)


def _find_stage(recipe: Recipe, name: str) -> Stage:
    return next(stage for stage in recipe.trained_stages if stage.name == name)


def make_job(recipe: Recipe, run: RunFolder, out: Path, *, stage: Stage, before: str) -> Job:
    """Resolve a stage's training: starting weights, shards, tokenizer files.

    Raises:
        TongwenError: one of them is missing or does not fit.
    """
    vocabulary = run.finished("tokenizer/vocabulary")
    folder = vocabulary / "base" if stage.vocabulary == "base" else vocabulary
    wanted = LlamaShape.from_section(recipe.model, _count_pieces(folder / "tokenizer.model"))
    check_vocabulary(wanted, recipe.train)
    start = _find_start(recipe, run, out, before, wanted)
    shape = check_shape(start, wanted)
    check_folder(start, shape)
    buckets = run.finished(f"buckets/{stage.name}")
    record = run.record(f"buckets/{stage.name}")
    assert record is not None
    check_vocabulary_of(run, record)
    check_files(buckets, record, out / "logs")
    shards = _list_shards(buckets)
    held_out = run.finished("buckets/held_out")
    files = [folder / name for name in _TOKENIZER_FILES]
    length = recipe.buckets.sequence_length
    return Job(
        shape=_declare_length(shape, length),
        train=recipe.train,
        stage=stage,
        shards=shards,
        held_out=held_out / stage.vocabulary,
        held_out_table=held_out / "held_out.parquet",
        start=start,
        out=out,
        tokenizer_files=tuple(file for file in files if file.exists()),
        seed=recipe.run.seed,
        sequence_length=length,
        inputs=_identify_inputs(run, stage, before),
        hashes=hash_shards(record, shards),
        taken=list_taken(record),
    )


def _count_pieces(path: Path) -> int:
    from tokenizer import Encoder

    return int(Encoder(path).size)


def _find_start(recipe: Recipe, run: RunFolder, out: Path, before: str, wanted: LlamaShape) -> Path:
    if before:
        return run.finished(before) / "model"
    if recipe.model.base is not None:
        return recipe.resolve(recipe.model.base)
    start, partial = out / "start", out / ".start.partial"
    if not start.exists():
        shutil.rmtree(partial, ignore_errors=True)
        write_random_model(partial, recipe.model, wanted.num_pieces, recipe.run.seed)
        partial.rename(start)
        say("      random weights to start from")
    return start


def _declare_length(shape: LlamaShape, length: int) -> LlamaShape:
    """A model is declared for at least the length it was trained on."""
    return replace(shape, max_positions=max(shape.max_positions, length))


def _list_shards(folder: Path) -> tuple[Path, ...]:
    shards = tuple(path.with_suffix("") for path in sorted(folder.glob("bucket-*.idx")))
    if not shards:
        raise TongwenError(
            "the stage has no bucket",
            where=str(folder),
            expected="bucket-00000.idx and so on",
            do=f"build it again: tongwen run RECIPE --redo buckets/{folder.name}",
        )
    return shards


def _identify_inputs(run: RunFolder, stage: Stage, before: str) -> str:
    names = [f"buckets/{stage.name}", "buckets/held_out", "tokenizer/vocabulary", before]
    records = [run.record(name) for name in names if name]
    return " ".join(record.content for record in records if record is not None)


def _count(out: Path) -> Counts:
    """What the metrics say at the end of the training."""
    text = (out / "metrics.jsonl").read_text(encoding="utf-8")
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    last = [line for line in lines if line["event"] == "train"][-1]
    first, final = ([line for line in lines if line["event"] == "evaluation"][at] for at in (0, -1))
    counts: Counts = {
        "iterations": last["iteration"],
        "tokens": last["tokens"],
        "loss": round(last["loss"], 4),
    }
    for language, bits in final["bits_per_character"].items():
        before = first["bits_per_character"].get(language, bits)
        counts[f"{language}_bits_per_character"] = f"{before:.4f} -> {bits:.4f}"
    return counts
