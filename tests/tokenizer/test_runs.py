"""Runs hold every character of the text that may stand in a piece, once each with its weight."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.learning.characters import Kind, make_kinds
from tokenizer.learning.runs import LONGEST_RUN, RunCounter, Runs

KINDS = make_kinds(punctuation=True)
BEYOND = chr(0x20000) + chr(0x2A6DF) + chr(0x30000)
texts_of_all_kinds = st.lists(st.text("你好，世界ab 。é😀" + BEYOND, max_size=300), max_size=12)


def read(runs: Runs) -> dict[str, int]:
    assert runs.codes[0] == 0
    spans = zip(runs.starts[:-1], runs.starts[1:], strict=True)
    found = ["".join(map(chr, runs.codes[begin : end - 1])) for begin, end in spans]
    assert len(set(found)) == len(found)
    assert not runs.codes[runs.starts - 1].any()
    return dict(zip(found, runs.weights.tolist(), strict=True))


def collect(texts: list[str], *, punctuation: bool = True) -> dict[str, int]:
    counter = RunCounter(make_kinds(punctuation=punctuation))
    for text in texts:
        assert counter.add([text]) == len(text)
    return read(counter.finish())


def split_text(text: str) -> list[str]:
    """The rule in plain words: maximal stretches, cut behind the last mark before the limit."""
    found: list[str] = []
    run = ""
    for character in text + "\n":
        if KINDS[ord(character)] == Kind.OTHER:
            found.append(run)
            run = ""
            continue
        run += character
        if len(run) == LONGEST_RUN:
            marks = [at for at, c in enumerate(run, 1) if KINDS[ord(c)] != Kind.HAN]
            cut = max(marks, default=LONGEST_RUN)
            found.append(run[:cut])
            run = run[cut:]
    return [run for run in found if run]


def test_runs_are_maximal_and_counted() -> None:
    texts = ["你好，世界 hello 你好。", "１２３你好\u3000世界ab", "“你好”…it’s"]
    assert collect(texts) == {
        "你好，世界": 1,
        "你好。": 1,
        "你好": 1,
        "世界": 1,
        "“你好”…": 1,
        "’": 1,
    }
    assert collect(texts, punctuation=False) == {"你好": 4, "世界": 2}


@settings(max_examples=80, deadline=None)
@given(texts_of_all_kinds, st.lists(st.integers(0, 5000), min_size=12, max_size=12))
def test_runs_equal_the_rule_in_plain_words(texts: list[str], numbers: list[int]) -> None:
    weights = numbers[: len(texts)]
    expected: Counter[str] = Counter()
    for text, weight in zip(texts, weights, strict=True):
        for run in split_text(text):
            expected[run] += weight
    counter = RunCounter(KINDS)
    read_size = counter.add_array(pa.array(texts, pa.string()), np.array(weights, np.int64))
    assert read_size == sum(len(t) for t, w in zip(texts, weights, strict=True) if w)
    assert read(counter.finish()) == +expected


def test_characters_of_every_plane_are_read() -> None:
    """All of Unicode but the surrogates, each between two Han characters."""
    codes = [code for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    text = "".join(f"天{chr(code)}地" for code in codes)
    kinds = np.zeros(0x110000, np.uint8)
    kinds[0x10000:] = Kind.HAN
    counter = RunCounter(kinds)
    counter.add([text])
    runs = counter.finish()
    assert runs.codes[runs.starts[:-1]].tolist() == list(range(0x10000, 0x110000))
    assert (runs.weights == 1).all()


@pytest.mark.parametrize("make", [pa.string(), pa.large_string(), pa.string_view()])
def test_arrow_arrays_of_every_kind(make: pa.DataType) -> None:
    texts = pa.array(["弃", "你好", None, "世界 你好", "", "弃"], make)
    counter = RunCounter(KINDS)
    counter.add_array(texts.slice(1, 4), 3)
    counter.add_array(pa.chunked_array([texts.slice(1, 2), texts.slice(3, 1)]))
    counter.add_array(texts.slice(0, 0))
    counter.add_array(pa.array([], make))
    counter.add_array(texts.slice(0, 1), 0)
    assert read(counter.finish()) == {"你好": 8, "世界": 4}


def test_weights_beyond_32_bits_add_up() -> None:
    counter = RunCounter(KINDS)
    for _ in range(3):
        counter.add(["你好"], weight=2**40)
    assert read(counter.finish()) == {"你好": 3 * 2**40}


def test_long_run_is_cut_behind_punctuation() -> None:
    text = "天" * 40 + "，" + "地" * 50
    assert collect([text]) == {"天" * 40 + "，": 1, "地" * 50: 1}


def test_ten_megabytes_without_a_break() -> None:
    runs = collect(["天地" * 1_700_000])
    assert runs == {"天地" * 32: 3_400_000 // 64}


def test_text_of_emoji_alone_has_no_runs() -> None:
    assert collect(["😀🎉👨‍👩‍👧" * 100, "", "\n", "😀"]) == {}


def test_runs_do_not_depend_on_how_texts_are_batched() -> None:
    texts = ["天地玄黄，宇宙洪荒。" * 50_000, "日月盈昃", "x", "辰宿列张" * 9] * 5
    one, many = RunCounter(KINDS), RunCounter(KINDS)
    one.add(texts)
    for text in texts:
        many.add([text])
    for a, b in zip(vars(one.finish()).values(), vars(many.finish()).values(), strict=True):
        assert np.array_equal(a, b)
