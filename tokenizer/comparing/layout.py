"""Plain text tables and bars: columns aligned by the width that a terminal gives a character."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉"


def format_table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Lines of a table; columns in which nothing stands are left out.

    Args:
        left: so many columns are aligned to the left, the others to the right.
    """
    kept = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    cells = [[_clean(row[place]) for place in kept] for row in (heads, *rows)]
    widths = [max(map(measure_width, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            _pad(cell, width, to_left=place < left)
            for place, cell, width in zip(kept, row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]
    rule = "  ".join("─" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def format_bar(share: float, width: int) -> str:
    """A bar of `share` of `width` cells, in eighths of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def measure_width(text: str) -> int:
    """Columns of a terminal: two for a wide character, none for a mark that is set above one."""
    return sum(_measure_character(character) for character in text)


def _measure_character(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _pad(text: str, width: int, *, to_left: bool) -> str:
    filling = " " * (width - measure_width(text))
    return text + filling if to_left else filling + text


def _clean(text: str) -> str:
    """What a terminal would obey becomes a dot."""
    return "".join(letter if letter.isprintable() else "·" for letter in text)
