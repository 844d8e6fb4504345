"""The compiled learner equals byte-pair encoding written down in the plainest way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokenizer.learning import counting
from tokenizer.learning.merging import Merger

LETTERS = "abc-"
runs_of_text = st.dictionaries(
    st.text(LETTERS, min_size=1, max_size=14), st.integers(1, 5), min_size=1, max_size=20
)
older_pieces = st.dictionaries(
    st.text(LETTERS, min_size=2, max_size=4), st.integers(0, 2), max_size=4
)
Merged = tuple[str, str, int]


def segment(text: str, ranks: dict[str, int]) -> list[str]:
    """SentencePiece's rule: of all neighbours that make a piece, the best score, the leftmost."""
    parts = list(text)
    while True:
        found = [
            (ranks[joined], at)
            for at in range(len(parts) - 1)
            if (joined := parts[at] + parts[at + 1]) in ranks
        ]
        if not found:
            return parts
        at = min(found)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def count_pairs(
    runs: dict[str, int], ranks: dict[str, int], longest: int
) -> dict[str, tuple[str, str, int]]:
    """Every text that stands as two neighbours: its halves and its count."""
    counts: Counter[str] = Counter()
    halves: dict[str, tuple[str, str]] = {}
    for text, weight in runs.items():
        for left, right in pairwise(segment(text, ranks)):
            joined = left + right
            assert halves.setdefault(joined, (left, right)) == (left, right)
            if len(joined) <= longest and joined.strip("-"):
                counts[joined] += weight
    return {text: (*halves[text], count) for text, count in counts.items()}


def learn(
    runs: dict[str, int], older: dict[str, int], longest: int, min_count: int, num_pieces: int
) -> tuple[list[Merged], dict[str, int]]:
    """Merges, and the rank of every piece in the end."""
    ranks, found = dict(older), []
    start = max(older.values(), default=-1) + 1
    characters = {character for text in [*runs, *older] for character in text}
    order = [*sorted(characters), *sorted(older, key=lambda text: (older[text], text))]
    ids = {text: number for number, text in enumerate(order)}
    while len(found) < num_pieces:
        pairs = count_pairs(runs, ranks, longest).values()
        best = min(pairs, key=lambda p: (-p[2], ids[p[0]], ids[p[1]]), default=("", "", 0))
        if best[2] < min_count:
            break
        text = best[0] + best[1]
        ranks[text], ids[text] = start + len(found), len(ids)
        found.append(best)
    return found, ranks


def make_merger(
    runs: dict[str, int], older: dict[str, int], longest: int = 8, min_count: int = 1
) -> Merger:
    codes, weights = [0], [0]
    for text, weight in runs.items():
        codes += [*map(ord, text), 0]
        weights += [weight] * (len(text) + 1)
    array = np.array(codes, np.int32)
    return Merger(
        array,
        np.array(weights, np.int64),
        ((array != 0) & (array != ord("-"))).astype(np.uint8),
        list(older.items()),
        longest=longest,
        min_count=min_count,
    )


def list_merges(merger: Merger, num_pieces: int) -> list[Merged]:
    return [(merge.left, merge.right, merge.count) for merge in merger.learn(num_pieces)]


