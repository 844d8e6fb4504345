"""Edits are as strong as they say, and brute force, the audit's oracle, misses no pair."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus import jaccard, split_shingles
from corpus.audit import exhaustive
from corpus.audit.edits import EDITS, UNCHANGED, Edit
from corpus.audit.variants import SIMPLIFIED, TRADITIONAL, choose_partners
from corpus.hashing.shingles import split_tokens
from tongwen.errors import TongwenError

HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)


def make_text(source: random.Random, language: str, length: int = 300) -> str:
    """Sentences of ten tokens that no other text has."""
    if language == "zh":
        tokens = [source.choice(HAN) for _ in range(length)]
    else:
        tokens = ["".join(source.choices("abcdefghij", k=6)) for _ in range(length)]
    glue, stop = ("", "。") if language == "zh" else (" ", ". ")
    rows = [glue.join(tokens[start : start + 10]) for start in range(0, length, 10)]
    return stop.join(rows)


def find_edits(perturbation: str) -> list[Edit]:
    return [edit for edit in EDITS if edit.perturbation == perturbation]


def test_partners_are_aligned_and_of_one_script_each() -> None:
    assert len(SIMPLIFIED) == len(TRADITIONAL) > 700
    assert len(set(SIMPLIFIED + TRADITIONAL)) == len(SIMPLIFIED) + len(TRADITIONAL)
    assert SIMPLIFIED.encode("gb2312") and TRADITIONAL.encode("big5")
    for letter in TRADITIONAL:
        with pytest.raises(UnicodeEncodeError):
            letter.encode("gb2312")
    assert "".join(map(choose_partners("汉语学会").get, "汉语学会")) == "漢語學會"  # pyright: ignore
    assert choose_partners("漢語學會")["學"] == "学"


@settings(max_examples=150, deadline=None)
@given(_TEXT, st.integers(0, 99))
@example("ıs ſo, İßς K\u00b5 ﬁ（。）　 A_b", 1)
def test_form_changes_leave_every_token_as_it_is(text: str, seed: int) -> None:
    for edit in EDITS:
        if edit.perturbation in UNCHANGED:
            edited = edit.apply(text, "other", random.Random(seed))
            assert split_tokens(edited) == split_tokens(text)


@settings(max_examples=100, deadline=None)
@given(_TEXT, _TEXT, st.integers(0, 99))
def test_edits_hold_any_text_and_follow_from_the_seed(text: str, other: str, seed: int) -> None:
    for edit in EDITS:
        edited = edit.apply(text, other, random.Random(seed))
        assert edited == edit.apply(text, other, random.Random(seed))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("perturbation", "expect"),
    [
        ("scattered", lambda s: (1 - 5 * s) / (1 + 5 * s)),
        ("block", lambda s: (1 - s) / (1 + s)),
        ("truncation", lambda s: 1 - s),
        ("concatenation", lambda s: 1 / (1 + s)),
    ],
)
def test_edits_are_as_strong_as_they_say(
    language: str, perturbation: str, expect: Callable[[float], float]
) -> None:
    source = random.Random(3)
    text, other = (make_text(source, language, 1000) for _ in range(2))
    for edit in find_edits(perturbation):
        edited = edit.apply(text, other, random.Random(4))
        assert jaccard(text, edited) == pytest.approx(expect(edit.strength), abs=0.03)


def test_reordering_keeps_the_words_and_stronger_edits_change_more() -> None:
    text = make_text(random.Random(5), "en", 1000) + ". "
    edited = [edit.apply(text, text, random.Random(6)) for edit in find_edits("reordering")]
    assert all(sorted(each.split()) == sorted(text.split()) for each in edited)
    values = [jaccard(text, each) for each in edited]
    assert 1 > values[0] > values[1] > values[2]


def test_converted_script_is_another_text_and_converts_back() -> None:
    text = "".join(random.Random(7).choices(SIMPLIFIED + "的一是不在有人", k=500))
    part, whole = find_edits("script")[-2:]
    assert 0.3 < jaccard(text, part.apply(text, "", random.Random(8))) < 0.5
    converted = whole.apply(text, "", random.Random(8))
    assert not set(converted) & set(SIMPLIFIED) and jaccard(text, converted) < 0.1
    assert whole.apply(converted, "", random.Random(9)) == text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet="甲乙丙丁", max_size=14), max_size=12),
    st.sampled_from([0.1, 0.3, 0.5, 2 / 3, 0.8, 1.0]),
)
def test_exhaustive_search_finds_every_pair_and_only_those(texts: list[str], floor: float) -> None:
    sets = [set(split_shingles(text, 3)) for text in texts]
    expected = {
        (a, b): jaccard(texts[a], texts[b], 3)
        for a, b in combinations(range(len(texts)), 2)
        if sets[a] and sets[b] and jaccard(texts[a], texts[b], 3) >= floor
    }
    collected = exhaustive.collect_sets(pa.array(texts, pa.string()), 3)
    pairs, values = exhaustive.find_similar(collected, floor)
    found = zip(map(tuple, pairs.tolist()), values.tolist(), strict=True)
    assert dict(found) == expected and len(pairs) == len(expected)
    assert exhaustive.measure_pairs(collected, pairs).tolist() == values.tolist()


def test_exhaustive_search_goes_on_when_its_room_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["一二三四五六七八", "甲乙丙丁戊己庚辛"] * 20
    sets = exhaustive.collect_sets(pa.array(texts), 5)
    whole = exhaustive.find_similar(sets, 0.5)
    monkeypatch.setattr(exhaustive, "_ROOM", 1)
    parted = exhaustive.find_similar(sets, 0.5)
    assert len(whole[0]) == 2 * 20 * 19 // 2
    assert np.array_equal(whole[0], parted[0]) and np.array_equal(whole[1], parted[1])


def test_too_many_similar_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhaustive, "MAX_PAIRS", 10)
    sets = exhaustive.collect_sets(pa.array(["一二三四五六七八"] * 6), 5)
    with pytest.raises(TongwenError, match=r"corpus\.audit\.documents"):
        exhaustive.find_similar(sets, 0.5)
