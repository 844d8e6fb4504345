"""Which of several alike stays is what the rule says, and ties go to the earliest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import find_duplicates
from corpus.dedup.keepers import rank_rows
from corpus.sources import open_table
from tests.corpus.planted import make_text
from tongwen.errors import TongwenError
from tongwen.recipe import Duplicates

ROWS: list[dict[str, str]] = [
    {"text": "abcd", "source": "wiki", "origin": "b.jsonl:1", "category": "x"},
    {"text": "ab", "source": "law-cn", "origin": "a.jsonl:10", "category": "y"},
    {"text": "abcdef", "source": "blog", "origin": "a.jsonl:9", "category": "x"},
    {"text": "ef", "source": "law", "origin": "a:2.jsonl:30", "category": "z"},
    {"text": "中文中文", "source": "wiki", "origin": "memory", "category": "y"},
]


def order_of(rules: Duplicates, rows: list[dict[str, str]] | None = None) -> list[int]:
    """Row numbers, best first."""
    source = open_table(pa.Table.from_pylist(rows or ROWS))
    ranks = rank_rows(source, np.arange(source.num_rows), rules)
    assert sorted(ranks.tolist()) == list(range(source.num_rows))
    return np.argsort(ranks).tolist()


def test_earliest_goes_by_file_then_by_line_as_a_number() -> None:
    # "a.jsonl" < "a:2.jsonl" < "b.jsonl" < "memory", and line 9 comes before line 10.
    assert order_of(Duplicates()) == [2, 1, 3, 0, 4]


def test_longest_counts_characters_not_bytes() -> None:
    assert order_of(Duplicates(keep="longest")) == [2, 0, 4, 1, 3]


def test_priority_goes_by_the_first_pattern_that_matches() -> None:
    rules = Duplicates(keep="priority", priority=("law*", "wiki"))
    assert order_of(rules) == [1, 3, 0, 4, 2]


def test_order_is_duckdbs_order_by_over_every_column() -> None:
    rules = Duplicates(keep="order", order="category DESC, characters DESC -- longest")
    assert order_of(rules) == [3, 4, 1, 2, 0]
    assert order_of(Duplicates(keep="order", order="line, length(prompt)")) == [4, 0, 2, 1, 3]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("colour", "colour"),
        ("length(text", "syntax error"),
        ("1; DROP TABLE documents", ""),
        ("text LIMIT 1 --", ""),
        ("(SELECT count(*) FROM read_csv('/etc/passwd'))", "disabled"),
    ],
)
def test_an_expression_that_duckdb_refuses_is_one_message(order: str, said: str) -> None:
    with pytest.raises(TongwenError, match=r"corpus\.duplicates\.order") as error:
        order_of(Duplicates(keep="order", order=order))
    assert said in str(error.value)


def test_a_rule_and_its_key_belong_together() -> None:
    for keys in ({"keep": "priority"}, {"order": "text"}, {"keep": "order", "priority": ("a",)}):
        with pytest.raises(ValueError, match="belongs to keep"):
            Duplicates.model_validate(keys)


@given(st.permutations(range(len(ROWS))), st.sampled_from(["earliest", "longest"]))
def test_the_order_looks_at_documents_not_at_rows(order: list[int], keep: Any) -> None:
    turned = order_of(Duplicates(keep=keep), [ROWS[row] for row in order])
    assert [order[row] for row in turned] == order_of(Duplicates(keep=keep))


def test_the_best_of_exact_normalised_and_near_copies_stays() -> None:
    import random

    text = "".join(make_text(random.Random(1), "zh", 300))
    near = text[:-1] + "完"
    rows = [
        {"text": near, "source": "c", "origin": "f:1"},
        {"text": text, "source": "b", "origin": "f:2"},
        {"text": text + "。", "source": "b", "origin": "f:3"},
        {"text": text, "source": "a", "origin": "f:4"},
    ]
    table = pa.Table.from_pylist(rows)
    found = find_duplicates(table, Duplicates(keep="priority", priority=("a", "b")))
    kinds = found.to_table()["kind"].to_pylist()
    assert (found.rows.tolist(), found.keepers.tolist()) == ([0, 1, 2], [3, 3, 3])
    assert kinds == ["near", "exact", "normalized"]
    longest = find_duplicates(table, Duplicates(keep="longest"))
    assert (longest.rows.tolist(), longest.keepers.tolist()) == ([0, 1, 3], [2, 2, 2])
    # The exact copy of a document that goes as well is led on to the one that stays.
    assert longest.to_table()["kind"].to_pylist() == ["near", "normalized", "exact"]
