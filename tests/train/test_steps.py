"""The step `train/STAGE` over a run folder planted by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tongwen.errors import TongwenError
from tongwen.recipe import Recipe, parse_recipe
from tongwen.record import produce
from tongwen.run import RunFolder
from train import build_training, write_random_model

PIECES, LENGTH = 320, 64
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def _recipe(home: Path, **changes: dict[str, Any]) -> Recipe:
    table: dict[str, Any] = {
        "run": {"folder": "run", "seed": 5},
        "corpus": {"inputs": [{"paths": ["*.jsonl"]}]},
        "tokenizer": {"base": "base.model", "size": PIECES},
        "buckets": {"sequence_length": LENGTH},
        "model": {
            "num_layers": 2,
            "hidden_size": 32,
            "ffn_hidden_size": 48,
            "num_attention_heads": 4,
            "num_query_groups": 2,
        },
        "train": {"global_batch_size": 8, "checkpoint_every": 3, "evaluate_every": 3},
        "stages": [
            {
                "name": "embed",
                "mixture": [{"share": 1.0}],
                "trainable": "embeddings",
                "learning_rate": 1e-2,
            }
        ],
    }
    for section, values in changes.items():
        if isinstance(table[section], list):
            table[section][0].update(values)
        else:
            table[section].update(values)
    return parse_recipe(table, home=home)


def _write_tokenizer(folder: Path, num_pieces: int) -> None:
    from sentencepiece import sentencepiece_model_pb2 as pb

    model = pb.ModelProto()  # type: ignore[attr-defined]
    names = ["<unk>", "<s>", "</s>", *(chr(0x4E00 + n) for n in range(num_pieces - 3))]
    for number, name in enumerate(names):
        kind = 2 if number == 0 else 3 if number < 3 else 1
        model.pieces.add(piece=name, score=-float(number), type=kind)
    model.trainer_spec.model_type = 2
    model.trainer_spec.vocab_size = num_pieces
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.SerializeToString())
    for file in FILES:
        (folder / file).write_text("{}")


def _plant_run(home: Path, planted: Any, num_pieces: int = PIECES) -> RunFolder:
    """A run whose vocabulary and buckets are finished."""

    def link(folder: Path, names: dict[str, str]) -> dict[str, Any]:
        for old, new in names.items():
            os.link(planted.folder / old, folder / new)
        return {}

    def vocabulary(folder: Path) -> dict[str, Any]:
        _write_tokenizer(folder, num_pieces)
        return {}

    ends = (".bin", ".idx")
    held_out = {f"extended{end}": f"extended{end}" for end in ends}
    held_out["held_out.parquet"] = "held_out.parquet"
    bucket = {f"bucket-00000{end}": f"bucket-00000{end}" for end in ends}
    run = RunFolder(home / "run")
    builds: dict[str, Callable[[Path], dict[str, Any]]] = {
        "tokenizer/vocabulary": vocabulary,
        "buckets/held_out": lambda folder: link(folder, held_out),
        "buckets/embed": lambda folder: link(folder, bucket),
    }
    for name, build in builds.items():
        produce(run.path(name), kind=name, config={}, inputs={}, build=build)
    return run


def test_only_the_embeddings_learn(planted: Any, tmp_path: Path) -> None:
    recipe, run = _recipe(tmp_path), _plant_run(tmp_path, planted)
    out = tmp_path / "out"
    out.mkdir()
    counts = build_training(recipe, run, out, stage="embed", before="")
    assert counts["iterations"] == 4
    assert "zh_bits_per_character" in counts
    start = tmp_path / "start"
    write_random_model(start, recipe.model, PIECES, seed=5)
    for file in start.glob("*.safetensors"):
        before, after = load_file(file), load_file(out / "model" / file.name)
        for name, old in before.items():
            learned = name in ("model.embed_tokens.weight", "lm_head.weight")
            assert np.array_equal(old, after[name]) != learned, name
    left = {path.name for path in out.iterdir()}
    assert left == {"model", "metrics.jsonl", "timings.jsonl", "tensorboard", "logs"}
    assert {path.name for path in (out / "model").iterdir()} >= {"tokenizer.model", *FILES}
    assert build_training(recipe, run, out, stage="embed", before="") == counts


def test_a_loss_that_is_not_finite_stops_the_training(planted: Any, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, stages={"learning_rate": 1e30, "trainable": "all"})
    run, out = _plant_run(tmp_path, planted), tmp_path / "out"
    out.mkdir()
    with pytest.raises(TongwenError, match=r"is (nan|inf) in iteration 2"):
        build_training(recipe, run, out, stage="embed", before="")
    assert not (out / "model").exists()


def test_a_vocabulary_that_does_not_divide_is_refused(planted: Any, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, train={"tensor_parallel": 2, "num_processes": 2})
    run = _plant_run(tmp_path, planted, num_pieces=PIECES + 1)
    with pytest.raises(TongwenError, match="321 pieces does not divide by tensor_parallel = 2"):
        build_training(recipe, run, tmp_path, stage="embed", before="")


def test_another_model_than_the_recipe_describes_is_refused(planted: Any, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, model={"base": str(planted.folder / "start")})
    run = _plant_run(tmp_path, planted)
    with pytest.raises(TongwenError, match=r"num_layers: the folder has 4, the stage needs 2"):
        build_training(recipe, run, tmp_path, stage="embed", before="")