@settings(max_examples=200, deadline=None)
@given(runs_of_text, older_pieces, st.integers(2, 8), st.integers(1, 4), st.sampled_from([3, 999]))
@example({"abcab": 3, "xabc": 1, "cabc": 2}, {"abc": 0, "ca": 1}, 8, 1, 999)
def test_learner_equals_brute_force(
    runs: dict[str, int], older: dict[str, int], longest: int, min_count: int, num_pieces: int
) -> None:
    merger = make_merger(runs, older, longest, min_count)
    expected, ranks = learn(runs, older, longest, min_count, num_pieces)
    assert list_merges(merger, num_pieces) == expected
    assert merger.split() == [segment(text, ranks) for text in runs]
    for left, right, _ in expected:
        assert segment(left + right, ranks) == [left + right]


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=12), st.just(1), min_size=1, max_size=6),
    st.dictionaries(st.text("ab", min_size=3, max_size=6), st.integers(0, 1), min_size=1),
)
def test_sleeping_pieces_wake_as_sentencepiece_would(
    runs: dict[str, int], older: dict[str, int]
) -> None:
    """Pieces of three and more characters without their parts, of few letters and ranks."""
    merger = make_merger(runs, older, 12)
    expected, ranks = learn(runs, older, 12, 1, 999)
    assert list_merges(merger, 999) == expected
    assert merger.split() == [segment(text, ranks) for text in runs]


@pytest.mark.parametrize(
    ("run", "older", "new", "expected"),
    [
        ("xabcx", {"abc": 0}, "ab", ["x", "abc", "x"]),
        ("abab", {"aba": 0}, "ab", ["aba", "b"]),
        ("cabd", {"cab": 0, "abd": 0}, "ab", ["cab", "d"]),
        ("cabd", {"cab": 1, "abd": 0}, "ab", ["c", "abd"]),
        ("ecabd", {"ecab": 2, "cab": 1, "abd": 2}, "ab", ["ecab", "d"]),
        ("cababd", {"cab": 0, "cababd": 1, "abd": 0}, "ab", ["cababd"]),
    ],
)
def test_planted_sleepers_wake(
    run: str, older: dict[str, int], new: str, expected: list[str]
) -> None:
    merger = make_merger({run: 1, new: 9}, older)
    assert [merge.text for merge in merger.learn(1)] == [new]
    assert merger.split() == [expected, [new]]


@pytest.mark.parametrize(
    ("run", "older", "expected"),
    [
        ("abc", {"ab": 0, "bc": 0}, ["ab", "c"]),
        ("abc", {"ab": 1, "bc": 0}, ["a", "bc"]),
        ("aaaaa", {"aa": 0}, ["aa", "aa", "a"]),
        ("abcabc", {"bc": 0, "ca": 0, "ab": 0}, ["ab", "ca", "bc"]),
        ("dabcd", {"da": 1, "bc": 1, "dabc": 0, "cd": 1, "abc": 1}, ["dabc", "d"]),
    ],
)
def test_of_equal_older_pieces_the_leftmost_is_merged(
    run: str, older: dict[str, int], expected: list[str]
) -> None:
    assert make_merger({run: 1}, older).split() == [expected] == [segment(run, older)]


def make_lines(num: int, length: int, letters: str = "甲乙丙丁") -> dict[str, int]:
    rng = np.random.default_rng(3)
    shares = np.arange(1, len(letters) + 1) / np.arange(1, len(letters) + 1).sum()
    return {
        "".join(rng.choice(list(letters), length, p=shares)): int(rng.integers(1, 5))
        for _ in range(num)
    }


def test_learner_does_not_depend_on_the_order_of_runs() -> None:
    runs = make_lines(60, 12)
    backwards = dict(reversed(runs.items()))
    one = list_merges(make_merger(runs, {}, 6, 2), 100)
    assert one == list_merges(make_merger(backwards, {}, 6, 2), 100)
    assert len(one) > 20


