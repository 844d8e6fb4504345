"""What the sections share: colours and names of languages and groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
WIDE, NARROW, SMALL = 1000.0, 400.0, 440.0
"""Widths of drawings in pixels: over the page, on a small screen, half the page."""

_NAMES = {"zh": "Chinese", "en": "English", "other": "other languages"}
_NUM_COLOURS = 6


def name_language(language: str) -> str:
    """A readable name; a code that is not known stays as it is."""
    return _NAMES.get(language, language or "(no language)")


def start_sentence(words: str) -> str:
    """The first letter as a capital, the others as they are."""
    return words[:1].upper() + words[1:]


def colour_of(language: str, languages: Sequence[str]) -> str:
    """The colour of a language, the same in every chart of a report."""
    place = languages.index(language) if language in languages else _NUM_COLOURS - 1
    return f"var(--lang{min(place, _NUM_COLOURS - 1)})"


def name_group(row: Row) -> str:
    """A category x language in one label."""
    category = row["category"] or "(no category)"
    return f"{category} · {row['language']}" if row.get("language") else category


def name_others(num_groups: int) -> str:
    return f"{num_groups} others"
