"""The report as Markdown: the same words, figures and tables as the page, without drawings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.blocks import (
    Block,
    Charts,
    Figures,
    Findings,
    Heading,
    Missing,
    Pair,
    Pieces,
    Search,
    Section,
    Table,
    Text,
    Words,
)
from reports.charts.svg import shorten
from reports.page import show_piece

_CELL = 120
_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")


def escape(words: str, limit: int = _CELL) -> str:
    """One line in which nothing is Markdown or HTML."""
    line = shorten(" ".join(words.split()), limit)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)


def render_markdown(title: str, sections: Sequence[Section], version: str = "") -> str:
    """The whole report."""
    parts = [f"# {escape(title)}"]
    for number, section in enumerate(sections, 1):
        parts.append(f"## {number} {escape(section.title)}")
        parts += [words for block in section.blocks if (words := _render(block))]
    parts += [f"Made by tongwen {escape(version)}."] if version else []
    return "\n\n".join(parts) + "\n"


def _render(block: Block) -> str:
    match block:
        case Heading():
            return f"### {escape(block.words)}"
        case Text():
            return escape(block.words, 2000)
        case Missing():
            return _missing(block)
        case Figures():
            return _figures(block)
        case Charts():
            return ""
        case Table():
            return _table(block)
        case Pair():
            return f"**{escape(block.title)}**\n\n- {_marked(block.left)}\n- {_marked(block.right)}"
        case Pieces():
            return "\n".join([f"**{escape(block.title)}**", "", *map(_pieces, block.rows)])
        case Words():
            return f"**{escape(block.title)}**: " + " · ".join(map(_piece, block.words))
        case Findings():
            return _findings(block)
        case Search():
            words = f"{block.num_pieces:,} pieces can be searched in report.html."
            return f"**{escape(block.title)}**: {words}"


def _missing(block: Missing) -> str:
    return f"> {escape(block.what)} Missing: " + ", ".join(map(escape, block.outputs))


def _findings(block: Findings) -> str:
    rows = [
        (found.severity, found.title, found.count, " · ".join(map(show_piece, found.examples[:5])))
        for found in block.findings
    ]
    columns = ("severity", "checked", "found", "examples")
    return _table(Table(block.title, columns, tuple(rows), num_labels=2))


def _figures(block: Figures) -> str:
    rows = tuple((figure.label, figure.value, figure.note) for figure in block.figures)
    return _table(Table("", ("", "figure", ""), rows))


def _table(table: Table) -> str:
    columns = range(len(table.columns))
    lines = [f"**{escape(table.caption)}**", ""] if table.caption else []
    lines.append(_row(table.columns))
    lines.append(_row([":--" if i < table.num_labels else "--:" for i in columns], raw=True))
    lines += [_row(row) for row in table.rows] or [_row(["none", *[""] * (len(columns) - 1)])]
    lines += ["", escape(table.note, 2000)] if table.note else []
    return "\n".join(lines)


def _row(cells: Sequence[str], raw: bool = False) -> str:
    return "| " + " | ".join(cell if raw else escape(cell) for cell in cells) + " |"


def _marked(stretches: Sequence[tuple[str, str]]) -> str:
    parts: list[str] = []
    for words, mark in stretches:
        inner = escape(words, 2000)
        parts.append({"changed": f"**{inner}**", "gap": f" … ({inner}) … "}.get(mark, inner))
    return "".join(parts)


def _pieces(row: tuple[str, tuple[str, ...], str]) -> str:
    name, pieces, remark = row
    return f"- {escape(name)} ({escape(remark)}): " + " · ".join(map(_piece, pieces))


def _piece(piece: str) -> str:
    return escape(show_piece(piece))
