"""Weights of sources: the sum stays, ratios are as asked, and a wrong entry is named."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.learning.characters import make_kinds
from tokenizer.learning.corpora import check_languages, check_runs, measure_groups
from tokenizer.learning.runs import RunCounter
from tokenizer.learning.weighting import UNIT, Group, weigh_documents
from tongwen.errors import TongwenError
from tongwen.recipe import Tokenizer, Weight

GROUPS = st.dictionaries(
    st.tuples(st.sampled_from(["law", "news", "poetry"]), st.sampled_from("abcd")),
    st.integers(1, 10**9),
    min_size=1,
)


def make(balance: float = 1.0, *weights: Weight) -> Tokenizer:
    return Tokenizer(base="base.model", balance=balance, weights=weights)


def sum_sources(weights: dict[Group, int], sizes: dict[Group, int]) -> dict[str, float]:
    sums: Counter[str] = Counter()
    for (category, source), size in sizes.items():
        sums[source] += weights[category, source] * size
    return dict(sums)


@given(GROUPS)
def test_without_a_choice_every_weight_is_one(sizes: dict[Group, int]) -> None:
    assert weigh_documents(make(), sizes) == dict.fromkeys(sizes, UNIT)


@given(
    GROUPS.map(lambda sizes: {group: size % 10**6 + 10**4 for group, size in sizes.items()}),
    st.floats(0, 1),
    st.floats(0.1, 10),
)
def test_the_sum_of_weighted_characters_stays(
    sizes: dict[Group, int], balance: float, factor: float
) -> None:
    section = make(balance, Weight(categories=("*",), weight=factor))
    weights = weigh_documents(section, sizes)
    assert set(weights) == set(sizes) and min(weights.values()) >= 1
    total = sum(weights[group] * size for group, size in sizes.items())
    rounding = sum(sizes.values()) * 0.51 + sum(
        size for group, size in sizes.items() if weights[group] == 1
    )
    assert abs(total - UNIT * sum(sizes.values())) <= rounding


@given(GROUPS.map(lambda sizes: {group: size % 50 + 50 for group, size in sizes.items()}))
def test_without_balance_every_source_counts_the_same(sizes: dict[Group, int]) -> None:
    sums = sum_sources(weigh_documents(make(0.0), sizes), sizes)
    assert max(sums.values()) <= min(sums.values()) * 1.02


@given(st.integers(1, 1000), st.integers(1, 1000), st.floats(0, 1))
def test_the_ratio_of_two_sources_is_the_power_of_their_sizes(
    one: int, two: int, balance: float
) -> None:
    sizes = {("law", "a"): 1000 + one, ("law", "b"): 1000 + two}
    weights = weigh_documents(make(balance), sizes)
    ratio = weights["law", "a"] / weights["law", "b"]
    wanted = ((1000 + one) / (1000 + two)) ** (balance - 1)
    assert ratio == pytest.approx(wanted, rel=0.005)


def test_entries_that_match_are_multiplied() -> None:
    sizes = {("law", "a"): 100, ("poetry", "a"): 100, ("poetry", "b"): 100}
    weights = weigh_documents(
        make(
            1.0,
            Weight(categories=("poe*",), weight=0.5),
            Weight(sources=("b", "x"), weight=0.5),
        ),
        sizes,
    )
    assert weights["law", "a"] == pytest.approx(2 * weights["poetry", "a"], rel=0.002)
    assert weights["law", "a"] == pytest.approx(4 * weights["poetry", "b"], rel=0.002)
    assert sum(weights.values()) == pytest.approx(3 * UNIT, abs=2)


def test_what_is_left_out_gives_its_characters_to_nobody() -> None:
    sizes = {("law", "a"): 1, ("poetry", "b"): 1_000_000}
    weights = weigh_documents(make(1.0, Weight(categories=("poetry",), weight=0)), sizes)
    assert weights == {("law", "a"): UNIT, ("poetry", "b"): 0}


def test_a_weight_is_a_thousandth_at_least_and_a_thousand_at_most() -> None:
    sizes = {("law", "a"): 10**9, ("law", "b"): 1}
    assert weigh_documents(make(0.0), sizes) == {("law", "a"): 500, ("law", "b"): 10**6}
    section = make(1.0, Weight(sources=("b",), weight=1e-6))
    assert weigh_documents(section, sizes)["law", "b"] == 1


def test_globs_keep_capitals() -> None:
    with pytest.raises(TongwenError):
        weigh_documents(make(1.0, Weight(sources=("A",), weight=2)), {("law", "a"): 1})


def test_an_entry_that_matches_nothing_is_named() -> None:
    section = make(1.0, Weight(weight=2), Weight(categories=("law",), sources=("b*",), weight=3))
    with pytest.raises(TongwenError) as error:
        weigh_documents(section, {("law", "a"): 5, ("news", "b1"): 5})
    for words in ("tokenizer.weights.1", "['law']", "['b*']", "'news'", "'b1'"):
        assert words in str(error.value)


def test_all_weights_zero_is_refused() -> None:
    with pytest.raises(TongwenError, match=r"nothing to learn"):
        weigh_documents(make(1.0, Weight(weight=0)), {("law", "a"): 5})
    assert weigh_documents(make(), {}) == {}


def make_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    names = ("id", "text", "prompt", "category", "source", "language")
    columns = {name: pa.array([row.get(name, "") for row in rows], pa.string()) for name in names}
    columns["category"] = columns["category"].dictionary_encode()
    return pa.RecordBatch.from_pydict(columns)


BATCH = make_batch(
    [
        {
            "id": "1",
            "text": "中文𠮷",
            "prompt": "问",
            "category": "law",
            "source": "a",
            "language": "zh",
        },
        {"id": "2", "text": "中文", "category": "law", "source": "a", "language": "zh"},
        {"id": "3", "text": "held out", "category": "law", "source": "a", "language": "zh"},
        {"id": "4", "text": "hello", "category": "web", "source": "b", "language": "en"},
        {"id": "5", "text": "x", "category": None, "source": None, "language": None},
    ]
)


def test_groups_are_measured_without_what_is_held_out() -> None:
    sizes = measure_groups(lambda columns: [BATCH.select(columns)] * 2, pa.array(["3"]))
    assert sizes == {
        "": {("", ""): 2},
        "en": {("web", "b"): 10},
        "zh": {("law", "a"): 12},
    }


def test_a_language_that_is_not_there_is_refused_with_those_that_are() -> None:
    sizes = {"zh": {("law", "a"): 1200}, "en": {("web", "b"): 34_000}, "": {("", ""): 5}}
    check_languages(sizes, ["zh", "en"])
    with pytest.raises(TongwenError) as error:
        check_languages(sizes, ["zh", "ja"])
    for words in ("'ja'", "tokenizer.languages", "en (34,000 characters), zh (1,200", "(none) (5"):
        assert words in str(error.value)
    with pytest.raises(TongwenError, match=r"none, it is empty"):
        check_languages({}, ["zh"])


@pytest.mark.parametrize("text", ["", "🙂🎉🚀" * 1000, "hello 123\n", "\x00\x07", "ﷺ ก็ ж"])
def test_text_without_a_chinese_character_is_refused(text: str) -> None:
    counter = RunCounter(make_kinds(punctuation=True))
    counter.add([text])
    with pytest.raises(TongwenError, match=r"no Chinese character"):
        check_runs(counter.finish().num_characters, ["zh"])
    counter.add(["中"])
    check_runs(counter.finish().num_characters, ["zh"])


def test_weights_are_plain_whole_numbers() -> None:
    weights = weigh_documents(make(0.5), {("law", "a"): 10, ("law", "b"): 1000})
    assert all(type(weight) is int for weight in weights.values())
    assert np.iinfo(np.int32).max > max(weights.values())
