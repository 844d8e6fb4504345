"""A recipe around some input files, and the corpus outputs built from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import steps
from tongwen.recipe import Recipe, parse_recipe
from tongwen.record import produce
from tongwen.run import RunFolder

MakeRecipe = Callable[..., Recipe]
Build = Callable[..., RunFolder]
Rows = list[dict[str, Any]]
Read = Callable[..., tuple[Rows, Rows]]

_STEPS = {
    "documents": steps.build_documents,
    "duplicates": steps.build_duplicates,
    "statistics": steps.build_statistics,
}


@pytest.fixture
def make_recipe(tmp_path: Path) -> MakeRecipe:
    def make(*inputs: dict[str, Any], run: dict[str, Any] | None = None, **corpus: Any) -> Recipe:
        table = {
            "run": {"folder": "run", "workers": 1, **(run or {})},
            "corpus": {"inputs": list(inputs), **corpus},
            "tokenizer": {"base": "none.model"},
            "stages": [{"name": "one", "mixture": [{"share": 1.0}]}],
            "model": {
                "num_layers": 1,
                "hidden_size": 8,
                "ffn_hidden_size": 16,
                "num_attention_heads": 2,
                "num_query_groups": 2,
            },
        }
        return parse_recipe(table, home=tmp_path)

    return make


@pytest.fixture
def build() -> Build:
    def run_steps(recipe: Recipe, *names: str) -> RunFolder:
        run = RunFolder(recipe.folder)
        for name in names or tuple(_STEPS):
            folder = run.path(f"corpus/{name}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            step = _STEPS[name]
            produce(
                folder,
                kind=f"corpus/{name}",
                config={},
                inputs={},
                build=lambda out, step=step: step(recipe, run, out),
            )
        return run

    return run_steps


@pytest.fixture
def read(make_recipe: MakeRecipe, build: Build) -> Read:
    def run(*inputs: dict[str, Any], **corpus: Any) -> tuple[Rows, Rows]:
        folder = build(make_recipe(*inputs, **corpus), "documents").path("corpus/documents")
        shards = sorted(folder.glob("part-*.parquet"))
        rows = pa.concat_tables([pq.read_table(path) for path in shards]).to_pylist()
        return rows, pq.read_table(folder / "rejects.parquet").to_pylist()

    return run
