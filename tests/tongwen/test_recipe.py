"""A recipe is accepted whole or refused with the key, the value and what was expected."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tongwen.errors import TongwenError
from tongwen.plan import count_parameters, plan_stages
from tongwen.recipe import load_recipe, parse_bytes, parse_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
PUBLISHED = next(path for path in RECIPES if path.stem == "colossal_llama2_7b")


@pytest.fixture
def table() -> dict[str, Any]:
    return tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_accepted(path: Path) -> None:
    assert plan_stages(load_recipe(path))


def test_the_published_setting_is_what_was_published() -> None:
    recipe = load_recipe(PUBLISHED)
    assert recipe.tokenizer.size == 69_104
    assert recipe.buckets.sequence_length == 4096
    assert sum(stage.tokens for stage in recipe.trained_stages) == 8_500_000_000
    assert [stage.done_by for stage in recipe.stages] == ["base", "run", "run"]
    assert recipe.train.num_processes == 64
    assert sum(each.published_hours for each in plan_stages(recipe)) == pytest.approx(15, rel=0.01)


def test_llama_2_7b_has_the_parameters_it_is_known_for() -> None:
    assert count_parameters(load_recipe(PUBLISHED).model, 32_000) == 6_738_415_616


def set_key(table: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(table)
    *path, last = key.split(".")
    inner: Any = changed
    for part in path:
        inner = inner[int(part) if part.isdigit() else part]
    inner[last] = value
    return changed


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("run.fodler", "x", r"run\.fodler: unknown key; this table knows folder, seed"),
        ("corpus.duplicates.treshold", 0.8, r"corpus\.duplicates\.treshold: unknown key; .*ngram"),
        ("stages.1.shares", 1, r"stages\.1\.shares: unknown key; .*mixture"),
        ("stages.1.mixture.0.share", 0.9, r"stages\.1: the shares of the mixture add up to 1\.2"),
        ("stages.1.vocabulary", "bsae", r"stages\.1\.vocabulary = 'bsae': Input should be 'base'"),
        ("stages.1.name", "extended", r"stages\.1\.name = 'extended': .* another output"),
        ("stages.1.name", "../x", r"stages\.1\.name = '\.\./x': a name is a lower-case letter"),
        ("stages.2.vocabulary", "base", r"stage replay goes back to the base vocabulary"),
        ("stages.2.name", "injection", r"two stages have the same name"),
        ("stages.2.done_by", "base", r"stage replay: only the first stage"),
        ("train.num_processes", 63, r"num_processes = 63 is not a multiple of tensor_parallel x"),
        ("train.global_batch_size", 500, r"global_batch_size = 500 is not a multiple"),
        ("train.tensor_parallel", 64, r"tensor_parallel does not divide num_attention_heads = 32"),
        ("tokenizer.size", 69_105, r"tensor_parallel does not divide size = 69105"),
        ("model.num_query_groups", 5, r"num_query_groups does not divide"),
        ("run.memory", "4 potatoes", r"run\.memory = '4 potatoes': .* is not a size such as"),
        ("tokenizer.size", True, r"tokenizer\.size"),
        ("home", "/", r"unknown key home"),
    ],
)
def test_a_bad_key_is_named_with_its_value(
    table: dict[str, Any], key: str, value: object, message: str
) -> None:
    changed = {**table, key: value} if "." not in key else set_key(table, key, value)
    with pytest.raises(TongwenError, match=message):
        parse_recipe(changed, home=Path("/somewhere"))


def test_a_base_stage_needs_a_base_model(table: dict[str, Any]) -> None:
    del table["model"]["base"]
    with pytest.raises(
        TongwenError, match=r"pretraining is done_by base, but \[model\] names none"
    ):
        parse_recipe(table, home=Path("/somewhere"))


def test_every_problem_is_named_at_once(table: dict[str, Any]) -> None:
    changed = set_key(set_key(table, "run.x", 1), "model.y", 2)
    with pytest.raises(TongwenError) as error:
        parse_recipe(changed, home=Path("/somewhere"))
    assert "run.x" in str(error.value)
    assert "model.y" in str(error.value)


def test_a_recipe_that_is_missing_or_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match="there is no recipe"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = ", encoding="utf-8")
    with pytest.raises(TongwenError, match="not valid TOML"):
        load_recipe(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TongwenError, match="cannot read the recipe"):
        load_recipe(tmp_path / "bytes.toml")


def test_sizes_are_decimal() -> None:
    assert parse_bytes("4GB") == 4_000_000_000
    assert parse_bytes("1.5 MB") == 1_500_000
    with pytest.raises(ValueError, match="is not a size"):
        parse_bytes("4")
