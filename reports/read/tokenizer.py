"""The vocabulary and how well it compresses, measured on held-out documents."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import chain
from typing import Any

from reports.numbers import divide
from reports.read.files import Row, list_missing, read_json, read_rows
from tongwen.recipe import Recipe
from tongwen.run import RunFolder

PUBLISHED = (
    ("LLaMA-2", 32_000, 1.205),
    ("Colossal-LLaMA-2", 69_104, 0.659),
    ("Chinese-LLaMA-2", 55_296, 0.668),
    ("Baichuan", None, 0.678),
    ("ChatGLM2", None, 0.645),
    ("Atom", 65_000, 0.634),
    ("TigerBot", 60_515, 0.630),
    ("Qwen", 151_643, 0.578),
    ("Baichuan2", 125_696, 0.570),
    ("InternLM", 103_168, 0.566),
)
"""Name, pieces, tokens per character of Chinese: the table published with Colossal-LLaMA-2."""

_COMPARISON = (
    "tokenizer", "size", "category", "language", "documents", "characters", "bytes", "tokens",
)  # fmt: skip
_SUMS = ("documents", "characters", "bytes", "tokens")
_PIECES = ("id", "piece", "count", "characters", "kind", "reachable")
_SAMPLE, _LONGEST = 60, 20


def read_tokenizer(recipe: Recipe, run: RunFolder) -> Row:
    """Compression by tokenizer, language and category; the new pieces; sample segmentations.

    Returns:
        A dict with `missing`, `tokenizers` (base, extended, then the others as in the file),
        `by_group`, `reference` (the name of Chinese-LLaMA-2 here, if it is there), `unchanged`
        (lines compared and changed, of languages that no pieces were learned for), `pieces`,
        `segmentation`, `published`.
    """
    rows = read_rows(run, "tokenizer/comparison", "comparison.parquet", _COMPARISON)
    tokenizers = None if rows is None else _compare(rows)
    base_size = next((t["size"] for t in tokenizers or () if t["name"] == "base"), None)
    return {
        "missing": list_missing(run, ("tokenizer/vocabulary", "tokenizer/comparison")),
        "tokenizers": tokenizers,
        "reference": _find_reference(tokenizers or []),
        "by_group": None if rows is None else _compare_groups(rows),
        "unchanged": read_json(run, "tokenizer/comparison", "unchanged.json"),
        "pieces": _read_pieces(run, base_size),
        "segmentation": read_json(run, "tokenizer/comparison", "segmentation.json"),
        "published": _published(),
    }


def _compare(rows: list[Row]) -> list[Row]:
    """One row for each tokenizer, with its totals by language and its ratio to the base."""
    totals: dict[str, dict[str, Counter[str]]] = {}
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["tokenizer"]] = row["size"]
        languages = totals.setdefault(row["tokenizer"], defaultdict(Counter))
        languages[row["language"]].update({name: row[name] or 0 for name in _SUMS})
    order = sorted(totals, key=lambda name: {"base": 0, "extended": 1}.get(name, 2))
    table = [
        {
            "name": name,
            "size": sizes[name],
            "languages": {
                language: {**total, "rate": divide(total["tokens"], total["characters"])}
                for language, total in sorted(totals[name].items())
            },
        }
        for name in order
    ]
    reference = _find_reference(table)
    for row in table:
        row["to_base"] = _ratios(row, _named(table, "base"))
        row["to_reference"] = _ratios(row, _named(table, reference))
    return table


def _ratios(row: Row, other: Row | None) -> dict[str, float | None] | None:
    if other is None:
        return None
    return {
        language: divide(total["rate"], other["languages"].get(language, {}).get("rate"))
        for language, total in row["languages"].items()
    }


def _named(table: list[Row], name: str | None) -> Row | None:
    return next((row for row in table if row["name"] == name), None)


def _find_reference(table: list[Row]) -> str | None:
    """The name under which the recipe compares with Chinese-LLaMA-2, if it does."""
    names = [row["name"] for row in table]
    plain = {name: re.sub("[^a-z0-9]", "", name.lower()) for name in names}
    return next((name for name in names if plain[name].startswith("chinesellama2")), None)


def _compare_groups(rows: list[Row]) -> list[Row]:
    """Base and extended for each category x language, most characters first."""
    tokens: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    characters: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row["language"], row["category"]
        tokens[key][row["tokenizer"]] = row["tokens"] or 0
        characters[key] = row["characters"] or 0
    table = [
        {
            "language": key[0],
            "category": key[1],
            "characters": characters[key],
            "base": divide(counts.get("base"), characters[key]),
            "extended": divide(counts.get("extended"), characters[key]),
            "ratio": divide(counts.get("extended"), counts.get("base")),
        }
        for key, counts in tokens.items()
    ]
    return sorted(table, key=lambda row: (-row["characters"], row["language"], row["category"]))


def _read_pieces(run: RunFolder, base_size: int | None) -> Row | None:
    """Counts of the pieces that were added, by kind and length, and a sample of them."""
    rows = read_rows(run, "tokenizer/vocabulary", "pieces.parquet", _PIECES)
    if rows is None:
        return None
    new = [row for row in rows if base_size is None or row["id"] >= base_size]
    lengths = Counter(row["characters"] or 0 for row in new)
    kinds = Counter(row["kind"] or "" for row in new)
    return {
        "added": len(new),
        "unreachable": sum(row["reachable"] is False for row in new),
        "unused": sum((row["count"] or 0) == 0 for row in new),
        "by_kind": dict(sorted(kinds.items())),
        "by_length": dict(sorted(lengths.items())),
        "frequent": _sample_pieces(new, lambda row: (-(row["count"] or 0), row["id"]), _SAMPLE),
        "longest": _sample_pieces(
            new, lambda row: (-(row["characters"] or 0), row["id"]), _LONGEST
        ),
    }


def _sample_pieces(rows: list[Row], key: Any, limit: int) -> list[Row]:
    merges = (row for row in rows if (row["characters"] or 0) > 1)
    return [
        {name: row[name] for name in ("piece", "count", "characters")}
        for row in sorted(merges, key=key)[:limit]
    ]


def _published() -> list[Row]:
    rates: Mapping[str, float] = {name: rate for name, _, rate in PUBLISHED}
    return [
        {
            "name": name,
            "size": size,
            "rate": rate,
            "to_base": rate / rates["LLaMA-2"],
            "to_reference": rate / rates["Chinese-LLaMA-2"],
        }
        for name, size, rate in PUBLISHED
    ]


def list_tokenizer_languages(table: Row) -> set[str]:
    """Every language that was measured."""
    rows = table["tokenizers"] or ()
    return set(chain.from_iterable(row["languages"] for row in rows))
