"""Without older pieces the learner's merges are those of Hugging Face's BpeTrainer."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.learning.characters import make_kinds
from tokenizer.learning.merging import Merger
from tokenizer.learning.runs import RunCounter, Runs

SHARED = Path(__file__).parents[3] / "shared" / "data"
LETTERS = "天地玄黄ab" + chr(0x20000)


def learn_hf(
    texts: list[str], num_pieces: int, min_count: int, longest: int | None
) -> list[tuple[str, str]]:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=len(set("".join(texts))) + num_pieces,
        min_frequency=min_count,
        max_token_length=longest,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def learn_ours(runs: Runs, num_pieces: int, min_count: int, longest: int) -> list[tuple[str, str]]:
    anchors = np.ones(len(runs.codes), np.uint8)
    merger = Merger(
        runs.codes, runs.weights, anchors, [],
        longest=longest, min_count=min_count, starts=runs.starts,
    )  # fmt: skip
    return [(merge.left, merge.right) for merge in merger.learn(num_pieces)]


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.text(LETTERS, min_size=1, max_size=24), st.integers(1, 4), min_size=1, max_size=20
    ),
    st.integers(1, 4),
    st.sampled_from([None, 2, 3, 4, 7]),
    st.sampled_from([5, 999]),
)
def test_merges_equal_those_of_hf(
    words: dict[str, int], min_count: int, longest: int | None, num_pieces: int
) -> None:
    kinds = np.zeros(0x110000, np.uint8)
    kinds[[ord(letter) for letter in LETTERS]] = 3
    counter = RunCounter(kinds)
    texts = [word for word, weight in words.items() for _ in range(weight)]
    counter.add(texts)
    expected = learn_hf(texts, num_pieces, min_count, longest)
    most = 255 if longest is None else max(longest - 1, 2)
    assert learn_ours(counter.finish(), num_pieces, min_count, most) == expected


def read_real(name: str, size: int) -> Runs:
    zstandard = pytest.importorskip("zstandard")
    path = SHARED / "zh" / name
    if not path.exists():
        pytest.skip(f"needs the real text {name}")
    with path.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        text = io.TextIOWrapper(stream, encoding="utf-8").read(size)
    counter = RunCounter(make_kinds(punctuation=True))
    counter.add([text])
    return counter.finish()


@pytest.mark.parametrize("name", ["zh_law.jsonl.zst", "zh_literature_pd.jsonl.zst"])
def test_merges_of_real_text_equal_those_of_hf(name: str) -> None:
    runs = read_real(name, 400_000)
    texts: list[str] = []
    for begin, end, weight in zip(runs.starts[:-1], runs.starts[1:], runs.weights, strict=True):
        texts += ["".join(map(chr, runs.codes[begin : end - 1]))] * int(weight)
    expected = learn_hf(texts, 6000, 2, None)
    assert len(expected) == 6000
    assert learn_ours(runs, 6000, 2, 255) == expected
