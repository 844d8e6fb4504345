"""Section 3: the vocabulary and how well it compresses."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import (
    Block,
    Chart,
    Charts,
    Heading,
    Missing,
    Pieces,
    Section,
    Table,
    Text,
    Words,
    make_table,
)
from reports.charts import Bar, Dumbbell, Slice, bar_chart, column_chart, dumbbell_chart
from reports.numbers import LARGEST, change, count, decimal
from reports.sections.common import NARROW, SMALL, Row, colour_of, name_group, name_language

_COLOURS = {"base": "var(--base)", "extended": "var(--accent)"}
_PIECES_SHOWN = 80


def describe_tokenizer(data: Row) -> Section:
    """Compression by language and category, the new pieces, sample segmentations."""
    tokenizer = data["tokenizer"]
    waiting = [Missing("Parts of this section are not there yet.", tuple(tokenizer["missing"]))]
    blocks = [
        *(waiting if tokenizer["missing"] else []),
        *_describe_compression(data),
        *_describe_categories(data),
        *_describe_pieces(tokenizer),
        *_describe_segmentation(tokenizer),
    ]
    return Section("tokenizer", "Tokenizer", tuple(blocks))


def _describe_compression(data: Row) -> list[Block]:
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
        _table_compression(data, languages),
        *_table_unchanged(data["tokenizer"]["unchanged"] or []),
        _table_published(data["tokenizer"]),
    ]


def _chart_language(tokenizers: Sequence[Row], language: str) -> Chart:
    measured = [row for row in tokenizers if _rate(row, language) is not None]
    bars = [
        Bar(
            f"{row['name']} ({count(row['size'])})",
            (Slice(_rate(row, language) or 0.0, _COLOURS.get(row["name"], "var(--peer)")),),
            decimal(_rate(row, language)),
        )
        for row in sorted(measured, key=lambda row: _rate(row, language) or 0.0)
    ]
    title = f"Tokens per character, {name_language(language)}"
    about = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
    unit = "tokens per character"
    return Chart(title, bar_chart(bars, title=title, unit=unit, about=about, width=SMALL))


def _rate(row: Row, language: str) -> float | None:
    return row["languages"].get(language, {}).get("rate")


def _table_compression(data: Row, languages: Sequence[str]) -> Table:
    reference = data["tokenizer"]["reference"]
    columns = ["tokenizer", "pieces"]
    for language in languages:
        columns += [f"{language}: tokens per character", f"{language}: × base"]
        columns += [f"{language}: × {reference}"] if reference else []
    rows: list[list[str]] = []
    for tokenizer in data["tokenizer"]["tokenizers"]:
        row = [tokenizer["name"], count(tokenizer["size"])]
        for language in languages:
            row.append(decimal(_rate(tokenizer, language)))
            row.append(decimal((tokenizer["to_base"] or {}).get(language)))
            if reference:
                row.append(decimal((tokenizer["to_reference"] or {}).get(language)))
        rows.append(row)
    return make_table("Compression by language", columns, rows)


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
    rows = [
        (
            row["name"],
            count(row["size"]),
            decimal(row["rate"]),
            decimal(row["to_base"]),
            decimal(row["to_reference"]),
        )
        for row in tokenizer["published"]
    ]
    return make_table(
        "Published with Colossal-LLaMA-2, Chinese",
        ("tokenizer", "pieces", "tokens per character", "× LLaMA-2", "× Chinese-LLaMA-2"),
        rows,
        note="Published, on other sentences: compare the ratios, not the figures.",
    )


def _describe_categories(data: Row) -> list[Block]:
    groups = data["tokenizer"]["by_group"]
    if not groups:
        return []
    learned = [g for g in groups if g["language"] in data["learned"]] or groups
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
    return [
        Heading("By category"),
        Charts((Chart(title, wide, narrow, note),)),
        _table_categories(groups),
    ]


def _table_categories(groups: Sequence[Row]) -> Table:
    rows = [
        (
            group["category"],
            group["language"],
            count(group["characters"]),
            decimal(group["base"]),
            decimal(group["extended"]),
            decimal(group["ratio"]),
        )
        for group in groups
    ]
    columns = ("category", "language", "held-out characters", "base", "extended", "ratio")
    return make_table(
        f"Tokens per character, all {len(groups)} categories",
        columns,
        rows,
        num_labels=2,
        folded=True,
    )


def _describe_pieces(tokenizer: Row) -> list[Block]:
    pieces = tokenizer["pieces"]
    if not pieces:
        return []
    kinds = ", ".join(f"{count(number)} {kind}" for kind, number in pieces["by_kind"].items())
    dead = pieces["unreachable"]
    reached = f"{count(dead)} of them can never be produced" if dead else "All can be produced"
    title = f"{count(pieces['added'])} new pieces by length"
    drawing = column_chart(
        [(str(length), number) for length, number in pieces["by_length"].items()],
        title=title,
        x_unit="characters of a piece",
        y_unit="pieces",
        about=", ".join(f"{n} characters: {c}" for n, c in pieces["by_length"].items()),
        width=SMALL,
    )
    words = (
        f"{count(pieces['added'])} pieces were added: {kinds}. {reached}; "
        f"{count(pieces['unused'])} do not occur in the text they were learned from."
    )
    lists = (("Most frequent", "frequent"), ("Longest", "longest"))
    return [
        Heading("New pieces"),
        Text(words),
        Charts((Chart(title, drawing),)),
        make_table(
            "New pieces by length",
            ("characters", "pieces"),
            [(str(length), count(number)) for length, number in pieces["by_length"].items()],
            folded=True,
        ),
        *(Words(name, tuple(row["piece"] for row in pieces[key])) for name, key in lists),
    ]


def _describe_segmentation(tokenizer: Row) -> list[Block]:
    sentences = tokenizer["segmentation"]
    if not sentences:
        return []
    blocks: list[Block] = [Heading("Segmentation"), Text("Held-out sentences, piece by piece.")]
    for sentence in sentences:
        rows = tuple(
            (name, tuple(sentence[name][:_PIECES_SHOWN]), _remark(sentence, name))
            for name in ("base", "extended")
        )
        blocks.append(Pieces(name_language(sentence["language"]), rows))
    return blocks


def _remark(sentence: Row, name: str) -> str:
    pieces = len(sentence[name])
    cut = f", the first {_PIECES_SHOWN} shown" if pieces > _PIECES_SHOWN else ""
    return f"{count(pieces)} tokens{cut}"
