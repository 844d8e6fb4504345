"""Running steps: what is not done yet is built, in order, and recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

from tongwen.errors import TongwenError
from tongwen.progress import format_seconds, say
from tongwen.recipe import CorpusRecipe
from tongwen.record import Counts, Record, identify_file, produce
from tongwen.run import RunFolder
from tongwen.steps import Step, list_all_steps, list_steps

__all__ = [
    "Step",
    "list_all_steps",
    "list_steps",
    "remove_outputs",
    "required_steps",
    "run_steps",
    "step_inputs",
]


def run_steps(recipe: CorpusRecipe, steps: tuple[Step, ...]) -> list[tuple[Step, Record, bool]]:
    """Build what is not built yet, in order; returns each record and whether it was built now.

    Raises:
        TongwenError: an output exists that was made with another recipe or other inputs.
    """
    run = RunFolder(recipe.folder)
    done: list[tuple[Step, Record, bool]] = []
    for number, step in enumerate(steps, 1):
        record, built = _run_step(recipe, run, step, f"[{number}/{len(steps)}]")
        done.append((step, record, built))
    return done


def _run_step(recipe: CorpusRecipe, run: RunFolder, step: Step, label: str) -> tuple[Record, bool]:
    if run.record(step.name) is None:
        say(f"{label} {step.name}")

    def build(out: Path) -> Counts:
        return step.load()(recipe, run, out)

    run.path(step.name).parent.mkdir(parents=True, exist_ok=True)
    record, built = produce(
        run.path(step.name),
        kind=step.name,
        config=step.config,
        inputs=step_inputs(run, step),
        build=build,
        resumable=step.resumable,
    )
    if built:
        counts = ", ".join(f"{key} {_show(value)}" for key, value in record.counts.items())
        say(f"      {format_seconds(record.seconds)}  {counts}")
    else:
        say(f"{label} {step.name}: done before")
    return record, built


def step_inputs(run: RunFolder, step: Step) -> dict[str, str]:
    """Name -> identity of everything a step reads."""
    found: dict[str, str] = {}
    for name in step.needs:
        run.finished(name)
        record = run.record(name)
        assert record is not None
        found[name] = record.content
    for file in step.files:
        identity = identify_file(file) if isinstance(file, Path) else file.identity
        found[f"{len(found)}:{file.name}"] = identity
    return found


def _show(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def required_steps(steps: tuple[Step, ...], name: str) -> tuple[Step, ...]:
    """The step of that name and all it needs, in order.

    Raises:
        TongwenError: there is no such step.
    """
    wanted = {_find_step(steps, name).name}
    for step in reversed(steps):
        if step.name in wanted:
            wanted.update(step.needs)
    return tuple(step for step in steps if step.name in wanted)


def _find_step(steps: tuple[Step, ...], name: str) -> Step:
    for step in steps:
        if step.name == name:
            return step
    raise TongwenError(
        f"there is no output {name!r} in this recipe",
        expected="one of " + ", ".join(step.name for step in steps),
    )


def remove_outputs(recipe: CorpusRecipe, steps: tuple[Step, ...], name: str) -> list[str]:
    """Remove an output and everything that was made from it; returns the names removed.

    Raises:
        TongwenError: there is no such step.
    """
    run, gone = RunFolder(recipe.folder), {_find_step(steps, name).name}
    for step in steps:
        if gone.intersection(step.needs):
            gone.add(step.name)
    present = [step.name for step in steps if step.name in gone and run.path(step.name).exists()]
    for output in present:
        shutil.rmtree(run.path(output))
    return present
