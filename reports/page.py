"""The report as one HTML page that loads nothing: styles and drawings are inside it.

Jinja escapes every value; the only markup that goes in as it is are the drawings of
`reports.charts`, which escape what they are given, and the pieces to search as JSON without `<`.
The one script is allowed by its hash: whatever else looked like a script would not run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.blocks import Search, Section
from reports.charts.svg import shorten

_CELL = 60


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fit"] = lambda words, limit=_CELL: shorten(str(words), limit)
    environment.tests["byte"] = lambda piece: len(piece) == 6 and piece.startswith("<0x")
    environment.filters["piece"] = show_piece
    environment.filters["shade"] = write_shade
    return environment


def show_piece(piece: str) -> str:
    """A piece with its blanks made visible; a byte piece as its two digits."""
    if len(piece) == 6 and piece.startswith("<0x"):
        return piece[3:5]
    return piece.replace("▁", "␣").replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣") or "·"


def write_shade(shade: float) -> str:
    """The colour of a cell, -1 (less) to 1 (more); words on it stay readable."""
    colour = "--accent" if shade < 0 else "--above"
    strength = round(45 * min(1.0, abs(shade)))
    return f"background:color-mix(in srgb,var({colour}) {strength}%,transparent)"


def render_html(title: str, sections: Sequence[Section], version: str = "") -> str:
    """The whole page."""
    script = (files("reports") / "templates" / "search.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    blocks = (block for section in sections for block in section.blocks)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            title=title,
            sections=sections,
            version=version,
            script=Markup(script),
            script_hash=f"sha256-{digest}",
            searched=any(isinstance(block, Search) for block in blocks),
        )
    )
