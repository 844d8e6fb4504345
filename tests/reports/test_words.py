"""Figures, differences and Markdown cells."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import numbers
from reports.blocks import MAX_ROWS, make_table
from reports.markdown import escape
from reports.page import show_piece
from reports.sections.buckets import group_columns
from reports.sections.differences import mark_differences
from reports.sections.provenance import flatten

_WORDS = st.text(alphabet="春天种下种子 ab.\n", max_size=120)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "text", True])
def test_what_is_no_number_is_a_dash(value: object) -> None:
    show = (numbers.count, numbers.decimal, numbers.share, numbers.change, numbers.short)
    assert {each(value) for each in show} == {"-"}
    assert numbers.size(value) == numbers.duration(value) == "-"
    assert numbers.divide(value, 3) is None


def test_figures_as_people_read_them() -> None:
    assert numbers.short(1_234_567) == "1.23M"
    assert numbers.short(999_999) == "1M"
    assert numbers.short(0) == "0"
    assert numbers.share(0.1234) == "12.3 %"
    assert numbers.share(1e-7) == "< 0.1 %"
    assert numbers.change(-0.5) == "−50.0 %"
    assert numbers.size(1_500_000) == "1.5 MB"
    assert numbers.duration(75) == "1:15"
    assert numbers.divide(1, 0) is None


def test_folding_keeps_the_sum() -> None:
    rows = [{"n": i} for i in range(50)]
    folded = numbers.fold(rows, "n", lambda rest: {"n": sum(row["n"] for row in rest)}, 20)
    assert len(folded) == 21
    assert sum(row["n"] for row in folded) == sum(range(50))
    assert folded[0]["n"] == 49


@settings(max_examples=60, deadline=None)
@given(_WORDS, _WORDS)
def test_differences_hold_the_whole_texts(left: str, right: str) -> None:
    for text, marked in zip((left, right), mark_differences(left, right), strict=True):
        pattern = "".join(".*" if mark == "gap" else re.escape(words) for words, mark in marked)
        assert re.fullmatch(pattern, text, re.DOTALL)


def test_differences_mark_what_changed_and_nothing_else() -> None:
    left, right = mark_differences("秋天收获 seeds", "冬天收获 seed")
    assert [words for words, mark in left if mark == "changed"] == ["秋", "seeds"]
    assert [words for words, mark in right if mark == "changed"] == ["冬", "seed"]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="|<>&\n`*_a#[]\\", max_size=50))
def test_a_markdown_cell_stays_one_cell(words: str) -> None:
    cell = escape(words)
    assert "\n" not in cell and "<" not in cell
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", cell)


@given(st.integers(1, 500))
def test_columns_hold_every_bucket_once(num_buckets: int) -> None:
    groups = group_columns(num_buckets)
    assert [bucket for group in groups for bucket in group] == list(range(num_buckets))
    assert len(groups) <= 40


def test_settings_are_flattened_to_their_keys() -> None:
    config = {"a": {"b": [1, 2], "c": [{"d": True}]}, "e": None, "f": []}
    assert flatten(config) == [("a.b", "1, 2"), ("a.c.0.d", "true"), ("e", "-"), ("f", "-")]


def test_pieces_show_blanks_and_bytes() -> None:
    assert [show_piece(piece) for piece in ("▁the", "<0xE7>", "研究", "")] == [
        "␣the",
        "E7",
        "研究",
        "·",
    ]


def test_a_table_says_what_it_leaves_out() -> None:
    table = make_table("t", ("a",), [["1"]] * (MAX_ROWS + 5), total=True)
    assert len(table.rows) == MAX_ROWS and "5 more rows" in table.note and not table.total
