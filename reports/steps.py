"""The report step: page, Markdown and JSON of a run, finished or not."""

from __future__ import annotations

import json
from pathlib import Path

from reports.blocks import count_charts
from reports.collect import collect, collect_machine
from reports.markdown import render_markdown
from reports.page import render_html
from reports.sections import make_sections
from tongwen.recipe import Recipe
from tongwen.record import Counts, write_text
from tongwen.run import RunFolder


def build_report(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """Write report.html, report.md, report.json (no times) and timings.json into `out`.

    Outputs that are not finished are named in the sections that need them.

    Raises:
        TongwenError: a finished output cannot be read.
    """
    data, machine = collect(recipe, run), collect_machine(recipe, run)
    sections = make_sections(data, machine)
    version = machine["versions"].get("tongwen", "")
    version = "" if version == "not installed" else version
    write_text(out / "report.html", render_html(data["title"], sections, version))
    write_text(out / "report.md", render_markdown(data["title"], sections, version))
    write_text(out / "report.json", to_json(data))
    write_text(out / "timings.json", to_json(machine))
    return {
        "sections": len(sections),
        "charts": count_charts(sections),
        "missing": len(data["provenance"]["missing"]),
    }


def to_json(value: object) -> str:
    """Readable JSON without NaN, the same text for equal values."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
