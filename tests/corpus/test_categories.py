"""Categories by rules and by confidence: the first rule wins, and what is not known stays empty."""

from __future__ import annotations

import pickle
import re
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.categories import categorizer as categories
from corpus.categories import ngrams
from corpus.categories.categorizer import Categorizer, open_categorizer
from corpus.categories.classifier import Classifier
from tongwen.recipe import Categories, Rule

GLOBS = st.sampled_from(["*", "a*", "?b", "ab", "[!a]*", ""])
NAMES = st.sampled_from(["", "a", "b", "ab", "xb", "A"])
PATTERNS = st.sampled_from(["", "^第", "法$", "(?i)law", "a.c", r"\d{2}", "[^法]"])
TEXTS = st.sampled_from(["", "第一", "第\n法", "LAW 12", "a\nc", "abc", "法"])
RULES = st.builds(
    Rule,
    category=st.sampled_from(["one", "two", "three"]),
    path=st.sampled_from(["*", "data/*.jsonl", "other*"]),
    source=GLOBS,
    language=GLOBS,
    text=PATTERNS,
)
ROWS = st.tuples(TEXTS, NAMES, NAMES, st.sampled_from(["", "", "given"]))


def fill(made: Categorizer, rows: list[tuple[str, str, str, str]]) -> list[str]:
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(4)]
    return made.fill("data/x.jsonl", *columns).to_pylist()


def fill_slowly(rules: list[Rule], row: tuple[str, str, str, str]) -> str:
    text, source, language, category = row
    for rule in rules:
        globs = ((rule.path, "data/x.jsonl"), (rule.source, source), (rule.language, language))
        if all(fnmatchcase(value, glob) for glob, value in globs) and re.search(rule.text, text):
            return category or rule.category
    return category


def make_classifier(bias: float = 0.0) -> Classifier:
    """Two categories, told apart by the n-grams of 甲 and 乙."""
    weights = np.zeros((ngrams.NUM_BUCKETS, 2), np.float16)
    counts, found = np.zeros(ngrams.NUM_BUCKETS, np.int32), np.empty(6000, np.uint64)
    for label, text in enumerate(("甲", "乙")):
        data = np.frombuffer(text.encode(), np.uint8)
        num = ngrams.collect_ngrams(data, 0, len(data), ngrams.folding_table(), counts, found)
        weights[found[:num].astype(np.int64), label] = 1
    idf = np.ones(ngrams.NUM_BUCKETS, np.float32)
    return Classifier(("first", "second"), weights, np.array([bias, 0], np.float32), idf)


@settings(deadline=None)
@given(st.lists(RULES, max_size=4), st.lists(ROWS, max_size=12))
def test_the_first_matching_rule_gives_the_category(
    rules: list[Rule], rows: list[tuple[str, str, str, str]]
) -> None:
    assert fill(Categorizer(tuple(rules)), rows) == [fill_slowly(rules, row) for row in rows]


def test_the_pattern_is_looked_for_in_the_first_2000_characters() -> None:
    made = Categorizer((Rule(category="law", text="法"),))
    rows = [("文" * 1999 + "法", "", "", ""), ("文" * 2000 + "法", "", "", "")]
    assert fill(made, rows) == ["law", ""]


def test_the_pattern_is_tried_only_where_the_globs_match(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    match = categories._match_text

    def spy(texts: pa.Array, pattern: str) -> categories.Mask:
        seen.append(texts.to_pylist())
        return match(texts, pattern)

    monkeypatch.setattr(categories, "_match_text", spy)
    rules = (Rule(category="one", source="a", text="1"), Rule(category="two", text="."))
    rows = [("1", "a", "", ""), ("2", "a", "", ""), ("3", "b", "", ""), ("4", "a", "", "given")]
    assert fill(Categorizer(rules), rows) == ["one", "two", "two", "given"]
    assert seen == [["1", "2"], ["2", "3"]]


def test_columns_may_be_slices_have_nulls_and_large_offsets() -> None:
    made = Categorizer((Rule(category="law", source="a", text="法"),), make_classifier(), 0.6)
    texts = pa.array(["x", "法", None, "甲", "法"], pa.large_string()).slice(1)
    sources = pa.array(["x", "a", "a", None, None]).slice(1)
    empty = pa.array(["x", "", "", "", None]).slice(1)
    filled = made.fill("any", texts, sources, sources, empty)
    assert filled.type == pa.string()
    assert filled.to_pylist() == ["law", "", "first", ""]
    nothing = pa.array([], pa.string())
    assert made.fill("any", nothing, nothing, nothing, nothing).to_pylist() == []


@pytest.mark.parametrize("confidence", [0.0, 0.5, 0.7310, 0.7311, 0.999])
def test_an_answer_counts_from_the_minimal_confidence_on(confidence: float) -> None:
    made = Categorizer((), make_classifier(), confidence)
    texts = ["甲", "乙", "甲乙", "丙", "甲甲丙"]
    columns = [(text, "", "", "") for text in texts]
    likely = make_classifier().probabilities(pa.array(texts))
    expected = [
        ("first", "second")[int(row.argmax())] if row.max() >= confidence else "" for row in likely
    ]
    assert fill(made, columns) == expected


def test_a_text_without_characters_to_tell_by_stays_without_category() -> None:
    made = Categorizer((), make_classifier(bias=9.0), 0.9)
    assert fill(made, [("", "", "", ""), ("\u00ad \n", "", "", ""), ("丙", "", "", "")]) == [
        "",
        "",
        "first",
    ]


def test_rules_go_before_the_classifier_and_both_leave_what_is_given() -> None:
    made = Categorizer((Rule(category="rule", source="a"),), make_classifier(), 0.6)
    rows = [("甲", "a", "", ""), ("甲", "b", "", ""), ("甲", "a", "", "given")]
    assert fill(made, rows) == ["rule", "first", "given"]


def test_a_categorizer_survives_being_sent_to_another_process() -> None:
    made = Categorizer((Rule(category="law", text="^法"),), make_classifier(), 0.6)
    rows = [("法甲", "", "", ""), ("乙", "", "", ""), ("丙", "", "", "")]
    assert fill(made, rows) == ["law", "second", ""]
    sent = pickle.dumps(made)
    assert fill(pickle.loads(sent), rows) == ["law", "second", ""]
    assert len(sent) < (2 * 2 + 4) * ngrams.NUM_BUCKETS + 2000


def test_nothing_asked_for_is_nothing_made(tmp_path: Path) -> None:
    assert open_categorizer(Categories(), (), 1000, tmp_path) is None
    rules = Categories(rules=(Rule(category="law"),))
    made = open_categorizer(rules, (), 1000, tmp_path)
    assert made == made and made is not None and made.classifier is None
    assert not list(tmp_path.iterdir())
