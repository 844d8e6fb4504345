"""Rates and ratios made of the sums of a comparison: what `tongwen tokenizer compare` shows.

Two rates of a language are given.  The pooled one is all tokens by all characters, so that long
sources rule it.  The mean of sources is the unweighted mean of the sources' own rates, so that each
kind of text counts alike; it is the one to compare vocabularies with.  Ratios are to the base and
to the reference, of the same rate on the same text.  Where the reference is Chinese-LLaMA-2, a row
for Colossal-LLaMA-2 follows from the published ratio (see `published`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa

from tokenizer.comparing.bootstrap import Interval
from tokenizer.comparing.compare import COUNTS, Comparer
from tokenizer.comparing.published import (
    DERIVED,
    DERIVED_PIECES,
    LANGUAGE,
    PUBLISHED_RATIO,
    find_reference,
    is_reference,
)
from tongwen.errors import TongwenError

By = Literal["language", "category", "source"]
INTERVALS = pa.schema(
    [
        *((name, pa.string()) for name in ("by", "language", "name", "tokenizer")),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
_MEAN = "mean of sources"


@dataclass
class Rate:
    """A tokenizer on the text of a language, or of a category or source of it.

    Attributes:
        name: the category or source; "" for a whole language.
        tokens_per_character: pooled; `low` and `high` bound 95 % of it over documents.
        fallback_share: of the tokens that are bytes and not whole characters.
        token_length: characters of a token that is neither a byte nor unknown.
        fertility: tokens for a word, where a Han character is a word (see `compare`).
        to_base, to_reference: ratio of tokens on the same text.
        mean_of_sources: unweighted mean of the sources' tokens per character (of languages only).
    """

    language: str
    name: str
    tokenizer: str
    pieces: int
    documents: int | None = None
    characters: int | None = None
    bytes: int | None = None
    tokens: int | None = None
    tokens_per_character: float | None = None
    low: float | None = None
    high: float | None = None
    characters_per_token: float | None = None
    bytes_per_token: float | None = None
    fallback_share: float | None = None
    unknown_tokens: int | None = None
    token_length: float | None = None
    fertility: float | None = None
    to_base: float | None = None
    to_reference: float | None = None
    sources: int | None = None
    mean_of_sources: float | None = None
    mean_low: float | None = None
    mean_high: float | None = None
    mean_to_base: float | None = None
    mean_to_reference: float | None = None


def list_intervals(comparer: Comparer) -> pa.Table:
    """The confidence intervals of a comparison (see `bootstrap`)."""
    rows: list[dict[str, Any]] = []
    found = vars(comparer.intervals)
    for number, tokenizer in enumerate(comparer.counters):
        for by, replicates in found.items():
            for key in sorted(replicates.sums):
                interval = replicates.find_interval(key, number)
                rows += _write_interval(by, key, tokenizer, interval)
        sources = comparer.intervals.source
        for (language,) in sorted(comparer.intervals.language.sums):
            keys = [key for key in sorted(sources.sums) if key[0] == language]
            interval = sources.find_interval_of_mean(keys, number)
            rows += _write_interval(_MEAN, (language,), tokenizer, interval)
    return pa.Table.from_pylist(rows, schema=INTERVALS)


def _write_interval(
    by: str, key: tuple[str, ...], tokenizer: str, interval: Interval | None
) -> list[dict[str, Any]]:
    if interval is None:
        return []
    language, name = (*key, "")[:2]
    values = (by, language, name, tokenizer, *interval)
    return [dict(zip(INTERVALS.names, values, strict=True))]


def make_rates(
    table: pa.Table,
    by: By = "language",
    *,
    intervals: pa.Table | None = None,
    reference: str | None = None,
) -> list[Rate]:
    """A row for each group and tokenizer, groups with most characters first.

    Args:
        table: of `compare_tokenizers`.
        by: whole languages, or the categories or sources of each.
        intervals: of `list_intervals`.
        reference: a tokenizer of the table; None takes Chinese-LLaMA-2, if it is there.

    Raises:
        TongwenError: the table has no tokenizer called `reference`.
    """
    rows = table.to_pylist()
    names = list(dict.fromkeys(row["tokenizer"] for row in rows))
    reference = _choose_reference(names, reference)
    groups = _sum_groups(rows, by)
    known = _index_intervals(intervals)
    rates: list[Rate] = []
    for language, name in sorted(groups, key=lambda key: (-_first_characters(groups[key]), key)):
        found = [
            _make_rate(language, name, tokenizer, counts)
            for tokenizer, counts in groups[language, name].items()
        ]
        for rate in found:
            _add_interval(rate, by, known)
        if by == "language":
            _add_means(found, _sum_groups(rows, "source"), known)
        rates += _add_ratios(found, names[0], reference)
    return rates


def _choose_reference(names: list[str], reference: str | None) -> str | None:
    if reference is not None and reference not in names:
        raise TongwenError(
            f"no tokenizer is called {reference!r}",
            where="--reference",
            expected="one of " + ", ".join(names),
        )
    return reference or find_reference(names)


_Sums = dict[str, dict[str, int]]


def _sum_groups(rows: Iterable[Mapping[str, Any]], by: By) -> dict[tuple[str, str], _Sums]:
    """(language, name) -> tokenizer -> sums of the counts, and the size."""
    groups: dict[tuple[str, str], _Sums] = {}
    for row in rows:
        key = row["language"], "" if by == "language" else row[by] or ""
        sums = groups.setdefault(key, {}).setdefault(
            row["tokenizer"], {"size": row["size"], **dict.fromkeys(COUNTS, 0)}
        )
        for count in COUNTS:
            sums[count] += row[count]
    return groups


def _first_characters(sums: _Sums) -> int:
    return next(iter(sums.values()))["characters"]


def _make_rate(language: str, name: str, tokenizer: str, counts: Mapping[str, int]) -> Rate:
    tokens, characters = counts["tokens"], counts["characters"]
    whole = tokens - counts["fallback_tokens"] - counts["unknown_tokens"]
    return Rate(
        language,
        name,
        tokenizer,
        counts["size"],
        **{name: counts[name] for name in ("documents", "characters", "bytes", "tokens")},
        tokens_per_character=_divide(tokens, characters),
        characters_per_token=_divide(characters, tokens),
        bytes_per_token=_divide(counts["bytes"], tokens),
        fallback_share=_divide(counts["fallback_tokens"], tokens),
        unknown_tokens=counts["unknown_tokens"],
        token_length=_divide(counts["piece_characters"], whole),
        fertility=_divide(tokens, counts["words"]),
    )


def _divide(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


_Known = dict[tuple[str, str, str, str], Interval]


def _index_intervals(intervals: pa.Table | None) -> _Known:
    rows = intervals.to_pylist() if intervals is not None else []
    return {
        (row["by"], row["language"], row["name"], row["tokenizer"]): (row["low"], row["high"])
        for row in rows
    }


def _add_interval(rate: Rate, by: str, known: _Known) -> None:
    key = by, rate.language, rate.name, rate.tokenizer
    rate.low, rate.high = known.get(key, (None, None))


def _add_means(
    rates: Iterable[Rate], sources: Mapping[tuple[str, str], _Sums], known: _Known
) -> None:
    for rate in rates:
        if (rate.language, "") in sources:  # of some text the source is not known
            continue
        own = [sums[rate.tokenizer] for key, sums in sources.items() if key[0] == rate.language]
        found = [each["tokens"] / each["characters"] for each in own if each["characters"]]
        rate.sources = len(found)
        rate.mean_of_sources = sum(found) / len(found) if found else None
        key = _MEAN, rate.language, "", rate.tokenizer
        rate.mean_low, rate.mean_high = known.get(key, (None, None))


def _add_ratios(rates: list[Rate], base: str, reference: str | None) -> list[Rate]:
    """Fill in the ratios of one group's rates, and derive Colossal-LLaMA-2's."""
    named = {rate.tokenizer: rate for rate in rates}
    known = named.get(reference) if reference else None
    if known and known.language == LANGUAGE and is_reference(known.tokenizer, known.pieces):
        rates = [*rates, _derive(known)]
    for rate in rates:
        for prefix, other in (("to_base", named.get(base)), ("to_reference", known)):
            if other:
                ratio = _divide(rate.tokens_per_character, other.tokens_per_character)
                mean = _divide(rate.mean_of_sources, other.mean_of_sources)
                setattr(rate, prefix, ratio)
                setattr(rate, f"mean_{prefix}", mean)
    return rates


def _derive(reference: Rate) -> Rate:
    """Colossal-LLaMA-2 by the published ratio."""
    derived = Rate(reference.language, reference.name, f"{DERIVED} (by the ratio)", DERIVED_PIECES)
    for name in ("tokens_per_character", "low", "high", "mean_of_sources", "mean_low", "mean_high"):
        value = getattr(reference, name)
        setattr(derived, name, None if value is None else value * PUBLISHED_RATIO)
    derived.characters_per_token = _divide(1, derived.tokens_per_character)
    derived.sources = reference.sources
    return derived


def list_columns(rates: Sequence[Rate]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names and rows for CSV and JSON."""
    return list(Rate.__dataclass_fields__), [tuple(asdict(rate).values()) for rate in rates]
