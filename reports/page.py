"""The report as one HTML page that loads nothing: styles and drawings are inside it.

Jinja escapes every value; the only markup that goes in as it is are the drawings of
`reports.charts`, which escape what they are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.blocks import Section
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
    return environment


def show_piece(piece: str) -> str:
    """A piece with its blanks made visible; a byte piece as its two digits."""
    if len(piece) == 6 and piece.startswith("<0x"):
        return piece[3:5]
    return piece.replace("▁", "␣").replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣") or "·"


def render_html(title: str, sections: Sequence[Section], version: str = "") -> str:
    """The whole page."""
    template = _environment().get_template("report.html.jinja")
    return template.render(title=title, sections=sections, version=version)
