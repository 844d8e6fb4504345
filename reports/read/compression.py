"""How well tokenizers compress the held-out documents, and what others published.

The published table was measured on other sentences, so its figures cannot stand beside those
measured here; its ratios can.  Colossal-LLaMA-2's tokenizer is not compared by its file but by its
published ratio to Chinese-LLaMA-2, 0.659 / 0.668 = 0.9865, times what Chinese-LLaMA-2 needs here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from reports.numbers import divide
from reports.read.files import Row, find_optional, read_batches, read_json, read_rows
from tongwen.run import RunFolder

_DERIVED, _REFERENCE, _CHINESE = "Colossal-LLaMA-2", "Chinese-LLaMA-2", "zh"
_SUMS = ("documents", "characters", "bytes", "tokens")
_MORE = ("fallback_tokens", "words")
_BOUNDS = ("by", "language", "tokenizer", "low", "high")
_COLUMNS = ("tokenizer", "size", "category", "language", *_SUMS)


def read_compression(run: RunFolder) -> Row:
    """The tables of `tokenizer/comparison`; None in each place while it is not finished.

    Returns:
        `tokenizers` (base, extended, then the others as in the file; of each `languages` with
        sums and rates, `to_base`, `to_reference`), `reference` (the name of Chinese-LLaMA-2 here,
        if it is there), `by_group` (category x language, most characters first), `published`.
    """
    rows = read_rows(
        run, "tokenizer/comparison", "comparison.parquet", _COLUMNS, (*_MORE, "source")
    )
    tokenizers = None if rows is None else _compare(rows, _read_intervals(run))
    reference = find_name((row["name"] for row in tokenizers or ()), _REFERENCE)
    return {
        "tokenizers": tokenizers,
        "reference": reference,
        "by_group": None if rows is None else _compare_groups(rows),
        "published": _list_published(_read_published(run), tokenizers or [], reference),
    }


def find_name(names: Iterable[str], published: str) -> str | None:
    """The one of some names that means a published tokenizer: `Qwen-7B` is Qwen, Qwen2 is not."""
    letters = [re.escape(letter) for letter in re.sub("[^a-z0-9]", "", published.lower())]
    pattern = re.compile("[^a-z0-9]*".join(letters) + "(?![0-9])")
    return next((name for name in names if pattern.match(name.lower())), None)


_Intervals = dict[tuple[str, str], tuple[float, float]]


def _read_intervals(run: RunFolder) -> _Intervals:
    """The 95 % interval of the rate by language and tokenizer, where it was measured."""
    path = find_optional(run, "tokenizer/comparison", "intervals.parquet")
    found: _Intervals = {}
    for batch in read_batches(path, _BOUNDS) if path else ():
        for row in batch.to_pylist():
            if row["by"] == "language":
                found[row["language"], row["tokenizer"]] = row["low"], row["high"]
    return found


def _compare(rows: list[Row], intervals: _Intervals) -> list[Row]:
    """One row for each tokenizer, with its totals by language and its ratio to the base."""
    groups: dict[str, defaultdict[str, list[Row]]] = {}
    for row in rows:
        languages = groups.setdefault(row["tokenizer"], defaultdict(list))
        languages[row["language"]].append(row)
    order = sorted(groups, key=lambda name: {"base": 0, "extended": 1}.get(name, 2))
    table = [
        {
            "name": name,
            "size": next(row["size"] for found in groups[name].values() for row in found),
            "languages": {
                language: {
                    **_make_rates(found),
                    "interval": intervals.get((language, name)),
                }
                for language, found in sorted(groups[name].items())
            },
        }
        for name in order
    ]
    reference = find_name(order, _REFERENCE)
    for row in table:
        row["to_base"] = _ratios(row, _named(table, "base"))
        row["to_reference"] = _ratios(row, _named(table, reference))
    return table


def _make_rates(rows: Sequence[Row]) -> Row:
    """Sums and rates of one tokenizer in one language; a rate is None where it was not counted."""
    total: Row = {name: sum(row[name] or 0 for row in rows) for name in _SUMS}
    for name in _MORE:
        known = all(row[name] is not None for row in rows)
        total[name] = sum(row[name] for row in rows) if known else None
    return {
        **total,
        "rate": divide(total["tokens"], total["characters"]),
        "mean_of_sources": _average_sources(rows),
        "characters_per_token": divide(total["characters"], total["tokens"]),
        "bytes_per_token": divide(total["bytes"], total["tokens"]),
        "fallback_share": divide(total["fallback_tokens"], total["tokens"]),
        "fertility": divide(total["tokens"], total["words"]),
    }


def _average_sources(rows: Sequence[Row]) -> float | None:
    """Mean of the rates of the sources, each counting alike; None where sources are not known."""
    sources: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["source"] is None:
            return None
        sources[row["source"]].update({name: row[name] or 0 for name in _SUMS})
    rates = [divide(total["tokens"], total["characters"]) for total in sources.values()]
    known = [rate for rate in rates if rate is not None]
    return divide(sum(known), len(known))


def _ratios(row: Row, other: Row | None) -> dict[str, float | None] | None:
    if other is None:
        return None
    return {
        language: divide(total["rate"], other["languages"].get(language, {}).get("rate"))
        for language, total in row["languages"].items()
    }


def _named(table: list[Row], name: str | None) -> Row | None:
    return next((row for row in table if row["name"] == name), None)


def _compare_groups(rows: list[Row]) -> list[Row]:
    """The rate of every tokenizer for each category x language, most characters first."""
    sums: defaultdict[tuple[str, str], defaultdict[str, Counter[str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    for row in rows:
        found = sums[row["language"], row["category"]][row["tokenizer"]]
        found.update(tokens=row["tokens"] or 0, characters=row["characters"] or 0)
    table = [_make_group(*key, found) for key, found in sums.items()]
    return sorted(table, key=lambda row: (-row["characters"], row["language"], row["category"]))


def _make_group(language: str, category: str, sums: dict[str, Counter[str]]) -> Row:
    rates = {name: divide(found["tokens"], found["characters"]) for name, found in sums.items()}
    return {
        "language": language,
        "category": category,
        "characters": max(found["characters"] for found in sums.values()),
        "rates": rates,
        "base": rates.get("base"),
        "extended": rates.get("extended"),
        "ratio": divide(rates.get("extended"), rates.get("base")),
    }


def _read_published(run: RunFolder) -> list[Row]:
    """The table published with Colossal-LLaMA-2, as the comparison wrote it down."""
    output, name = "tokenizer/comparison", "published.json"
    return read_json(run, output, name) if find_optional(run, output, name) else []


def _list_published(
    published: list[Row], tokenizers: list[Row], reference: str | None
) -> list[Row]:
    """The published table, with what was measured here for those that are there."""
    here = _measure_reference(tokenizers, reference)
    rows: list[Row] = []
    for row in published:
        name, to_reference = row["name"], row["to_reference"]
        measured, derived = _find_measured(tokenizers, name), False
        if measured is None and name == _DERIVED and here is not None:
            measured, derived = to_reference * here, True
        rows.append(
            {
                **row,
                "measured": measured,
                "measured_to_reference": divide(measured, here),
                "derived": derived,
            }
        )
    return rows


def _find_measured(tokenizers: list[Row], published: str) -> float | None:
    name = find_name((row["name"] for row in tokenizers), published)
    return _measure_reference(tokenizers, name)


def _measure_reference(tokenizers: list[Row], name: str | None) -> Any:
    found = _named(tokenizers, name)
    return None if found is None else found["languages"].get(_CHINESE, {}).get("rate")
