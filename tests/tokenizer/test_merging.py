"""The compiled learner equals byte-pair encoding written down in the plainest way."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.learning.characters import Kind, make_kinds
from tokenizer.learning.merging import Merger
from tokenizer.learning.runs import LONGEST_RUN, RunCounter

LETTERS = "abc-"
runs_of_text = st.dictionaries(
    st.text(LETTERS, min_size=1, max_size=14), st.integers(1, 5), min_size=1, max_size=20
)
older_pieces = st.dictionaries(
    st.text(LETTERS, min_size=2, max_size=4), st.integers(0, 2), max_size=4
)


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


def count_pairs(runs: dict[str, int], ranks: dict[str, int], longest: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text, weight in runs.items():
        parts = segment(text, ranks)
        for left, right in pairwise(parts):
            joined = left + right
            if len(joined) <= longest and joined.strip("-"):
                counts[joined] += weight
    return counts


def learn(
    runs: dict[str, int], older: dict[str, int], longest: int, min_count: int, num_pieces: int
) -> tuple[list[tuple[str, int]], list[list[str]]]:
    ranks, found = dict(older), []
    start = max(older.values(), default=-1) + 1
    while len(found) < num_pieces:
        counts = count_pairs(runs, ranks, longest)
        best = min(counts, key=lambda text: (-counts[text], text), default="")
        if counts[best] < min_count:
            break
        ranks[best] = start + len(found)
        found.append((best, counts[best]))
    return found, [segment(text, ranks) for text in runs]


def make_merger(
    runs: dict[str, int], older: dict[str, int], longest: int, min_count: int
) -> Merger:
    codes, weights = [0], [0]
    for text, weight in runs.items():
        codes += [*map(ord, text), 0]
        weights += [weight] * (len(text) + 1)
    array = np.array(codes, np.int32)
    return Merger(
        array,
        np.array(weights, np.int32),
        ((array != 0) & (array != ord("-"))).astype(np.uint8),
        list(older.items()),
        longest=longest,
        min_count=min_count,
    )


@settings(max_examples=80, deadline=None)
@given(runs_of_text, older_pieces, st.integers(2, 8), st.integers(1, 4), st.sampled_from([3, 999]))
def test_learner_equals_brute_force(
    runs: dict[str, int], older: dict[str, int], longest: int, min_count: int, num_pieces: int
) -> None:
    merger = make_merger(runs, older, longest, min_count)
    found = [(merge.text, merge.count) for merge in merger.learn(num_pieces)]
    expected, segmented = learn(runs, older, longest, min_count, num_pieces)
    assert found == expected
    assert merger.split() == segmented


def test_learner_does_not_depend_on_the_order_of_runs() -> None:
    rng = np.random.default_rng(3)
    lines = ["".join(rng.choice(list("甲乙丙丁"), 12)) for _ in range(60)]
    runs = dict.fromkeys(lines, 1)
    backwards = dict(reversed(runs.items()))
    one = list(make_merger(runs, {}, 6, 2).learn(100))
    assert one == list(make_merger(backwards, {}, 6, 2).learn(100))
    assert len(one) > 20


def collect(texts: list[str], *, punctuation: bool = True) -> dict[str, int]:
    counter = RunCounter(make_kinds(punctuation=punctuation))
    for text in texts:
        counter.add([text])
    runs = counter.finish()
    assert runs.codes[0] == 0
    spans = zip(runs.starts[:-1], runs.starts[1:], strict=True)
    found = ["".join(map(chr, runs.codes[begin : end - 1])) for begin, end in spans]
    assert len(set(found)) == len(found)
    return dict(zip(found, runs.weights.tolist(), strict=True))


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


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("你好，世界ab 。", max_size=300), max_size=12))
def test_runs_hold_every_character_of_the_text(texts: list[str]) -> None:
    kinds = make_kinds(punctuation=True)
    expected = Counter(c for text in texts for c in text if kinds[ord(c)] != Kind.OTHER)
    found: Counter[str] = Counter()
    for run, weight in collect(texts).items():
        assert len(run) <= LONGEST_RUN
        for character in run:
            found[character] += weight
    assert found == expected


def test_long_run_is_cut_behind_punctuation() -> None:
    text = "天" * 40 + "，" + "地" * 50
    assert collect([text]) == {"天" * 40 + "，": 1, "地" * 50: 1}
