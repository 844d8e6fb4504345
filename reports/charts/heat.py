"""A field of cells coloured by how far a value lies from zero."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reports.charts.svg import label_every, picture, rect, text, width_of

_ROW = 20.0
_EMPTY = "var(--band)"


def heat_map(
    rows: Sequence[tuple[str, Sequence[float | None]]],
    columns: Sequence[str],
    *,
    title: str,
    x_unit: str,
    about: str,
    limit: float,
    width: float = 460,
) -> Markup:
    """Signed shares; `limit` (or beyond) has the full colour, zero none.

    Args:
        rows: name and values; None is drawn as an empty cell.
        limit: the absolute value of the strongest colour, above 0.
    """
    longest = max((width_of(name) for name, _ in rows), default=0) + 10
    left, top = min(longest, width * 0.4), 6.0
    step = (width - left) / max(1, len(columns))
    body: list[str] = []
    for index, (name, values) in enumerate(rows):
        y = top + _ROW * index
        body.append(text(left - 8, y + 14, name, anchor="end", room=left - 8))
        for place, value in enumerate(values):
            tip = f"{name}, {x_unit} {columns[place]}: " + _say(value)
            body.append(_cell(left + step * place, y, step, value, limit, tip))
    bottom = top + _ROW * len(rows)
    every = label_every(columns, step)
    for index in range(0, len(columns), every):
        x = left + step * (index + 0.5)
        body.append(text(x, bottom + 15, columns[index], anchor="middle", kind="quiet"))
    body.append(text(left, bottom + 36, x_unit, kind="quiet"))
    body += _scale(width, bottom + 36, limit)
    return picture(width, bottom + 44, body, title, about)


def _cell(x: float, y: float, step: float, value: float | None, limit: float, tip: str) -> str:
    gap = min(2.0, step * 0.1)
    box = (x, y, step - gap, _ROW - 2)
    if not value:
        return rect(*box, _EMPTY, tip)
    colour = "var(--above)" if value > 0 else "var(--below)"
    strength = min(1.0, abs(value) / limit)
    return rect(*box, colour, tip, fill_opacity=round(0.06 + 0.94 * strength, 2))


def _say(value: float | None) -> str:
    return "nothing asked" if value is None else f"{value:+.2%}"


def _scale(width: float, y: float, limit: float) -> list[str]:
    """The colours from most below to most above, with their values."""
    cells = [-1.0, -0.5, 0.0, 0.5, 1.0]
    low, high = f"-{limit:.1%}", f"+{limit:.1%}"
    start = width - width_of(high) - 18 * len(cells) - 6
    parts = [text(start - 6, y, low, anchor="end", kind="quiet")]
    for index, cell in enumerate(cells):
        x = start + 18 * index
        parts.append(rect(x, y - 10, 16, 11, _EMPTY))
        if cell:
            colour = "var(--above)" if cell > 0 else "var(--below)"
            parts.append(rect(x, y - 10, 16, 11, colour, fill_opacity=abs(cell)))
    return [*parts, text(start + 18 * len(cells) + 2, y, high, kind="quiet")]
