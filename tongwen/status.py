"""What of a run is done, what was made with another recipe, what is missing."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tongwen.pipeline import Step, list_all_steps, list_steps, step_inputs
from tongwen.progress import format_count, format_seconds
from tongwen.recipe import Recipe
from tongwen.record import fingerprint
from tongwen.run import RunFolder


def find_state(run: RunFolder, step: Step) -> str:
    """`done`, `changed` (made with another recipe or inputs), `begun` or `missing`."""
    record = run.record(step.name)
    if record is None:
        folder = run.path(step.name)
        return "begun" if folder.with_name(f".{folder.name}.partial").exists() else "missing"
    if any(run.record(name) is None for name in step.needs):
        return "changed"
    same = fingerprint(step.name, step.config, step_inputs(run, step)) == record.fingerprint
    return "done" if same else "changed"


def show_status(recipe: Recipe) -> None:
    """Print a table of every output of a run, and of the others that are there."""
    run, own = RunFolder(recipe.folder), list_steps(recipe)
    extra = [step for step in list_all_steps(recipe)[len(own) :] if run.record(step.name)]
    table = Table(title=f"{recipe.folder}", title_justify="left")
    for column in ("output", "state", "time", "size", "counts"):
        table.add_column(column, justify="right" if column in ("time", "size") else "left")
    for step in (*own, *extra):
        table.add_row(*_status_row(run, step))
    Console().print(table)


def _status_row(run: RunFolder, step: Step) -> tuple[str, ...]:
    state, record = find_state(run, step), run.record(step.name)
    if record is None:
        return (step.name, state, "", "", "")
    size = sum(entry.bytes for entry in record.files.values())
    counts = ", ".join(f"{key} {value}" for key, value in record.counts.items())
    return (step.name, state, format_seconds(record.seconds), format_count(size, "B"), counts)
