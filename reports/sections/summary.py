"""Section 1: the figures to decide by."""

from __future__ import annotations

from reports.blocks import Figure, Figures, Missing, Section, Text
from reports.numbers import change, count, decimal, duration, share, short, size
from reports.sections.common import Row, name_language, start_sentence


def describe_summary(data: Row, machine: Row) -> Section:
    """Figures of all stages, and what is not finished."""
    summary = data["summary"]
    figures = (
        *_corpus_figures(summary),
        *_compression_figures(summary),
        *_unchanged_figures(summary),
        Figure(
            "Largest deviation of a share",
            share(summary["largest_deviation"], 2),
            "of any category in any bucket, in percent of the bucket",
        ),
        *_training_figures(data),
        Figure(
            "Time and peak memory",
            f"{duration(machine['seconds'])} · {size(machine['peak_memory_bytes'])}",
            "all outputs together; the largest process",
        ),
    )
    missing = tuple(data["provenance"]["missing"])
    waiting = (Missing("This run is not finished.", missing),) if missing else ()
    return Section("summary", "Summary", (*waiting, Text(_describe_stages(data)), Figures(figures)))


def _describe_stages(data: Row) -> str:
    words = [
        f"{stage['name']} (the base model as it is)"
        if stage["done_by"] == "base"
        else f"{stage['name']} ({short(stage['tokens'])} tokens, {stage['vocabulary']} vocabulary)"
        for stage in data["stages"]
    ]
    return f"Stages: {' → '.join(words)}."


def _corpus_figures(summary: Row) -> list[Figure]:
    return [
        Figure(
            "Documents, read → kept",
            f"{short(summary['documents'])} → {short(summary['kept_documents'])}",
            f"{count(summary['kept_documents'])} of {count(summary['documents'])}; "
            f"{short(summary['characters'])} characters",
        ),
        Figure(
            "Duplicates",
            share(summary["duplicates_share"]),
            f"{count(summary['duplicates'])} documents, exact or near",
        ),
    ]


def _compression_figures(summary: Row) -> list[Figure]:
    if not summary["compression"]:
        return [Figure("Tokens per character", "-", "not measured yet")]
    figures: list[Figure] = []
    for row in summary["compression"]:
        reference = row["to_reference"]
        against = "" if reference is None else f"; {decimal(reference)} × Chinese-LLaMA-2"
        figures.append(
            Figure(
                f"Tokens per character, {name_language(row['language'])}",
                f"{decimal(row['base'])} → {decimal(row['extended'])}",
                f"{decimal(row['ratio'])} × base{against}",
            )
        )
    return figures


def _unchanged_figures(summary: Row) -> list[Figure]:
    figures: list[Figure] = []
    for row in summary["unchanged"] or ():
        if not row["lines"]:
            continue
        changed = count(row["changed"])
        figures.append(
            Figure(
                start_sentence(f"{name_language(row['language'])} tokens"),
                f"{changed} changed" if row["changed"] else "unchanged",
                f"{changed} of {count(row['lines'])} held-out lines without Chinese",
            )
        )
    return figures


def _training_figures(data: Row) -> list[Figure]:
    rows = data["summary"]["bits_per_character"]
    if not rows:
        return [Figure("Bits per character", "-", "not trained yet")]
    order = {language: index for index, language in enumerate(data["languages"])}
    return [
        Figure(
            f"Bits per character, {name_language(row['language'])}",
            f"{decimal(row['before'], 2)} → {decimal(row['after'], 2)}",
            f"{change(None if row['ratio'] is None else row['ratio'] - 1)}; {_span(data)}",
        )
        for row in sorted(rows, key=lambda row: order.get(row["language"], 99))
    ]


def _span(data: Row) -> str:
    training = data["training"]
    before = training["milestones"][training["before"]]
    after = training["milestones"][training["after"]]
    return f"{before['at']} of {before['stage']} → {after['at']} of {after['stage']}"
