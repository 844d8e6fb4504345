"""The report of a run that may not be finished."""

from __future__ import annotations

from pathlib import Path

from tongwen.pipeline import list_steps, required_steps, run_steps
from tongwen.recipe import Recipe
from tongwen.run import RunFolder
from tongwen.status import find_state

REPORT = "reports/report"


def write_draft(recipe: Recipe) -> Path:
    """The page: the run's own where everything is done, else a draft of what there is.

    A draft lies in `reports/draft`, has no record and is written anew each time.
    """
    steps, run = required_steps(list_steps(recipe), REPORT), RunFolder(recipe.folder)
    if all(find_state(run, step) == "done" for step in steps if step.name != REPORT):
        run_steps(recipe, steps)
        return run.path(REPORT) / "report.html"
    from reports.steps import build_report

    draft = run.path("reports/draft")
    draft.mkdir(parents=True, exist_ok=True)
    build_report(recipe, run, draft)
    return draft / "report.html"
