"""A base checkpoint takes the place of the first stage, all the way to an exported model."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from safetensors import safe_open

from tongwen.pipeline import list_steps, required_steps, run_steps
from tongwen.recipe import Recipe, parse_recipe
from tongwen.sample import write_sample
from train.folder import write_random_model

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.toml"
EMBEDDING = "model.embed_tokens.weight"


def make_recipe(folder: Path) -> Recipe:
    """The quickstart recipe from a base model, its one trained stage as short as can be."""
    table = tomllib.loads(QUICKSTART.read_text(encoding="utf-8"))
    table["run"]["folder"] = "run"
    table["model"]["base"] = "base"
    first, injection, _ = table["stages"]
    base = {"name": first["name"], "done_by": "base", "vocabulary": "base"}
    table["stages"] = [base, {**injection, "tokens": 6_000, "learning_rate": 1e-9}]
    table["stages"][1]["min_learning_rate"] = 1e-9
    layout = {"num_processes": 1, "tensor_parallel": 1, "pipeline_parallel": 1}
    table["train"] = {**table["train"], **layout, "tensorboard": False}
    return parse_recipe(table, home=folder)


def read_embedding(folder: Path) -> np.ndarray:
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            if EMBEDDING in file.keys():  # noqa: SIM118 (not a dict)
                return file.get_tensor(EMBEDDING)
    raise AssertionError(f"no {EMBEDDING} in {folder}")


def test_the_base_models_rows_stay_and_new_rows_are_added(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    write_random_model(tmp_path / "base", recipe.model, 32_000, seed=3)
    write_sample(recipe.folder / "sample")
    steps = list_steps(recipe)
    done = run_steps(recipe, required_steps(steps, "train/injection"))
    assert "train/pretraining" not in {step.name for step, _, _ in done}
    trained = recipe.folder / "train" / "injection"
    before, after = read_embedding(tmp_path / "base"), read_embedding(trained / "model")
    assert before.shape == (32_000, 64)
    assert after.shape == (33_792, 64)
    # The rate is so low that training shows only which weights it began with.
    np.testing.assert_allclose(after[:32_000], before, atol=1e-6)
    pieces = pq.read_table(recipe.folder / "tokenizer/vocabulary/pieces.parquet")
    assert pieces.num_rows == len(after) - len(before)
    assert (np.abs(after[32_000:]).max(axis=1) > 0).all()
    lines = (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    bits = [json.loads(line)["bits_per_character"] for line in lines if '"evaluation"' in line]
    assert set(bits[0]) == {"en", "zh"}
    assert bits[-1]["zh"] < 25