@pytest.mark.parametrize(("slots", "share", "spare"), [(64, 1, 0), (1 << 20, 1000, 0), (256, 2, 9)])
def test_room_and_floor_change_nothing(
    monkeypatch: pytest.MonkeyPatch, slots: int, share: int, spare: int
) -> None:
    """Counting in parts, listing again and again with lower floors, dropping what is dead."""
    runs = make_lines(300, 14, "甲乙丙丁戊己庚辛壬癸")
    expected = list_merges(make_merger(runs, {}, 6, 2), 400)
    calls: Counter[str] = Counter()
    for name in ("_list_pairs", "_make_room"):
        plain = getattr(Merger, name)

        def spy(*arguments: object, name: str = name, plain: Callable = plain) -> None:
            calls[name] += 1
            plain(*arguments)

        monkeypatch.setattr(Merger, name, spy)
    monkeypatch.setattr(counting, "_MOST_SLOTS", slots)
    monkeypatch.setattr(counting, "_SHARE", share)
    monkeypatch.setattr(counting, "_SPARE", spare)
    merger = make_merger(runs, {}, 6, 2)
    assert [merge for _ in range(10) for merge in list_merges(merger, 40)] == expected
    assert calls["_make_room"] > 0
    assert calls["_list_pairs"] > (1 if share < 10 else 0)
    reference, _ = learn(runs, {}, 6, 2, 60)
    assert expected[:60] == reference


def test_heavy_weights_are_counted_exactly() -> None:
    runs = make_lines(40, 10)
    light = list_merges(make_merger(runs, {}, 6, 2), 50)
    heavy = {text: weight * 2**33 + (weight == 1) for text, weight in runs.items()}
    assert list_merges(make_merger(heavy, {}, 6, 2), 50) == learn(heavy, {}, 6, 2, 50)[0]
    mixed = {text: weight * (2**20) for text, weight in runs.items()}
    scaled = [(left, right, count * 2**20) for left, right, count in light]
    assert list_merges(make_merger(mixed, {}, 6, 2), 50) == scaled


def test_weights_by_run_equal_weights_by_position() -> None:
    runs = make_lines(40, 10)
    codes = np.array([0, *(ord(c) for text in runs for c in text + "\0")], np.int32)
    starts = np.arange(1, len(codes) + 1, 11)
    anchors = (codes != 0).astype(np.uint8)
    weights = np.array([*runs.values()], np.int64)
    merger = Merger(codes, weights, anchors, [], longest=6, min_count=2, starts=starts)
    assert list_merges(merger, 50) == list_merges(make_merger(runs, {}, 6, 2), 50)


def test_learning_goes_on_where_it_stopped_and_says_when_it_is_exhausted() -> None:
    runs = make_lines(60, 12)
    whole, parts = make_merger(runs, {}, 6, 2), make_merger(runs, {}, 6, 2)
    expected = list_merges(whole, 10_000)
    assert whole.exhausted and not list_merges(whole, 1)
    found = list_merges(parts, 5) + list_merges(parts, 70)
    assert not parts.exhausted
    assert found + list_merges(parts, 10_000) == expected
    assert parts.split() == whole.split()


def test_runs_without_pairs_support_nothing() -> None:
    merger = make_merger({"a": 3, "-": 2}, {})
    assert list_merges(merger, 5) == [] and merger.exhausted
    empty = Merger(
        np.zeros(1, np.int32),
        np.zeros(1, np.int64),
        np.zeros(1, np.uint8),
        [],
        longest=4,
        min_count=1,
    )
    assert list_merges(empty, 5) == [] and empty.exhausted and empty.split() == []


def test_uses_are_the_weighted_tokens_of_the_text() -> None:
    runs = make_lines(60, 12)
    merger = make_merger(runs, {"甲乙": 0, "弃弃": 1}, 6, 2)
    learned = [merge.text for merge in merger.learn(30)]
    expected: Counter[str] = Counter()
    for parts, weight in zip(merger.split(), runs.values(), strict=True):
        for part in parts:
            expected[part] += weight
    uses = merger.count_uses()
    assert +Counter(uses) == expected
    assert uses["弃弃"] == 0 and {*learned} <= {*uses}


def test_pairs_just_below_the_floor_are_listed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_SHARE", 1)
    merger = make_merger({"ab": 3, "ca": 2, "bc": 1}, {}, 6, 2)
    assert list_merges(merger, 1) == [("a", "b", 3)]
    assert list_merges(merger, 9) == [("c", "a", 2)]
    assert merger.exhausted
