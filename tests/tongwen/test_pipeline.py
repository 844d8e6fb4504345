"""The steps of a recipe: what follows from what."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from tongwen.errors import TongwenError
from tongwen.pipeline import Step, list_steps, remove_outputs, required_steps, run_steps
from tongwen.recipe import Recipe, parse_recipe
from tongwen.record import Counts
from tongwen.run import RunFolder
from tongwen.sample import write_sample
from tongwen.status import find_state

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.toml"


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return make_recipe(tmp_path)


def make_recipe(folder: Path, **stages: dict[str, object]) -> Recipe:
    table = tomllib.loads(QUICKSTART.read_text(encoding="utf-8"))
    table["run"]["folder"] = "run"
    for stage in table["stages"]:
        stage.update(stages.get(stage["name"], {}))
    if any(change.get("done_by") == "base" for change in stages.values()):
        table["model"]["base"] = "base"
        (folder / "base").mkdir()
        for name in ("config.json", "model.safetensors"):
            (folder / "base" / name).write_text("{}", encoding="utf-8")
    recipe = parse_recipe(table, home=folder)
    write_sample(recipe.folder / "sample")
    return recipe


def test_every_step_comes_after_what_it_needs(recipe: Recipe) -> None:
    steps = list_steps(recipe)
    for number, step in enumerate(steps):
        assert set(step.needs) <= {before.name for before in steps[:number]}
    assert len({step.name for step in steps}) == len(steps)


def test_every_step_names_a_function(recipe: Recipe) -> None:
    for step in list_steps(recipe):
        assert callable(step.load())


def needs_of(recipe: Recipe, name: str) -> set[str]:
    return set(next(step for step in list_steps(recipe) if step.name == name).needs)


def test_the_weights_are_extended_between_the_vocabularies(recipe: Recipe) -> None:
    assert "train/pretraining" in needs_of(recipe, "train/extended")
    assert "train/extended" in needs_of(recipe, "train/injection")
    assert "train/injection" in needs_of(recipe, "train/replay")


def test_a_base_model_takes_the_place_of_the_first_stage(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, pretraining={"done_by": "base"})
    steps = {step.name: step for step in list_steps(recipe)}
    assert "train/pretraining" not in steps
    assert "buckets/pretraining" not in steps
    extended = steps["train/extended"]
    assert extended.needs == ("tokenizer/vocabulary",)
    assert {file.name for file in extended.files} >= {"config.json", "model.safetensors"}
    assert "train/extended" in steps["train/injection"].needs


def test_random_weights_may_begin_with_the_extended_vocabulary(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, pretraining={"vocabulary": "extended"})
    assert "train/extended" not in {step.name for step in list_steps(recipe)}


def test_a_base_folder_without_weights_is_refused(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, pretraining={"done_by": "base"})
    (tmp_path / "base" / "model.safetensors").unlink()
    with pytest.raises(TongwenError, match="no Hugging Face model there"):
        list_steps(recipe)


def test_an_output_asks_only_for_what_it_needs(recipe: Recipe) -> None:
    names = [step.name for step in required_steps(list_steps(recipe), "tokenizer/comparison")]
    assert names == [
        "corpus/documents",
        "corpus/duplicates",
        "tokenizer/vocabulary",
        "tokenizer/comparison",
    ]
    with pytest.raises(TongwenError, match="there is no output 'x'"):
        required_steps(list_steps(recipe), "x")


def fake_steps(recipe: Recipe) -> tuple[Step, ...]:
    """The real graph, each step building one small file from the names of its needs."""
    here = f"{__name__}:build_names"
    return tuple(
        replace(step, build=here, arguments=(("name", step.name),)) for step in list_steps(recipe)
    )


def build_names(recipe: Recipe, run: RunFolder, out: Path, *, name: str) -> Counts:
    (out / "name.txt").write_text(name, encoding="utf-8")
    return {}


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> object:
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


@pytest.mark.usefixtures("importable")
def test_redo_removes_an_output_and_all_that_was_made_from_it(recipe: Recipe) -> None:
    steps, run = fake_steps(recipe), RunFolder(recipe.folder)
    assert all(built for _, _, built in run_steps(recipe, steps))
    assert not any(built for _, _, built in run_steps(recipe, steps))
    gone = set(remove_outputs(recipe, steps, "buckets/injection"))
    assert gone == {"buckets/injection", "train/injection", "train/replay", "reports/report"}
    states = {step.name: find_state(run, step) for step in steps}
    assert {name for name, state in states.items() if state == "missing"} == gone
    again = run_steps(recipe, steps)
    assert {step.name for step, _, built in again if built} == gone


@pytest.mark.usefixtures("importable")
def test_what_was_built_again_with_the_same_bytes_changes_nothing_downstream(
    recipe: Recipe,
) -> None:
    import shutil

    steps, run = fake_steps(recipe), RunFolder(recipe.folder)
    run_steps(recipe, steps)
    shutil.rmtree(run.path("corpus/duplicates"))
    assert [step.name for step, _, built in run_steps(recipe, steps) if built] == [
        "corpus/duplicates"
    ]


def test_a_name_cannot_leave_the_run_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads out of the run folder"):
        RunFolder(tmp_path / "run").path("../x")
