"""A part of section 3: how many tokens a text takes, with ours and with others' tokenizers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from reports.blocks import Block, Chart, Charts, Heading, Table, Text, make_table
from reports.charts import Bar, Dumbbell, Slice, bar_chart, dumbbell_chart
from reports.numbers import ABSENT, LARGEST, change, count, decimal, share
from reports.sections.common import (
    NARROW,
    SMALL,
    Row,
    colour_of,
    name_group,
    name_language,
    start_sentence,
)

_COLOURS = {"base": "var(--base)", "extended": "var(--accent)"}
_RATES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "rate": ("tokens per character", decimal),
    "interval": ("95 %", lambda pair: " – ".join(map(decimal, pair)) if pair else ABSENT),
    "mean_of_sources": ("mean of sources", decimal),
    "characters_per_token": ("characters per token", decimal),
    "bytes_per_token": ("bytes per token", decimal),
    "fallback_share": ("tokens that are bytes", share),
    "fertility": ("tokens per word", decimal),
}
_FULL_COLOUR = 0.5
"""A category with half as many tokens again as the reference (or as few) has the full colour."""


def describe_compression(data: Row) -> list[Block]:
    """Drawings and tables by language, the published table, and one by category."""
    tokenizers = data["tokenizer"]["tokenizers"]
    if not tokenizers:
        return []
    present = {language for row in tokenizers for language in row["languages"]}
    languages = [language for language in data["languages"] if language in present]
    return [
        Text(
            "Tokens per character on the held-out documents, which the pieces were not learned "
            "from. Lower is better: the same text takes fewer tokens."
        ),
        Charts(tuple(_chart_language(tokenizers, language) for language in languages)),
        *(_table_language(data, language) for language in languages),
        *_table_unchanged(data["tokenizer"]["unchanged"] or []),
        _table_published(data["tokenizer"]),
        *_describe_categories(data),
    ]


def _sort(tokenizers: Sequence[Row], language: str) -> list[Row]:
    """Those that were measured in a language, the fewest tokens first."""
    measured = [row for row in tokenizers if _rate(row, language) is not None]
    return sorted(measured, key=lambda row: _rate(row, language) or 0.0)


def _rate(row: Row, language: str) -> float | None:
    return row["languages"].get(language, {}).get("rate")


def _chart_language(tokenizers: Sequence[Row], language: str) -> Chart:
    bars = [
        Bar(
            f"{row['name']} ({count(row['size'])})",
            (Slice(_rate(row, language) or 0.0, _COLOURS.get(row["name"], "var(--peer)")),),
            decimal(_rate(row, language)),
        )
        for row in _sort(tokenizers, language)
    ]
    title = f"Tokens per character, {name_language(language)}"
    about = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
    unit = "tokens per character"
    return Chart(title, bar_chart(bars, title=title, unit=unit, about=about, width=SMALL))


def _table_language(data: Row, language: str) -> Table:
    """Every rate of a language that was counted, and the ratios to base and reference."""
    reference = data["tokenizer"]["reference"]
    measured = _sort(data["tokenizer"]["tokenizers"], language)
    totals = [row["languages"][language] for row in measured]
    names = [name for name in _RATES if any(total[name] is not None for total in totals)]
    rows = [
        (
            row["name"],
            count(row["size"]),
            *(_RATES[name][1](total[name]) for name in names),
            decimal((row["to_base"] or {}).get(language)),
            *([decimal((row["to_reference"] or {}).get(language))] if reference else []),
        )
        for row, total in zip(measured, totals, strict=True)
    ]
    ratios = ("× base", *([f"× {reference}"] if reference else []))
    name = start_sentence(name_language(language))
    return make_table(
        f"{name}: {count(_characters(totals))} held-out characters",
        ("tokenizer", "pieces", *(_RATES[name][0] for name in names), *ratios),
        rows,
        folded=language not in data["learned"],
        marked=_find_ours(measured),
        note=_explain(names),
    )


def _characters(totals: Sequence[Row]) -> int:
    return max((total["characters"] for total in totals), default=0)


def _explain(names: Sequence[str]) -> str:
    words = []
    if "fallback_share" in names:
        words.append("Tokens that are bytes spell a character that has no piece.")
    if "fertility" in names:
        words.append("A word is a Han character, or what stands between spaces.")
    return " ".join(words)


def _find_ours(rows: Sequence[Row]) -> list[int]:
    return [place for place, row in enumerate(rows) if row["name"] == "extended"]


def _table_unchanged(unchanged: Sequence[Row]) -> list[Block]:
    rows = [
        (
            name_language(row["language"]),
            count(row["lines"]),
            count(row["changed"]),
            count(row["with_chinese"]),
        )
        for row in unchanged
    ]
    columns = ("language", "lines compared", "tokenised differently", "lines with Chinese in them")
    caption = "Languages that no pieces were learned for: base against extended"
    note = "Held-out lines; those with Chinese in them are not compared."
    return [make_table(caption, columns, rows, note=note)] if rows else []


def _table_published(tokenizer: Row) -> Table:
    """The published figures, and beside them those of the same tokenizers here."""
    ours = next((row for row in tokenizer["tokenizers"] if row["name"] == "extended"), None)
    rows = [
        (
            row["name"],
            count(row["size"]),
            decimal(row["rate"]),
            decimal(row["to_reference"], 4),
            ("≈ " if row["derived"] else "") + decimal(row["measured"]),
            decimal(row["measured_to_reference"], 4),
        )
        for row in tokenizer["published"]
    ]
    if ours is not None:
        to_reference = (ours["to_reference"] or {}).get("zh")
        measured = (decimal(_rate(ours, "zh")), decimal(to_reference, 4))
        rows.append(("extended (this run)", count(ours["size"]), "-", "-", *measured))
    derived = [row for row in tokenizer["published"] if row["derived"]]
    note = "The published figures are of other sentences: compare the ratios, not the figures."
    for row in derived:
        ratio = decimal(row["to_reference"], 4)
        note += f" ≈ {row['name']}: {ratio} × Chinese-LLaMA-2 as measured here."
    return make_table(
        "Chinese: published with Colossal-LLaMA-2, and measured here",
        (
            "tokenizer", "pieces", "published", "published × Chinese-LLaMA-2", "measured here",
            "measured × Chinese-LLaMA-2",
        ),
        rows,
        note=note,
        marked=[len(rows) - 1] if ours is not None else (),
    )  # fmt: skip


def _describe_categories(data: Row) -> list[Block]:
    groups = data["tokenizer"]["by_group"]
    if not groups:
        return []
    learned = [g for g in groups if g["language"] in data["learned"]] or groups
    languages = [name for name in data["languages"] if any(g["language"] == name for g in groups)]
    return [
        Heading("By category"),
        Charts((_chart_groups(data, learned),)),
        *(_map_language(data, language) for language in languages),
    ]


def _chart_groups(data: Row, learned: Sequence[Row]) -> Chart:
    shown = learned[:LARGEST]
    rows = [
        Dumbbell(
            name_group(group),
            group["base"],
            group["extended"],
            colour_of(group["language"], data["languages"]),
            change(None if group["ratio"] is None else group["ratio"] - 1),
        )
        for group in shown
    ]
    title = "Base and extended vocabulary by category"
    wide, narrow = (
        dumbbell_chart(
            rows,
            title=title,
            unit="tokens per character",
            about="; ".join(f"{row.label} {row.note}" for row in rows),
            names=("base", "extended"),
            width=w,
        )
        for w in (720.0, NARROW)
    )
    note = f"The {len(shown)} largest of {len(learned)}." if len(learned) > len(shown) else ""
    return Chart(title, wide, narrow, note)


def _map_language(data: Row, language: str) -> Table:
    """Every tokenizer on every category, each cell coloured by its ratio to the reference."""
    tokenizer = data["tokenizer"]
    groups = [group for group in tokenizer["by_group"] if group["language"] == language]
    names = _order_names(tokenizer, language)
    against = tokenizer["reference"] or "base"
    rows = [
        (
            group["category"] or "(no category)",
            count(group["characters"]),
            *(decimal(group["rates"].get(name)) for name in names),
            decimal(group["ratio"]),
        )
        for group in groups
    ]
    shades = [
        (None, None, *(_shade(group["rates"], name, against) for name in names), None)
        for group in groups
    ]
    return make_table(
        f"{start_sentence(name_language(language))}: tokens per character by category, "
        f"all {len(groups)}",
        ("category", "characters", *names, "extended × base"),
        rows,
        folded=language not in data["learned"],
        note=f"Coloured by the ratio to {against}: green has fewer tokens, orange more.",
        shades=shades,
    )


def _order_names(tokenizer: Row, language: str) -> list[str]:
    """Ours first, then the fewest tokens first."""
    names = [row["name"] for row in _sort(tokenizer["tokenizers"], language)]
    return sorted(names, key=lambda name: name != "extended")


def _shade(rates: Row, name: str, against: str) -> float | None:
    """How far a rate lies from the reference's, on a logarithmic scale."""
    rate, other = rates.get(name), rates.get(against)
    if not rate or not other:
        return None
    return max(-1.0, min(1.0, math.log(rate / other) / math.log1p(_FULL_COLOUR)))
