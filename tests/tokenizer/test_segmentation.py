"""The text that pieces are learned from stays segmented as sentencepiece would segment it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2 as schema

from tokenizer.learning.characters import make_kinds
from tokenizer.learning.merging import Merger
from tokenizer.learning.runs import LONGEST_RUN, RunCounter, Runs
from tokenizer.model import PieceType, parse_model

SHARED = Path(__file__).parents[3] / "shared" / "data"


def make_processor(
    texts: list[str], older: list[tuple[str, int]], learned: list[str]
) -> sentencepiece.SentencePieceProcessor:
    """A BPE model of the characters of some texts, older pieces by rank and learned ones."""
    model = schema.ModelProto()  # pyright: ignore[reportAttributeAccessIssue]
    model.trainer_spec.model_type = 2
    model.normalizer_spec.name = "identity"
    for flag in ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces"):
        setattr(model.normalizer_spec, flag, False)
    for text, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
        model.pieces.add(piece=text, score=0, type=kind)
    names = [text for text, _ in older] + learned
    for character in sorted({character for text in texts + names for character in text}):
        model.pieces.add(piece=character, score=-1e6, type=1)
    last = max((rank for _, rank in older), default=0)
    newer = [(text, last + 1 + number) for number, text in enumerate(learned)]
    for text, rank in [*older, *newer]:
        model.pieces.add(piece=text, score=-float(rank), type=1)
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model.SerializeToString())
    return processor


def read_runs(runs: Runs) -> list[str]:
    spans = zip(runs.starts[:-1], runs.starts[1:], strict=True)
    return ["".join(map(chr, runs.codes[begin : end - 1])) for begin, end in spans]


def make_merger(runs: Runs, older: list[tuple[str, int]], longest: int = 16) -> Merger:
    anchors = np.ones(len(runs.codes), np.uint8)
    return Merger(
        runs.codes, runs.weights, anchors, older,
        longest=longest, min_count=2, starts=runs.starts,
    )  # fmt: skip


def check(runs: Runs, older: list[tuple[str, int]], num_pieces: int) -> list[str]:
    """Compare before the first piece and behind the last; returns the pieces."""
    texts, merger = read_runs(runs), make_merger(runs, older)
    assert merger.split() == make_processor(texts, older, []).encode(texts, out_type=str)
    learned = [merge.text for merge in merger.learn(num_pieces)]
    processor = make_processor(texts, older, learned)
    assert merger.split() == processor.encode(texts, out_type=str)
    assert processor.encode(learned, out_type=str) == [[text] for text in learned]
    return learned


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text("天地玄黄，", min_size=1, max_size=30), min_size=1, max_size=12),
    st.dictionaries(st.text("天地玄黄，", min_size=2, max_size=5), st.integers(0, 3), max_size=6),
    st.sampled_from([4, 99]),
)
def test_small_texts_and_any_older_pieces(
    texts: list[str], older: dict[str, int], num_pieces: int
) -> None:
    counter = RunCounter(make_kinds(punctuation=True))
    counter.add(texts)
    check(counter.finish(), [*older.items()], num_pieces)


@pytest.mark.parametrize("path", ["llama2/tokenizer.model", "chinese-llama2-55296/tokenizer.model"])
def test_real_text_and_the_pieces_of_real_models(path: str) -> None:
    """One of them has hundreds of pieces that no text can produce; some wake up."""
    zstandard = pytest.importorskip("zstandard")
    model, source = SHARED / "tokenizers" / path, SHARED / "zh" / "zh_law.jsonl.zst"
    if not model.exists() or not source.exists():
        pytest.skip("needs the shared text and models")
    with source.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        text = io.TextIOWrapper(stream, encoding="utf-8").read(200_000)
    kinds = make_kinds(punctuation=True)
    counter = RunCounter(kinds)
    counter.add([text])
    older = [
        (piece.piece, int(-piece.score))
        for piece in parse_model(model).pieces
        if piece.type == PieceType.NORMAL
        and 2 <= len(piece.piece) <= LONGEST_RUN
        and all(kinds[ord(character)] for character in piece.piece)
    ]
    assert len(check(counter.finish(), older, 1500)) == 1500
