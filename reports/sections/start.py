"""A part of section 3: how the rows of the new pieces start, before any training."""

from __future__ import annotations

from typing import Any

from reports.blocks import Block, Heading, make_table
from reports.numbers import count, decimal, finite, plain
from reports.sections.common import Row, name_language

_BASE = "base"


def describe_start(tokenizer: Row) -> list[Block]:
    """Bits per character of held-out text: the base's, then each start, the fewest first."""
    start = tokenizer["start"]
    if start is None or not start["rows"]:
        return []
    rows = sorted(start["rows"], key=_order)
    best: dict[str, int] = {}
    for place, row in enumerate(rows):
        if row["method"] != _BASE:
            best.setdefault(row["language"], place)
    cells = [
        (
            name_language(row["language"]),
            str(row["method"]),
            decimal(row.get("bits_per_character")),
            decimal(row.get("bits_per_byte")),
            count(row.get("tokens")),
            count(row.get("identical_rows")),
        )
        for row in rows
    ]
    columns = (
        "language", "start", "bits per character", "bits per byte", "tokens", "identical rows",
    )  # fmt: skip
    return [
        Heading("Starts of the new embeddings"),
        make_table(
            "Before the first step, on held-out text",
            columns,
            cells,
            num_labels=2,
            marked=list(best.values()),
            note=_say_model(start),
        ),
    ]


def _order(row: Row) -> tuple[Any, ...]:
    bits = finite(row.get("bits_per_character"))
    return row["language"], row["method"] != _BASE, bits is None, bits or 0.0, row["method"]


def _say_model(start: Row) -> str:
    sizes = start.get("characters")
    characters = sum(sizes.values()) if isinstance(sizes, dict) else sizes
    return (
        f"{plain(start.get('model'))}, {count(characters)} characters. "
        "base: the model as it is, with its own tokenizer."
    )
