"""Bars: horizontal bars, columns over an ordered axis, and two dots joined by a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.charts.svg import (
    choose_ticks,
    dot,
    format_tick,
    label_every,
    legend,
    line,
    picture,
    rect,
    text,
    width_of,
)

_ROW, _BAR, _TOP, _AXIS = 24.0, 14.0, 8.0, 40.0


@dataclass(frozen=True)
class Slice:
    """A stretch of a bar."""

    value: float
    colour: str
    tip: str = ""


@dataclass(frozen=True)
class Bar:
    """A labelled bar of one or more slices; `note` stands at its end."""

    label: str
    slices: tuple[Slice, ...]
    note: str

    @property
    def value(self) -> float:
        return sum(part.value for part in self.slices)


@dataclass(frozen=True)
class Dumbbell:
    """Two values of one thing; a missing one has no dot."""

    label: str
    before: float | None
    after: float | None
    colour: str
    note: str


def bar_chart(
    bars: Sequence[Bar],
    *,
    title: str,
    unit: str,
    about: str,
    width: float = 460,
    label_room: float | None = None,
    key: Sequence[tuple[str, str]] = (),
) -> Markup:
    """Horizontal bars from zero with an axis below them.

    Args:
        bars: from top to bottom.
        unit: what the axis counts.
        about: the description for people who cannot see it.
        label_room: pixels for the labels; by default what they need, at most 40 %.
        key: names and colours of the slices.
    """
    top = _TOP + (20 if key else 0)
    left = _label_room([bar.label for bar in bars], width, label_room)
    right = max((width_of(bar.note) for bar in bars), default=0) + 12
    ticks = choose_ticks(0, max((bar.value for bar in bars), default=0) or 1, _num_ticks(width))
    scale = (width - left - right) / ticks[-1]
    bottom = top + _ROW * len(bars)
    body = [legend(key, left, 12, width - left)] if key else []
    body += _vertical_grid(ticks, left, scale, top, bottom, unit)
    for index, bar in enumerate(bars):
        y = top + _ROW * index
        body.append(_label(left, y, bar.label))
        body += _slices(bar, left, y, scale)
        body.append(text(left + bar.value * scale + 6, y + 16, bar.note, kind="value"))
    return picture(width, bottom + _AXIS, body, title, about)


def _slices(bar: Bar, left: float, y: float, scale: float) -> list[str]:
    parts, start = [], left
    for part in bar.slices:
        tip = part.tip or f"{bar.label}: {bar.note}"
        parts.append(rect(start, y + 5, part.value * scale, _BAR, part.colour, tip))
        start += part.value * scale
    return parts


def dumbbell_chart(
    rows: Sequence[Dumbbell],
    *,
    title: str,
    unit: str,
    about: str,
    names: tuple[str, str],
    width: float = 460,
    label_room: float | None = None,
) -> Markup:
    """For each row a hollow dot (before), a filled dot (after) and a line between them."""
    left = _label_room([row.label for row in rows], width, label_room)
    right = max((width_of(row.note) for row in rows), default=0) + 14
    values = [value for row in rows for value in (row.before, row.after) if value is not None]
    ticks = choose_ticks(0, max(values, default=1), _num_ticks(width))
    scale = (width - left - right) / ticks[-1]
    top, bottom = _TOP + 20, _TOP + 20 + _ROW * len(rows)
    colours = {row.colour for row in rows}
    body = _dot_key(names, left, colours.pop() if len(colours) == 1 else "var(--ink)")
    body += _vertical_grid(ticks, left, scale, top, bottom, unit)
    for index, row in enumerate(rows):
        y = top + _ROW * index
        body.append(_label(left, y, row.label))
        body.append(_dumbbell(row, left, y + 12, scale, names))
        body.append(text(width - right + 12, y + 16, row.note, kind="value"))
    return picture(width, bottom + _AXIS, body, title, about)


def _dumbbell(row: Dumbbell, left: float, y: float, scale: float, names: tuple[str, str]) -> str:
    parts: list[str] = []
    if row.before is not None and row.after is not None:
        parts.append(line(left + row.before * scale, y, left + row.after * scale, y, "link"))
    if row.before is not None:
        tip = f"{row.label}, {names[0]}: {row.before:.3f}"
        parts.append(dot(left + row.before * scale, y, "var(--base)", tip))
    if row.after is not None:
        tip = f"{row.label}, {names[1]}: {row.after:.3f}"
        parts.append(dot(left + row.after * scale, y, row.colour, tip))
    return "".join(parts)


def _dot_key(names: tuple[str, str], x: float, colour: str) -> list[str]:
    second = x + 16 + width_of(names[0]) + 16
    return [
        dot(x + 5, 8, "var(--base)"),
        text(x + 15, 12, names[0], kind="quiet"),
        dot(second + 5, 8, colour),
        text(second + 15, 12, names[1], kind="quiet"),
    ]


def column_chart(
    columns: Sequence[tuple[str, float]],
    *,
    title: str,
    x_unit: str,
    y_unit: str,
    about: str,
    colour: str = "var(--accent)",
    width: float = 460,
    height: float = 240,
) -> Markup:
    """Columns over an ordered axis; labels that would touch are left out."""
    left, right, top, bottom = 52.0, width - 8, 24.0, height - _AXIS
    ticks = choose_ticks(0, max((value for _, value in columns), default=0) or 1, 4)
    scale = (bottom - top) / ticks[-1]
    step = (right - left) / max(1, len(columns))
    body = [text(0, 12, y_unit, kind="quiet")]
    body += _horizontal_grid(ticks, left, right, bottom, scale)
    every = label_every([label for label, _ in columns], step)
    for index, (label, value) in enumerate(columns):
        x, tall = left + step * index, value * scale
        gap = min(3.0, step * 0.15)
        tip = f"{label}: {value:,.0f}"
        body.append(rect(x + gap / 2, bottom - tall, step - gap, tall, colour, tip))
        if index % every == 0:
            body.append(text(x + step / 2, bottom + 15, label, anchor="middle", kind="quiet"))
    body.append(text((left + right) / 2, height - 6, x_unit, anchor="middle", kind="quiet"))
    return picture(width, height, body, title, about)


def _horizontal_grid(
    ticks: Sequence[float], left: float, right: float, bottom: float, scale: float
) -> list[str]:
    parts: list[str] = []
    for tick in ticks:
        y = bottom - tick * scale
        parts.append(line(left, y, right, y, "grid" if tick else "axis"))
        label = format_tick(tick, ticks[1] - ticks[0])
        parts.append(text(left - 7, y + 4, label, anchor="end", kind="quiet"))
    return parts


def _vertical_grid(
    ticks: Sequence[float], left: float, scale: float, top: float, bottom: float, unit: str
) -> list[str]:
    parts: list[str] = []
    for tick in ticks:
        x = left + tick * scale
        parts.append(line(x, top, x, bottom, "grid" if tick else "axis"))
        label = format_tick(tick, ticks[1] - ticks[0])
        parts.append(text(x, bottom + 15, label, anchor="middle", kind="quiet"))
    middle = left + ticks[-1] * scale / 2
    return [*parts, text(middle, bottom + 32, unit, anchor="middle", kind="quiet")]


def _label(left: float, y: float, words: str) -> str:
    return text(left - 8, y + 16, words, anchor="end", room=left - 8)


def _label_room(labels: Sequence[str], width: float, room: float | None) -> float:
    needed = max((width_of(label) for label in labels), default=0) + 10
    return room if room is not None else min(needed, width * 0.4)


def _num_ticks(width: float) -> int:
    return 3 if width < 600 else 5
