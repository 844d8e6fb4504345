"""Drawings: lengths in proportion, nothing outside the frame, every text escaped."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reports.charts import (
    Bar,
    Dumbbell,
    Flag,
    Line,
    Outlet,
    Slice,
    Stack,
    bar_chart,
    column_chart,
    dumbbell_chart,
    flow_chart,
    heat_map,
    line_chart,
    stack_chart,
)
from reports.charts.svg import choose_ticks, cut, format_tick, spread, width_of

EVIL = "<script>\"&'"
_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=80)
_AMOUNT = st.floats(0, 1e12)


def _parse(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(str(drawing))


def _inside(drawing: str) -> None:
    """Every rectangle, circle and line lies inside the frame."""
    root = _parse(drawing)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in root.iter():
        got = element.attrib
        if element.tag == "rect":
            assert -0.1 <= float(got["x"]) <= float(got["x"]) + float(got["width"]) <= width + 0.1
            assert -0.1 <= float(got["y"]) <= float(got["y"]) + float(got["height"]) <= height + 0.1
        if element.tag == "circle":
            assert -0.1 <= float(got["cx"]) <= width + 0.1
            assert -0.1 <= float(got["cy"]) <= height + 0.1


def test_bars_are_as_long_as_their_values() -> None:
    bars = [
        Bar("a", (Slice(10, "red"), Slice(30, "blue")), "40"),
        Bar("b", (Slice(20, "red"),), "20"),
    ]
    root = _parse(bar_chart(bars, title="t", unit="u", about="d"))
    widths = [float(element.attrib["width"]) for element in root.iter("rect")]
    assert math.isclose(widths[1] / widths[0], 3, rel_tol=1e-3)
    assert math.isclose(widths[2] / widths[0], 2, rel_tol=1e-3)


def test_shares_of_a_stack_fill_the_column() -> None:
    stacks = [Stack("a", "red", (1.0, 2.0)), Stack("b", "blue", (3.0, 2.0))]
    root = _parse(stack_chart(stacks, ["0", "1"], title="t", x_unit="x", about="d", height=320))
    heights = [float(element.attrib["height"]) for element in root.iter("rect")]
    assert math.isclose(heights[0] + heights[2], heights[1] + heights[3], abs_tol=0.05)
    assert math.isclose(heights[2] / heights[0], 3, rel_tol=1e-2)


def test_a_missing_value_is_a_gap_in_a_line() -> None:
    line = Line("n", "red", ((0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, 2.0)))
    root = _parse(line_chart([line], title="t", x_unit="x", y_unit="y", about="d"))
    assert len(list(root.iter("path"))) == 2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(_TEXT, _AMOUNT), max_size=12))
@example([("", 0.0)] * 7 + [("", 1.0)])
def test_bars_and_flows_hold_any_label_and_amount(rows: list[tuple[str, float]]) -> None:
    bars = [Bar(label, (Slice(value, "red"),), "note") for label, value in rows]
    _inside(bar_chart(bars, title=EVIL, unit=EVIL, about=EVIL, key=[(EVIL, "red")]))
    _inside(column_chart(rows, title="t", x_unit="x", y_unit="y", about="d"))
    outlets = [Outlet(label, value, "red", "note") for label, value in rows]
    _inside(flow_chart("all", outlets, title="t", about="d", height=400))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(_TEXT, st.one_of(st.none(), _AMOUNT), st.one_of(st.none(), _AMOUNT)), max_size=9
    )
)
def test_dumbbells_and_lines_hold_missing_values(
    rows: list[tuple[str, float | None, float | None]],
) -> None:
    pairs = [Dumbbell(label, before, after, "red", "-") for label, before, after in rows]
    _inside(dumbbell_chart(pairs, title="t", unit="u", about="d", names=("a", "b")))
    lines = [Line(label, "red", ((0.0, a), (5.0, b)), dots=True) for label, a, b in rows]
    drawing = line_chart(
        lines, title="t", x_unit="x", y_unit="y", about="d", stretches=[("s", 0, 2), ("u", 2, 5)]
    )
    _inside(drawing)


@pytest.mark.parametrize("width", [400.0, 960.0])
def test_a_flag_stands_at_its_point_and_its_words_inside(width: float) -> None:
    points = ((0.0, 4.0), (5.0, 2.0), (10.0, 1.0))
    flags = [Flag(f"{EVIL} {'long ' * 40}", x, y, "red") for x, y in points]
    drawing = line_chart(
        [Line("", "red", points, dots=True)],
        title="t", x_unit="x", y_unit="y", about="d", flags=flags, width=width,
    )  # fmt: skip
    _inside(drawing)
    circles = [element.attrib for element in _parse(drawing).iter("circle")]
    places = [
        [(at["cx"], at["cy"]) for at in circles if at["r"] == radius] for radius in ("2.6", "5.5")
    ]
    assert places[0] == places[1] and len(places[0]) == 3
    for element in _parse(drawing).iter("text"):
        if element.get("class") == "flag":
            reach = width_of(element.text or "")
            start = float(element.attrib["x"]) - reach * (element.get("text-anchor") == "end")
            assert start >= 0 and start + reach <= width


def test_no_text_becomes_an_element() -> None:
    rows = [(EVIL, [0.1, None, -0.2])]
    heat = heat_map(rows, ["0", "1", EVIL], title=EVIL, x_unit=EVIL, about=EVIL, limit=0.1)
    _inside(heat)
    assert "<script" not in heat


def test_a_heat_map_tells_above_from_below() -> None:
    rows = [("a", [0.05, -0.05, 0.0])]
    heat = heat_map(rows, ["0", "1", "2"], title="t", x_unit="b", about="d", limit=0.1)
    cells = re.findall(r"var\(--(above|below)\)\" fill-opacity=\"([\d.]+)\"", heat)
    assert [kind for kind, _ in cells[:2]] == ["above", "below"]
    assert cells[0][1] == cells[1][1]


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 8))
def test_ticks_cover_the_values_in_even_steps(low: float, reach: float, about: int) -> None:
    high = low + reach
    ticks = choose_ticks(low, high, about)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 3 * about + 3


def test_ticks_are_written_shortly() -> None:
    assert [format_tick(v, 0.25) for v in (0, 0.25, 0.5)] == ["0", "0.25", "0.50"]
    assert [format_tick(v, 5e5) for v in (5e5, 1.5e6, 2e9)] == ["500k", "1.5M", "2B"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 300), min_size=1, max_size=15))
def test_names_that_fit_do_not_touch(places: list[float]) -> None:
    moved = spread(places, 15, 0, 300)
    ordered = sorted(moved)
    gaps = [b - a for a, b in pairwise(ordered)]
    assert all(gap >= 15 - 1e-6 for gap in gaps)
    assert ordered[0] >= -1e-6 and ordered[-1] <= 300 + 1e-6


@settings(max_examples=50, deadline=None)
@given(_TEXT, st.floats(20, 300))
def test_a_cut_text_fits(words: str, room: float) -> None:
    assert width_of(cut(words, room)) <= room + 1e-6
