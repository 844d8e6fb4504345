"""Shares of a whole, one column for each whole, the larger parts named at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.charts.svg import label_every, line, picture, rect, spread, text, width_of


@dataclass(frozen=True)
class Stack:
    """One part of every column."""

    name: str
    colour: str
    values: tuple[float, ...]


def stack_chart(
    stacks: Sequence[Stack],
    columns: Sequence[str],
    *,
    title: str,
    x_unit: str,
    about: str,
    width: float = 460,
    height: float = 320,
) -> Markup:
    """Columns of equal height, each divided by shares; `stacks` from bottom to top."""
    totals = [sum(stack.values[i] for stack in stacks) or 1.0 for i in range(len(columns))]
    names = max((width_of(stack.name) for stack in stacks), default=0) + 14
    left, right = 44.0, width - min(names, width * 0.36)
    top, bottom = 12.0, height - 42
    step = (right - left) / max(1, len(columns))
    body = _share_axis(left, right, top, bottom)
    base = [bottom] * len(columns)
    for stack in stacks:
        for index, column in enumerate(columns):
            share = stack.values[index] / totals[index]
            tall = share * (bottom - top)
            base[index] -= tall
            tip = f"{stack.name}, {x_unit} {column}: {share:.1%}"
            x, gap = left + step * index, min(2.0, step * 0.1)
            body.append(rect(x, base[index], step - gap, tall, stack.colour, tip, class_="part"))
    every = label_every(columns, step)
    for index in range(0, len(columns), every):
        x = left + step * (index + 0.5)
        body.append(text(x, bottom + 16, columns[index], anchor="middle", kind="quiet"))
    body.append(text((left + right) / 2, height - 6, x_unit, anchor="middle", kind="quiet"))
    body += _names(stacks, totals, right, top, bottom, width)
    return picture(width, height, body, title, about)


def _share_axis(left: float, right: float, top: float, bottom: float) -> list[str]:
    parts: list[str] = []
    for quarter in range(5):
        y = bottom - quarter / 4 * (bottom - top)
        parts.append(line(left, y, right, y))
        label = f"{quarter * 25} %"
        parts.append(text(left - 7, y + 4, label, anchor="end", kind="quiet"))
    return parts


def _names(
    stacks: Sequence[Stack],
    totals: Sequence[float],
    right: float,
    top: float,
    bottom: float,
    width: float,
) -> list[str]:
    """Names of the parts of the last column that are tall enough to be told apart."""
    places: list[float] = []
    shown: list[str] = []
    base = bottom
    for stack in stacks:
        tall = stack.values[-1] / totals[-1] * (bottom - top) if stack.values else 0.0
        if tall >= 7:
            places.append(base - tall / 2)
            shown.append(stack.name)
        base -= tall
    return [
        text(right + 6, y + 4, name, kind="quiet", room=width - right - 6)
        for name, y in zip(shown, spread(places, 14, top, bottom), strict=True)
    ]
