"""A part of section 2: which characters kept text is made of, and in which script Chinese is."""

from __future__ import annotations

from reports.blocks import Block, Chart, Charts, Heading, Table, Text, make_table
from reports.charts import Bar, Slice, bar_chart
from reports.numbers import LARGEST, divide, share, short
from reports.sections.common import (
    SMALL,
    Row,
    colour_of,
    name_language,
    name_others,
    start_sentence,
)

_NAMES = {
    "han": "Han",
    "kana_hangul": "kana and Hangul",
    "latin": "Latin",
    "digits": "digits",
    "punctuation": "punctuation",
    "space": "white space",
    "other": "other",
}
_SIMPLIFIED, _TRADITIONAL = "var(--accent)", "var(--warn)"
_CHINESE = 0.1
"""Share of Han characters from which a category is taken for Chinese."""


def describe_characters(data: Row) -> list[Block]:
    """A drawing for each language, one of the scripts, and a table."""
    characters = data["corpus"]["characters"]
    if characters is None or not characters["by_language"]:
        return []
    found = {row["language"]: row for row in characters["by_language"]}
    ordered = [found[name] for name in data["languages"] if name in found]
    charts = [_chart_classes(row, data["languages"]) for row in ordered]
    chinese = [
        row
        for row in characters["by_group"]
        if (divide(row["han"], row["characters"]) or 0) >= _CHINESE
    ]
    if chinese:
        charts.append(_chart_scripts(chinese))
    return [
        Heading("Characters"),
        Text(
            "Characters of kept text by class. Some Han characters exist only in simplified and "
            "some only in traditional script; a text in one script has next to none of the other."
        ),
        Charts(tuple(charts)),
        _table_characters(characters["by_group"]),
    ]


def _chart_classes(row: Row, languages: list[str]) -> Chart:
    colour = colour_of(row["language"], languages)
    bars = [
        Bar(name, (Slice(100 * (part or 0), colour),), share(part))
        for key, name in _NAMES.items()
        if (part := divide(row[key], row["characters"])) is not None
    ]
    name = start_sentence(name_language(row["language"]))
    title = f"{name}: {short(row['characters'])} characters by class"
    largest = max(bars, key=lambda bar: bar.value, default=None)
    about = f"the largest is {largest.label}, {largest.note}" if largest else "no characters"
    drawing = bar_chart(bars, title=title, unit="% of characters", about=about, width=SMALL)
    return Chart(title, drawing)


def _chart_scripts(groups: list[Row]) -> Chart:
    """Simplified and traditional of each category; what is mixed or traditional comes first."""
    ordered = sorted(groups, key=lambda row: (-(_traditional_part(row) or 0), -row["han"]))
    bars = [_draw_scripts(row) for row in ordered[:LARGEST]]
    title = "Script of Chinese text by category, most traditional first"
    note, rest = "Beside each bar: the traditional part of both", ordered[LARGEST:]
    if rest:
        note += f"; {name_others(len(rest))} have at most {share(_traditional_part(rest[0]), 2)}"
    drawing = bar_chart(
        bars,
        title=title,
        unit="% of Han characters that only this script has",
        about=f"{len(ordered)} categories; the first is {ordered[0]['category']}",
        width=SMALL,
        key=(("simplified", _SIMPLIFIED), ("traditional", _TRADITIONAL)),
    )
    return Chart(title, drawing, note=note)


def _draw_scripts(row: Row) -> Bar:
    category = row["category"] or "(no category)"
    parts = {name: divide(row[name], row["han"]) for name in ("simplified", "traditional")}
    slices = tuple(
        Slice(100 * (part or 0), colour, f"{category}, {name}: {share(part, 2)}")
        for (name, part), colour in zip(parts.items(), (_SIMPLIFIED, _TRADITIONAL), strict=True)
    )
    return Bar(category, slices, share(_traditional_part(row)))


def _traditional_part(row: Row) -> float | None:
    """Of the characters that tell the scripts apart, those that are traditional."""
    return divide(row["traditional"], row["simplified"] + row["traditional"])


def _table_characters(groups: list[Row]) -> Table:
    rows = [
        (
            row["category"],
            row["language"],
            *(share(divide(row[name], row["characters"])) for name in _NAMES),
            share(divide(row["simplified"], row["han"])),
            share(divide(row["traditional"], row["han"])),
        )
        for row in groups
    ]
    columns = ("category", "language", *_NAMES.values(), "simplified", "traditional")
    return make_table(
        "Classes of characters and scripts by category",
        columns,
        rows,
        num_labels=2,
        folded=True,
        note="Parts of all characters; simplified and traditional: parts of the Han characters.",
    )
