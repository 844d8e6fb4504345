"""The table published with Colossal-LLaMA-2, and how its tokenizer is compared without its file.

The table's sentences are unknown, so its rates can be set beside each other and not beside rates
on other text.  Colossal-LLaMA-2's own tokenizer is therefore stated as the published ratio to
Chinese-LLaMA-2, 0.659 / 0.668 = 0.9865, times what Chinese-LLaMA-2 has on the same text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

PUBLISHED: tuple[tuple[str, int | None, float], ...] = (
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
"""Name, pieces, tokens per character of Chinese (Colossal-LLaMA-2's README)."""

REFERENCE, DERIVED = "Chinese-LLaMA-2", "Colossal-LLaMA-2"
DERIVED_PIECES, REFERENCE_PIECES = 69_104, 55_296
LANGUAGE = "zh"
"""Of the published sentences."""


def find_published_rate(name: str) -> float:
    """Tokens per character of a tokenizer of the table."""
    return next(rate for known, _, rate in PUBLISHED if known == name)


PUBLISHED_RATIO = round(find_published_rate(DERIVED) / find_published_rate(REFERENCE), 4)
"""Colossal-LLaMA-2's tokens for one of Chinese-LLaMA-2's: 0.9865."""


def list_published() -> list[dict[str, str | int | float | None]]:
    """The table as rows: name, size, rate, to_base (LLaMA-2), to_reference (Chinese-LLaMA-2)."""
    base, reference = find_published_rate("LLaMA-2"), find_published_rate(REFERENCE)
    return [
        {
            "name": name,
            "size": size,
            "rate": rate,
            "to_base": rate / base,
            "to_reference": rate / reference,
        }
        for name, size, rate in PUBLISHED
    ]


def find_reference(names: Iterable[str]) -> str | None:
    """The one of some names that means Chinese-LLaMA-2, however it is written."""
    return next((name for name in names if _spell(name).startswith("chinesellama2")), None)


def is_reference(name: str, size: int) -> bool:
    """Whether a tokenizer that the user names as the reference is Chinese-LLaMA-2."""
    return find_reference([name]) is not None or size == REFERENCE_PIECES


def _spell(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
