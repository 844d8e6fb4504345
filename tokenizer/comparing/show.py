"""The tables that `tongwen tokenizer compare` prints for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokenizer.comparing.layout import format_table
from tokenizer.comparing.published import DERIVED, REFERENCE, list_published
from tokenizer.comparing.rates import By, Rate

_Cell = Callable[[Rate], str]
_NOTES = """\
x base, x reference: tokens on the same text, the base's and the reference's being 1.  bytes %:
tokens that are bytes and not whole characters.  token length: characters of the other tokens.
tokens/word: every Han character is a word, and what stands between spaces.  95 %: bootstrap over
documents."""


def _number(name: str, form: str) -> _Cell:
    def show(rate: Rate) -> str:
        value = getattr(rate, name)
        return "" if value is None else format(value, form)

    return show


def _interval(low: str, high: str) -> _Cell:
    def show(rate: Rate) -> str:
        bounds = getattr(rate, low), getattr(rate, high)
        return "" if None in bounds else f"{bounds[0]:.3f}-{bounds[1]:.3f}"

    return show


def _count_unknown(rate: Rate) -> str:
    return f"{rate.unknown_tokens:,}" if rate.unknown_tokens else ""


_WHO: list[tuple[str, _Cell]] = [
    ("language", lambda rate: rate.language),
    ("", lambda rate: rate.name),
    ("tokenizer", lambda rate: rate.tokenizer),
    ("pieces", _number("pieces", ",")),
]
_MEANS: list[tuple[str, _Cell]] = [
    ("sources", _number("sources", ",")),
    ("mean of sources", _number("mean_of_sources", ".4f")),
    ("95 %", _interval("mean_low", "mean_high")),
    ("x base", _number("mean_to_base", ".3f")),
    ("x reference", _number("mean_to_reference", ".3f")),
]
_POOLED: list[tuple[str, _Cell]] = [
    ("tokens/character", _number("tokens_per_character", ".4f")),
    ("95 %", _interval("low", "high")),
    ("x base", _number("to_base", ".3f")),
    ("x reference", _number("to_reference", ".3f")),
]
_OTHERS: list[tuple[str, _Cell]] = [
    ("documents", _number("documents", ",")),
    ("characters", _number("characters", ",")),
    ("tokens", _number("tokens", ",")),
    ("characters/token", _number("characters_per_token", ".3f")),
    ("bytes/token", _number("bytes_per_token", ".3f")),
    ("bytes %", _number("fallback_share", ".2%")),
    ("unknown", _count_unknown),
    ("token length", _number("token_length", ".3f")),
    ("tokens/word", _number("fertility", ".3f")),
]


def format_rates(rates: Sequence[Rate], by: By) -> str:
    """The rates of a comparison, and under those of whole languages the published table."""
    parts = [_format(rates, [*_WHO, *_POOLED, *_OTHERS])]
    if any((rate.sources or 0) > 1 for rate in rates):
        parts.insert(0, _format(rates, [*_WHO, *_MEANS]))
    parts.append(_NOTES)
    if by == "language":
        parts.append(format_published())
    return "\n\n".join(parts)


def _format(rates: Sequence[Rate], columns: list[tuple[str, _Cell]]) -> str:
    heads = [head for head, _ in columns]
    rows = [[cell(rate) for _, cell in columns] for rate in rates]
    return format_table(heads, rows, left=3)


def format_published() -> str:
    """The table published with Colossal-LLaMA-2."""
    rows = [
        [
            str(row["name"]),
            f"{row['size']:,}" if row["size"] else "",
            f"{row['rate']:.3f}",
            f"{row['to_base']:.3f}",
            f"{row['to_reference']:.4f}",
        ]
        for row in list_published()
    ]
    heads = ["published", "pieces", "tokens/character", "x LLaMA-2", f"x {REFERENCE}"]
    note = (
        f"Published with {DERIVED}, on Chinese sentences that are not: compare the ratios, not the"
        " rates."
    )
    return f"{format_table(heads, rows)}\n{note}"
