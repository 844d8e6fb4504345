"""Lines over one axis, each named at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.charts.svg import (
    choose_ticks,
    dot,
    format_tick,
    line,
    picture,
    polyline,
    rect,
    ring,
    spread,
    text,
    width_of,
)

Point = tuple[float, float | None]
_FLAG = 17.0


@dataclass(frozen=True)
class Line:
    """A named line; a point without a value leaves a gap."""

    name: str
    colour: str
    points: tuple[Point, ...]
    note: str = ""
    """Stands behind the name at the end of the line."""
    dots: bool = False


@dataclass(frozen=True)
class Flag:
    """A point that is pointed out: a ring with a line down to the axis and words above it."""

    words: str
    x: float
    y: float
    colour: str


@dataclass(frozen=True)
class _Frame:
    """Pixels of the plotting area and the values at its edges."""

    left: float
    right: float
    top: float
    bottom: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        reach = self.x_high - self.x_low or 1
        return self.left + (value - self.x_low) / reach * (self.right - self.left)

    def y(self, value: float) -> float:
        reach = self.y_high - self.y_low or 1
        return self.bottom - (value - self.y_low) / reach * (self.bottom - self.top)


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_unit: str,
    y_unit: str,
    about: str,
    stretches: Sequence[tuple[str, float, float]] = (),
    flags: Sequence[Flag] = (),
    from_zero: bool = False,
    width: float = 960,
    height: float = 380,
) -> Markup:
    """Lines with their names at the right end.

    Args:
        stretches: name, start and end of parts of the x axis, drawn as bands with boundaries.
        flags: points of the lines that are pointed out.
        from_zero: whether the y axis starts at zero.
    """
    frame, x_ticks, y_ticks = _make_frame(lines, stretches, len(flags), from_zero, width, height)
    body = _draw_stretches(frame, stretches)
    body += _draw_axes(frame, x_ticks, y_ticks)
    body.append(text(0, 12, y_unit, kind="quiet"))
    middle = (frame.left + frame.right) / 2
    body.append(text(middle, height - 6, x_unit, anchor="middle", kind="quiet"))
    for each in lines:
        body += _draw_line(frame, each)
    body += _draw_flags(frame, flags, width)
    body += _draw_names(frame, lines, width)
    return picture(width, height, body, title, about)


def _make_frame(
    lines: Sequence[Line],
    stretches: Sequence[tuple[str, float, float]],
    num_flags: int,
    from_zero: bool,
    width: float,
    height: float,
) -> tuple[_Frame, list[float], list[float]]:
    xs = [x for each in lines for x, _ in each.points]
    xs += [edge for _, start, end in stretches for edge in (start, end)]
    ys = [y for each in lines for _, y in each.points if y is not None]
    x_low, x_high = min(xs, default=0.0), max(xs, default=1.0)
    y_ticks = choose_ticks(0.0 if from_zero else min(ys, default=0.0), max(ys, default=1.0), 5)
    x_ticks = choose_ticks(x_low, x_high, 4 if width < 600 else 8)
    names = max((width_of(_name(each)) for each in lines), default=0)
    frame = _Frame(
        left=46,
        right=width - min(names + 14, width * 0.3),
        top=(42 if stretches else 24) + _FLAG * num_flags,
        bottom=height - 42,
        x_low=x_low,
        x_high=x_high,
        y_low=y_ticks[0],
        y_high=y_ticks[-1],
    )
    return frame, [x for x in x_ticks if x_low <= x <= x_high], y_ticks


def _name(each: Line) -> str:
    return f"{each.name} {each.note}".strip()


def _draw_stretches(frame: _Frame, stretches: Sequence[tuple[str, float, float]]) -> list[str]:
    parts: list[str] = []
    for index, (name, start, end) in enumerate(stretches):
        x, reach = frame.x(start), frame.x(end) - frame.x(start)
        if index % 2:
            parts.append(rect(x, frame.top, reach, frame.bottom - frame.top, "var(--band)"))
        if index:
            parts.append(line(x, frame.top - 14, x, frame.bottom, "boundary"))
        parts.append(text(x + 5, frame.top - 5, name, kind="stage", room=max(0.0, reach - 8)))
    return parts


def _draw_axes(frame: _Frame, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
    parts: list[str] = []
    for tick in y_ticks:
        y = frame.y(tick)
        parts.append(line(frame.left, y, frame.right, y, "grid"))
        label = format_tick(tick, y_ticks[1] - y_ticks[0])
        parts.append(text(frame.left - 7, y + 4, label, anchor="end", kind="quiet"))
    parts.append(line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"))
    for tick in x_ticks:
        x = frame.x(tick)
        parts.append(line(x, frame.bottom, x, frame.bottom + 4, "axis"))
        label = format_tick(tick, x_ticks[1] - x_ticks[0] if len(x_ticks) > 1 else 1)
        parts.append(text(x, frame.bottom + 17, label, anchor="middle", kind="quiet"))
    return parts


def _draw_line(frame: _Frame, each: Line) -> list[str]:
    parts: list[str] = []
    for stretch in _split_gaps(each.points):
        places = [(frame.x(x), frame.y(y)) for x, y in stretch]
        if len(places) > 1:
            parts.append(polyline(places, each.colour))
        if each.dots or len(places) == 1:
            tips = [
                f"{each.name}: {y:.4g} at {x:{',.0f' if x >= 100 else '.3g'}}" for x, y in stretch
            ]
            pairs = zip(places, tips, strict=True)
            parts += [dot(x, y, each.colour, tip, 2.6) for (x, y), tip in pairs]
    return parts


def _split_gaps(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    stretches: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            stretches.append([])
        else:
            stretches[-1].append((x, y))
    return [stretch for stretch in stretches if stretch]


def _draw_names(frame: _Frame, lines: Sequence[Line], width: float) -> list[str]:
    ended = [(each, [p for p in each.points if p[1] is not None]) for each in lines]
    named = [(each, points[-1][1] or 0.0) for each, points in ended if points]
    places = spread([frame.y(y) for _, y in named], 15, frame.top, frame.bottom)
    return [
        text(
            frame.right + 8,
            place + 4,
            _name(each),
            kind="name",
            fill=each.colour,
            room=width - frame.right - 8,
        )
        for (each, _), place in zip(named, places, strict=True)
    ]


def _draw_flags(frame: _Frame, flags: Sequence[Flag], width: float) -> list[str]:
    parts: list[str] = []
    for index, flag in enumerate(flags):
        x, y = frame.x(flag.x), frame.y(flag.y)
        height = frame.top - 2 - _FLAG * (len(flags) - 1 - index)
        parts.append(line(x, height - 9, x, frame.bottom, "boundary"))
        parts.append(ring(x, y, flag.colour, f"{flag.words}: {flag.y:.4g} at {flag.x:,.0f}"))
        at_end = width - x - 7 < width_of(flag.words) and x > width / 2
        place, anchor = (x - 7, "end") if at_end else (x + 7, "start")
        room = max(0.0, x if at_end else width - x) - 7
        parts.append(
            text(place, height, flag.words, anchor=anchor, kind="flag", fill=flag.colour, room=room)
        )
    return parts
