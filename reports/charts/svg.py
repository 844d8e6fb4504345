"""The few SVG elements that the charts are made of, and the arithmetic of axes."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from html import escape

from markupsafe import Markup

FONT = 12.5
"""Pixels of the letters in a chart (the page's style sheet says the same)."""

_TOOLTIP = 300


def element(name: str, content: str = "", **attributes: float | str | None) -> str:
    """An element; `content` is markup, attribute values are escaped, `_` becomes `-`."""
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            text = _number(value) if isinstance(value, int | float) else escape(value)
            words.append(f'{key.rstrip("_").replace("_", "-")}="{text}"')
    return f"<{' '.join(words)}>{content}</{name}>"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def picture(width: float, height: float, body: Sequence[str], title: str, about: str) -> Markup:
    """A whole drawing with its title and description."""
    head = element("title", escape(title)) + element("desc", escape(about))
    return Markup(
        element(
            "svg",
            head + "".join(body),
            viewBox=f"0 0 {_number(width)} {_number(height)}",
            width=width,
            height=height,
            role="img",
            aria_label=f"{title}. {about}",
        )
    )


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    tip: str = "",
    **more: float | str,
) -> str:
    """A filled rectangle; `tip` shows when it is pointed at."""
    content = element("title", escape(tip)) if tip else ""
    box = {"x": x, "y": y, "width": max(0.0, width), "height": max(0.0, height)}
    return element("rect", content, **box, style=f"fill:{fill}", **more)


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    """A straight line of a class of the style sheet."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def dot(x: float, y: float, fill: str, tip: str = "", radius: float = 4.5) -> str:
    content = element("title", escape(tip)) if tip else ""
    return element("circle", content, cx=x, cy=y, r=radius, style=f"fill:{fill}")


def ring(x: float, y: float, stroke: str, tip: str) -> str:
    """A hollow dot."""
    style = f"fill:var(--paper);stroke:{stroke};stroke-width:2.5"
    return element("circle", element("title", escape(tip)), cx=x, cy=y, r=5.5, style=style)


def polyline(points: Sequence[tuple[float, float]], colour: str) -> str:
    """An open line through points."""
    path = "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)
    return element("path", d=path, class_="curve", style=f"stroke:{colour}")


def text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    kind: str = "",
    room: float | None = None,
    fill: str = "",
    after: str = "",
) -> str:
    """A line of text; longer than `room` pixels it is cut and the whole becomes a tooltip.

    `after` is markup that follows the words.
    """
    shown = words if room is None else cut(words, room)
    tip = "" if shown == words else element("title", escape(shorten(words, _TOOLTIP)))
    style = f"fill:{fill}" if fill else None
    place = None if anchor == "start" else anchor
    return element(
        "text",
        escape(shown) + tip + after,
        x=x,
        y=y,
        text_anchor=place,
        class_=kind or None,
        style=style,
    )


def width_of(words: str, size: float = FONT) -> float:
    """Pixels that a text takes, estimated: wide characters one em, others 0.6."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in words)
    return (wide + 0.6 * (len(words) - wide)) * size


def cut(words: str, room: float, size: float = FONT) -> str:
    """The start of a text that fits `room` pixels, with an ellipsis where it was cut."""
    words = " ".join(words.split())
    if width_of(words, size) <= room:
        return words
    used, ellipsis = 0.0, size
    for index, letter in enumerate(words):
        used += width_of(letter, size)
        if used > room - ellipsis:
            return words[:index].rstrip() + "…"
    return words


def shorten(words: str, limit: int) -> str:
    """At most `limit` characters."""
    return words if len(words) <= limit else words[: limit - 1] + "…"


def choose_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values that cover `low` to `high`, in steps of 1, 2, 2.5 or 5 times a power of 10."""
    if not high - low > 1e-15:
        high = low + (abs(low) if abs(low) > 1e-15 else 1.0)
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def format_tick(value: float, step: float) -> str:
    """A tick as short as its step allows: 0.25, 3, 250k, 1.5M."""
    if value == 0:
        return "0"
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{unit}"
    if abs(value) < 1e-3:
        return f"{value:.2g}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    if digits and not math.isclose(step * 10**digits, round(step * 10**digits)):
        digits += 1
    return f"{value:.{digits}f}"


def label_every(labels: Sequence[str], step: float) -> int:
    """Every how many labels one is written so that none touch; `step` pixels lie between two."""
    widest = max((width_of(label) for label in labels), default=0.0) + 8
    return max(1, math.ceil(widest / step)) if step > 0 else 1


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved apart to at least `gap`, in their order, inside `low` to `high` if they fit."""
    order = sorted(range(len(places)), key=lambda index: (places[index], index))
    moved = list(places)
    previous = low - gap
    for index in order:
        moved[index] = previous = max(places[index], previous + gap)
    following = high + gap
    for index in reversed(order):
        moved[index] = following = min(moved[index], following - gap)
    return moved


def legend(items: Sequence[tuple[str, str]], x: float, y: float, room: float) -> str:
    """Coloured squares with names, in one row as far as there is room."""
    parts: list[str] = []
    start = x
    for name, colour in items:
        shown = cut(name, 150)
        if start + width_of(shown) + 18 > x + room:
            break
        parts.append(rect(start, y - 9, 10, 10, colour, rx=2))
        parts.append(text(start + 15, y, shown, kind="quiet"))
        start += 15 + width_of(shown) + 18
    return "".join(parts)
