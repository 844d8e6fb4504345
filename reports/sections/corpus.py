"""Section 2: what came in, what was dropped and why."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Block, Chart, Charts, Heading, Missing, Pair, Section, Text, make_table
from reports.charts import Bar, Outlet, Slice, bar_chart, column_chart, flow_chart
from reports.numbers import LARGEST, count, divide, plain, share, short
from reports.sections.audit import describe_audit
from reports.sections.characters import describe_characters
from reports.sections.common import (
    NARROW,
    SMALL,
    WIDE,
    Row,
    colour_of,
    name_language,
    name_others,
    start_sentence,
)
from reports.sections.differences import mark_differences

_EXAMPLES_SHOWN = 6
_REJECT = ("reason", "detail", "excerpt")
_KINDS = {"exact": "--dup1", "normalized": "--dup3", "near": "--dup2", "known": "--dup4"}
"""Kinds of duplicates with their colours, in the order in which they are found."""


def describe_corpus(data: Row) -> Section:
    """Flow, categories, sources, duplicates, their audit and rejects."""
    corpus = data["corpus"]
    waiting = [Missing("Parts of this section are not there yet.", tuple(corpus["missing"]))]
    blocks = [
        *(waiting if corpus["missing"] else []),
        *_describe_flow(corpus),
        *_describe_categories(data),
        *_describe_sources(corpus),
        *describe_characters(data),
        *_describe_duplicates(corpus),
        *describe_audit(corpus["audit"]),
        *_describe_rejects(corpus),
    ]
    return Section("corpus", "Corpus", tuple(blocks))


def list_flow(flow: Row) -> list[tuple[str, int, str]]:
    """Where every line went: label, lines, colour.  They add up to the lines read."""
    held_out = flow["held_out"] or 0
    rejected = [
        (f"rejected: {reason.replace('_', ' ')}", lines, "var(--warn)")
        for reason, lines in flow["rejected_by_reason"].items()
    ]
    duplicates = [
        (f"{kind} duplicates", flow[f"{kind}_duplicates"], f"var({colour})")
        for kind, colour in (*_KINDS.items(), ("other", "--base"))
        if flow[f"{kind}_duplicates"] or kind in ("exact", "near")
    ]
    return [
        *rejected,
        *duplicates,
        ("held out", held_out, "var(--held)"),
        ("for training", flow["kept_documents"] - held_out, "var(--keep)"),
    ]


def _describe_flow(corpus: Row) -> list[Block]:
    flow = corpus["flow"]
    if flow is None:
        return []
    total = flow["lines_read"]
    parts = [part for part in list_flow(flow) if part[1]]
    outlets = [
        Outlet(label, lines, colour, f"{count(lines)} · {share(divide(lines, total), 2)}")
        for label, lines, colour in parts
    ]
    title = "What became of every line read"
    about = ", ".join(f"{label} {count(lines)}" for label, lines, _ in parts)
    height = 200.0 + 20.0 * len(outlets)
    wide, narrow = (
        flow_chart(f"{count(total)} read", outlets, title=title, about=about, width=w, height=h)
        for w, h in ((WIDE, height), (NARROW, height + 40))
    )
    return [Charts((Chart(title, wide, narrow),)), _table_flow(flow)]


def _table_flow(flow: Row) -> Block:
    total = flow["lines_read"]
    rows = [
        (label, count(lines), share(divide(lines, total), 2)) for label, lines, _ in list_flow(flow)
    ]
    rows.append(("lines read", count(total), share(divide(total, total), 2)))
    return make_table(
        "Lines by what became of them", ("", "lines", "share"), rows, total=True, folded=True
    )


def _describe_categories(data: Row) -> list[Block]:
    groups = data["corpus"]["by_group"]
    if not groups:
        return []
    languages = [name for name in data["languages"] if any(g["language"] == name for g in groups)]
    charts = [_chart_language(data, language) for language in languages]
    return [
        Heading("Categories"),
        Text("Characters of kept text by category, each language on its own scale."),
        Charts(tuple(charts)),
        _table_categories(groups),
    ]


def _chart_language(data: Row, language: str) -> Chart:
    groups = [g for g in data["corpus"]["by_group"] if g["language"] == language]
    total = sum(group["characters"] for group in groups)
    bars = [
        Bar(
            group["category"] or "(no category)",
            (Slice(group["characters"], colour_of(language, data["languages"])),),
            f"{short(group['characters'])} · {share(divide(group['characters'], total))}",
        )
        for group in groups[:LARGEST]
    ]
    title = start_sentence(f"{name_language(language)}: {short(total)} characters")
    about = f"{len(groups)} categories; the largest is {groups[0]['category']}"
    drawing = bar_chart(bars, title=title, unit="characters", about=about, width=SMALL)
    return Chart(title, drawing, note=_say_others(groups, total))


def _say_others(groups: Sequence[Row], total: int) -> str:
    """The categories that are not drawn: their bar would dwarf the others."""
    rest = groups[LARGEST:]
    if not rest:
        return ""
    characters = sum(group["characters"] for group in rest)
    return f"and {name_others(len(rest))}: {short(characters)}, {share(divide(characters, total))}"


def _list_counts(rows: Sequence[Row]) -> dict[str, str]:
    """Columns of a table of counts with their headings; only kinds of duplicates that occur."""
    kinds = [kind for kind in _KINDS if any(row[f"{kind}_duplicates"] for row in rows)]
    return {
        "documents": "documents",
        **{f"{kind}_duplicates": f"{kind} duplicates" for kind in kinds},
        "kept_documents": "kept",
        "characters": "characters kept",
    }


def _table_categories(groups: Sequence[Row]) -> Block:
    counts = _list_counts(groups)
    rows = [
        (
            group["category"],
            group["language"],
            *(count(group[name]) for name in counts),
            share(divide(group["documents"] - group["kept_documents"], group["documents"])),
            _median(group),
            f"{count(group['shortest_p05'])} – {count(group['longest_p95'])}",
        )
        for group in groups
    ]
    columns = (
        "category", "language", *counts.values(), "duplicates", "median length", "length, 5 – 95 %",
    )  # fmt: skip
    return make_table(
        f"All {len(groups)} categories",
        columns,
        rows,
        num_labels=2,
        folded=True,
        note="Lengths in characters; a range of medians where sources differ.",
    )


def _median(group: Row) -> str:
    low, high = count(group["median_low"]), count(group["median_high"])
    return low if low == high else f"{low} – {high}"


def _describe_sources(corpus: Row) -> list[Block]:
    sources = corpus["by_source"]
    if not sources:
        return []

    names = _list_counts(sources)

    def row_of(source: Row) -> tuple[str, ...]:
        lost = divide(source["documents"] - source["kept_documents"], source["documents"])
        counts = (count(source[name]) for name in names)
        return (source["source"], ", ".join(source["languages"]), *counts, share(lost))

    columns = ("source", "language", *names.values(), "duplicates")
    rows = [row_of(source) for source in sources]
    largest = (
        f"The {LARGEST} largest of {len(rows)} sources"
        if len(rows) > LARGEST
        else "By source, most characters first"
    )
    blocks: list[Block] = [
        Heading("Sources"),
        make_table(largest, columns, rows[:LARGEST], num_labels=2),
    ]
    if len(rows) > LARGEST:
        blocks.append(
            make_table(f"All {len(rows)} sources", columns, rows, num_labels=2, folded=True)
        )
    return blocks


def _describe_duplicates(corpus: Row) -> list[Block]:
    if corpus["similarity"] is None:
        return []
    blocks: list[Block] = [Heading("Near duplicates")]
    steps = [(f"{row['from']:.2f}", row["documents"]) for row in corpus["similarity"]]
    total = sum(row["documents"] for row in corpus["similarity"])
    if total:
        title = f"{count(total)} near duplicates by similarity"
        drawing = column_chart(
            steps,
            title=title,
            x_unit="exact Jaccard similarity with the document kept",
            y_unit="documents",
            about="columns of 0.02",
            colour="var(--dup2)",
            width=SMALL,
        )
        blocks.append(Charts((Chart(title, drawing),)))
    if corpus["parameters"]:
        settings = sorted(corpus["parameters"].items())
        pairs = [(key.replace("_", " "), plain(value)) for key, value in settings]
        blocks.append(
            make_table("How duplicates were found", ("setting", "value"), pairs, folded=True)
        )
    found = corpus["examples"] or []
    examples = found[:: max(1, len(found) // _EXAMPLES_SHOWN)]
    if examples:
        blocks.append(Text("Pairs over the range of similarities; what differs is marked."))
    return [*blocks, *(_pair(example) for example in examples[:_EXAMPLES_SHOWN])]


def _pair(example: Row) -> Pair:
    left, right = mark_differences(example["keeper_text"] or "", example["text"] or "")
    names = f"kept {example['keeper'][:8]}, dropped {example['id'][:8]}"
    return Pair(f"Similarity {example['jaccard']:.3f}: {names}", left, right)


def _describe_rejects(corpus: Row) -> list[Block]:
    if not corpus["rejects"]:
        return []
    rows = [(row["file"], row["reason"], count(row["lines"])) for row in corpus["rejects"]]
    blocks: list[Block] = [
        Heading("Rejected lines"),
        make_table(
            "By file and reason", ("file", "reason", "lines"), rows, num_labels=2,
            folded=len(rows) > LARGEST,
        ),
    ]  # fmt: skip
    if corpus["reject_samples"]:
        sample = [
            (f"{row['file']}:{row['line']}", *(row[name] or "" for name in _REJECT))
            for row in corpus["reject_samples"]
        ]
        columns = ("line", "reason", "detail", "starts with")
        blocks.append(make_table("Some of them", columns, sample, num_labels=4, folded=True))
    return blocks
