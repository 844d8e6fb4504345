"""From the files of a run to one plain dict, the only input of the page.

The dict holds JSON values alone and is the same for two equal runs; times, memory and versions
are kept apart.  A run that is half done gives None where a file is not there yet, and every part
lists under `missing` the outputs it waits for.
"""

from __future__ import annotations

from reports.numbers import clean, divide
from reports.read.buckets import read_buckets
from reports.read.corpus import read_corpus
from reports.read.files import Row
from reports.read.provenance import read_machine, read_provenance
from reports.read.tokenizer import list_tokenizer_languages, read_tokenizer
from reports.read.training import read_training
from tongwen.recipe import Recipe
from tongwen.run import RunFolder

FORMAT = 1


def collect(recipe: Recipe, run: RunFolder) -> Row:
    """Everything that the report shows, without times.

    Returns:
        `format`, `title`, `languages` (those that pieces were learned for first), `learned`,
        `stages` (of the recipe), `summary` (the figures of the first section), and the parts
        `corpus`, `tokenizer`, `buckets`, `training`, `provenance` as their readers in
        `reports.read` document them.

    Raises:
        TongwenError: a finished output lacks a file or a column.
    """
    parts = {
        "corpus": read_corpus(run),
        "tokenizer": read_tokenizer(recipe, run),
        "buckets": read_buckets(recipe, run),
        "training": read_training(recipe, run),
        "provenance": read_provenance(recipe, run),
    }
    data = {
        "format": FORMAT,
        "title": recipe.reports.title or "From corpus to bilingual model",
        "languages": _list_languages(recipe, parts),
        "learned": list(recipe.tokenizer.languages),
        "stages": [_describe_stage(recipe, name) for name in [s.name for s in recipe.stages]],
        "summary": _summarize(recipe, parts),
        **parts,
    }
    return clean(data)


def collect_machine(recipe: Recipe, run: RunFolder) -> Row:
    """What depends on the machine and the clock."""
    return clean(read_machine(recipe, run))


def _list_languages(recipe: Recipe, parts: Row) -> list[str]:
    found = list_tokenizer_languages(parts["tokenizer"])
    found.update(row["language"] for row in parts["corpus"]["by_group"] or ())
    for stage in parts["buckets"]["stages"]:
        found.update(row["language"] for row in stage["bins"])
    for row in parts["training"]["milestones"]:
        found.update(row["bits_per_character"])
        found.update(name.partition("/")[0] for name in row["by_category"])
    first = [name for name in recipe.tokenizer.languages if name in found]
    return first + sorted(found.difference(first), key=lambda name: (name == "other", name))


def _describe_stage(recipe: Recipe, name: str) -> Row:
    stage = next(stage for stage in recipe.stages if stage.name == name)
    fields = {"name", "done_by", "vocabulary", "tokens", "buckets", "learning_rate", "trainable"}
    return stage.model_dump(mode="json", include=fields)


def _summarize(recipe: Recipe, parts: Row) -> Row:
    """The figures that a reader sees first; None where they are not known yet."""
    flow = parts["corpus"]["flow"] or {}
    duplicates = flow.get("documents", 0) - flow.get("kept_documents", 0)
    stages = parts["buckets"]["stages"]
    deviations = [s["largest_deviation"] for s in stages if s["largest_deviation"] is not None]
    return {
        "lines_read": flow.get("lines_read"),
        "documents": flow.get("documents"),
        "kept_documents": flow.get("kept_documents"),
        "characters": flow.get("characters"),
        "duplicates": duplicates if flow else None,
        "duplicates_share": divide(duplicates, flow.get("documents")),
        "compression": _summarize_compression(recipe, parts["tokenizer"]),
        "unchanged": parts["tokenizer"]["unchanged"],
        "largest_deviation": max(deviations, default=None),
        "bits_per_character": _summarize_training(parts["training"]),
    }


def _summarize_compression(recipe: Recipe, tokenizer: Row) -> list[Row]:
    """Tokens per character, base and extended, of each language pieces were learned for."""
    named = {row["name"]: row for row in tokenizer["tokenizers"] or ()}
    base, extended = named.get("base"), named.get("extended")
    if base is None or extended is None:
        return []
    return [
        {
            "language": language,
            "base": base["languages"][language]["rate"],
            "extended": extended["languages"][language]["rate"],
            "ratio": extended["to_base"][language],
            "to_reference": (extended["to_reference"] or {}).get(language),
        }
        for language in recipe.tokenizer.languages
        if language in base["languages"] and language in extended["languages"]
    ]


def _summarize_training(training: Row) -> list[Row]:
    if training["after"] is None:
        return []
    before = training["milestones"][training["before"]]
    after = training["milestones"][training["after"]]
    return [
        {
            "language": language,
            "before": before["bits_per_character"].get(language),
            "after": value,
            "ratio": divide(value, before["bits_per_character"].get(language)),
        }
        for language, value in after["bits_per_character"].items()
    ]
