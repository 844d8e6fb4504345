"""Figures as people read them; `-` stands for what is missing or is not a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tongwen.progress import format_seconds

ABSENT = "-"
LARGEST = 20
"""Rows of a table or chart before the rest are folded into one."""

_SIGNS = str.maketrans({"-": "−", "%": " %"})
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def finite(value: Any) -> float | None:
    """`value` as a number; None where it is missing, NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def divide(part: Any, whole: Any) -> float | None:
    """`part / whole`; None where either is missing or `whole` is 0."""
    above, below = finite(part), finite(whole)
    return above / below if above is not None and below else None


def count(value: Any) -> str:
    """12,345"""
    number = finite(value)
    return ABSENT if number is None else f"{number:,.0f}"


def decimal(value: Any, digits: int = 3) -> str:
    """0.659"""
    number = finite(value)
    return ABSENT if number is None else f"{number:,.{digits}f}"


def share(value: Any, digits: int = 1) -> str:
    """0.123 as 12.3 %; a share too small for the digits is shown as below their smallest."""
    number = finite(value)
    if number is None:
        return ABSENT
    smallest = 10.0 ** -(digits + 2)
    if 0 < number < smallest / 2:
        return f"< {smallest:.{digits}%}".replace("%", " %")
    return f"{number:.{digits}%}".replace("%", " %")


def change(value: Any, digits: int = 1) -> str:
    """-0.52 as −52.0 %, with its sign."""
    number = finite(value)
    return ABSENT if number is None else f"{number:+.{digits}%}".translate(_SIGNS)


def short(value: Any) -> str:
    """1,234,567 as 1.23M"""
    number = finite(value)
    if number is None:
        return ABSENT
    for factor, unit in _UNITS:
        if abs(number) >= factor * 0.9995:
            return f"{number / factor:.3g}{unit}"
    return f"{number:,.0f}" if number == int(number) else f"{number:.3g}"


def size(value: Any) -> str:
    """Bytes as 1.2 GB (decimal units)."""
    number = finite(value)
    if number is None:
        return ABSENT
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= factor:
            return f"{number / factor:,.1f} {unit}"
    return f"{number:,.0f} B"


def duration(value: Any) -> str:
    """75 as 1:15; under ten seconds 7.5 s."""
    number = finite(value)
    if number is None:
        return ABSENT
    return f"{number:.1f} s" if number < 10 else format_seconds(number)


def plain(value: Any) -> str:
    """A setting or a count of any type."""
    if isinstance(value, bool) or value is None:
        return ABSENT if value is None else str(value).lower()
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return ABSENT if finite(value) is None else f"{value:,.6g}"
    return str(value)


def fold(
    rows: Sequence[dict[str, Any]],
    by: str,
    join: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
    limit: int = LARGEST,
) -> list[dict[str, Any]]:
    """The `limit` largest rows by a key, largest first, and one row that joins all others."""
    ordered = sorted(rows, key=lambda row: -(finite(row[by]) or 0))
    kept = [dict(row) for row in ordered[:limit]]
    rest = ordered[limit:]
    return [*kept, join(rest)] if rest else kept


def clean(value: Any) -> Any:
    """A JSON value in which everything that is not a finite number is null."""
    if isinstance(value, Mapping):
        return {str(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    return finite(value) if isinstance(value, float) else value
