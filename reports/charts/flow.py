"""One quantity flowing into several, as ribbons whose thickness is the share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from reports.charts.svg import element, picture, rect, spread, text, width_of

_NODE, _GAP, _THIN = 14.0, 17.0, 1.5


@dataclass(frozen=True)
class Outlet:
    """Where a part of the whole goes."""

    label: str
    value: float
    colour: str
    note: str


def flow_chart(
    source: str,
    outlets: Sequence[Outlet],
    *,
    title: str,
    about: str,
    width: float = 960,
    height: float = 320,
) -> Markup:
    """From one node on the left to a node for each outlet, top to bottom as given."""
    total = sum(outlet.value for outlet in outlets) or 1.0
    top, bottom = 30.0, height - 10
    # Each outlet can be seen, however small; what is left of the height is shared out.
    room = bottom - top - _GAP * (len(outlets) - 1) - _THIN * len(outlets)
    left, right = 0.0, _right_edge(outlets, width)
    body = [text(left, 14, source, kind="name"), rect(left, top, _NODE, bottom - top, "var(--ink)")]
    starts, y_from, y_to = [], top, top
    for outlet in outlets:
        tall_from = outlet.value / total * (bottom - top)
        tall_to = _THIN + outlet.value / total * room
        starts.append(y_to + tall_to / 2)
        path = _ribbon(left + _NODE, right, y_from, y_from + tall_from, y_to, y_to + tall_to)
        body.append(element("path", d=path, class_="ribbon", style=f"fill:{outlet.colour}"))
        tip = f"{outlet.label}: {outlet.note}"
        body.append(rect(right, y_to, _NODE, tall_to, outlet.colour, tip))
        y_from, y_to = y_from + tall_from, y_to + tall_to + _GAP
    body += _labels(outlets, spread(starts, 17, top + 4, bottom - 4), right + _NODE + 10, width)
    return picture(width, height, body, title, about)


def _right_edge(outlets: Sequence[Outlet], width: float) -> float:
    words = (width_of(f"{outlet.label} {outlet.note}") for outlet in outlets)
    return width - _NODE - 14 - min(max(words, default=0.0) + 6, width * 0.68)


def _labels(
    outlets: Sequence[Outlet], places: Sequence[float], x: float, width: float
) -> list[str]:
    parts: list[str] = []
    for outlet, y in zip(outlets, places, strict=True):
        room = width - x - width_of(outlet.note) - 8
        note = element("tspan", escape(outlet.note), dx=8, class_="note")
        parts.append(text(x, y + 4, outlet.label, kind="name", room=room, after=note))
    return parts


def _ribbon(x0: float, x1: float, a0: float, b0: float, a1: float, b1: float) -> str:
    middle = (x0 + x1) / 2
    return (
        f"M{x0:.1f} {a0:.1f}C{middle:.1f} {a0:.1f} {middle:.1f} {a1:.1f} {x1:.1f} {a1:.1f}"
        f"L{x1:.1f} {b1:.1f}C{middle:.1f} {b1:.1f} {middle:.1f} {b0:.1f} {x0:.1f} {b0:.1f}Z"
    )
