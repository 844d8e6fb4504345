"""Bad input of the vocabulary builder: each has a message that says what, where and what to do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenizer.learning.bases import check_base
from tokenizer.learning.characters import make_kinds
from tokenizer.learning.filter import Filter, find_twins
from tokenizer.learning.learn import Limits, Piece, learn_pieces
from tokenizer.learning.runs import RunCounter
from tokenizer.lint.proof import find_changes, find_unreachable
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, PieceType, load_model, parse_model
from tongwen.errors import TongwenError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"
KINDS = make_kinds(punctuation=True)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 499723\n"
VOCAB_TXT = b"[PAD]\n[unused1]\n[UNK]\n[CLS]\n[SEP]\n\xe4\xb8\xad\n##\xe6\x96\x87\n"


def learn(texts: list[str], base: ModelProto, size: int) -> list[Piece]:
    counter = RunCounter(KINDS)
    counter.add(texts)
    return learn_pieces(counter.finish(), base, KINDS, size, Limits())


def copy(model: ModelProto) -> ModelProto:
    other = type(model)()
    other.CopyFrom(model)
    return other


def shrink(base: ModelProto) -> ModelProto:
    model = copy(base)
    del model.pieces[700:]
    return model


def write_json(kind: str) -> bytes:
    return json.dumps({"version": "1.0", "model": {"type": kind, "vocab": {}}}).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (POINTER, "a Git LFS pointer"),
        (VOCAB_TXT, "a WordPiece vocab.txt"),
        (VOCAB_TXT.replace(b"[PAD]", b"[unused0]"), "a WordPiece vocab.txt"),
        (write_json("WordPiece"), "a tokenizer.json of Hugging Face, of kind WordPiece"),
        (write_json("BPE"), "of kind BPE"),
        (b'{"a": 1}', "but JSON"),
        (b"[" * 50_000, "but JSON"),
        (b"#version: 0.2\na b\n", "a merges.txt"),
        (b"IQ== 0\nIg== 1\n", "ranks of tiktoken"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x1f\x8b\x08rest", "compressed with gzip"),
        (b"\x80\x02}q\x00.", "a Python pickle"),
        (b"plain words\n", "something else"),
    ],
)
def test_what_is_no_model_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data)
    with pytest.raises(TongwenError) as error:
        load_model(path)
    assert words in str(error.value) and str(path) in str(error.value)


def test_a_unigram_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("你好世界\n世界人民\n" * 50, encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "uni"), vocab_size=12, minloglevel=2
    )
    with pytest.raises(TongwenError, match=r"is a unigram model .* not a BPE one"):
        load_model(tmp_path / "uni.model")


def test_a_folder_is_refused_with_the_file_in_it(tmp_path: Path, base_path: Path) -> None:
    with pytest.raises(TongwenError, match=r"is a folder.*\n.*\n.*\n.*name the tokenizer.model in"):
        load_model(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(base_path.read_bytes())
    with pytest.raises(TongwenError) as error:
        load_model(tmp_path)
    assert error.value.do == f"name {tmp_path / 'tokenizer.model'}"


def test_weights_are_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(13_000_000_000)
    with pytest.raises(TongwenError, match=r"has 13,000 MB, no tokenizer is so large"):
        load_model(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_model_is_damaged(tmp_path: Path, base_path: Path, share: float) -> None:
    data = base_path.read_bytes()
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(TongwenError, match=r"is damaged: it is cut off"):
        load_model(path)


@pytest.fixture(scope="module")
def written(base: ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("changed") / "tokenizer.model"
    path.write_bytes(shrink(base).SerializeToString(deterministic=True))
    return path


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    place=st.integers(0, 1 << 20),
    change=st.one_of(st.integers(1, 40), st.binary(min_size=1, max_size=4)),
)
def test_a_changed_model_is_refused_or_loads(
    written: Path, place: int, change: int | bytes
) -> None:
    """Nothing but a TongwenError comes out, and what is accepted can be used."""
    data = written.read_bytes()
    place %= len(data)
    lost, put = (change, b"") if isinstance(change, int) else (len(change), change)
    path = written.with_name("changed.model")
    path.write_bytes(data[:place] + put + data[place + lost :])
    try:
        model = load_model(path)
        check_base(model, path, 10)
    except TongwenError:
        return
    extended = append_pieces(model, ["中国中国", "，。，。"])
    sentencepiece.SentencePieceProcessor(model_proto=extended.SerializeToString()).encode("中国")


def test_a_piece_that_is_there_twice_is_damaged(tmp_path: Path, base: ModelProto) -> None:
    model = copy(base)
    model.pieces.add(piece="the", score=-1.0, type=1)
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(TongwenError, match=r"SentencePiece does not load it \(the is already"):
        load_model(path)
    assert len(parse_model(path).pieces) == len(model.pieces), "lint can still look at it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: setattr(model.pieces[500], "score", float("nan")), "is nan"),
        (lambda model: setattr(model.pieces[500], "score", float("-inf")), "is -inf"),
        (lambda model: setattr(model.pieces[500], "score", -16_777_200.0), "not exact"),
        (lambda model: setattr(model.trainer_spec, "bos_id", -1), "no bos piece"),
        (lambda model: setattr(model.trainer_spec, "eos_id", 500), "no eos piece"),
        (lambda model: model.pieces.add(piece="中文", score=0.0, type=4), "user-defined"),
    ],
)
def test_a_base_whose_order_cannot_be_kept_is_refused(
    base: ModelProto, change: Callable[[ModelProto], object], words: str
) -> None:
    model = shrink(base)
    assert check_base(model, Path("base.model"), 1000) == []
    change(model)
    with pytest.raises(TongwenError) as error:
        check_base(model, Path("base.model"), 1000)
    assert words in str(error.value) and "tokenizer.base" in str(error.value)


def extend_badly(base: ModelProto) -> ModelProto:
    """As the published scripts do it: every piece with the score 0, one of them dead."""
    model = copy(base)
    texts = [a + b for a in "中人民国大学生" for b in "上下来去有是不在我他这"] + ["意大利"]
    for text in texts:
        model.pieces.add(piece=text, score=0.0, type=1)
    for text in ("生产率", "有限公司"):
        model.pieces.add(piece=text, score=-7.25, type=1)
    return model


def test_an_extended_base_is_allowed_and_described(base: ModelProto) -> None:
    model = extend_badly(base)
    remarks = check_base(model, Path("base.model"), 1000)
    assert len(remarks) == 3
    assert "2 scores are not whole" in remarks[0]
    assert "80 pieces share their score with others (78 have 0)" in remarks[1]
    assert "3 of its pieces cannot be produced" in remarks[2] and "意大利" in remarks[2]


def test_an_extended_base_keeps_its_encoding_and_its_new_pieces_live(base: ModelProto) -> None:
    model = extend_badly(base)
    rng = random.Random(3)
    texts = [
        "".join(rng.choices("中人民国大学生上下来去有是不在我他这意利", k=60)) for _ in range(200)
    ]
    pieces = learn(texts, model, 400)
    extended = append_pieces(model, [piece.text for piece in pieces])
    assert find_unreachable(extended, len(model.pieces)) == []
    assert find_changes(model, extended, ["the quick brown fox", "x  y\n"]) == []
    for old, new in zip(model.pieces, extended.pieces, strict=False):
        assert old == new


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published tokenizers are not here")
@pytest.mark.parametrize(
    ("file", "remarks"),
    [
        ("llama2/tokenizer.model", []),
        ("mistral-v1/tokenizer.model.v1", []),
        ("chinese-llama2-55296/tokenizer.model", ["(23,296 have 0)", "15,386", "658 of its"]),
        ("baichuan-7b/tokenizer.model", ["(391 have 0)", "7,265", "350 of its"]),
        ("chatglm2/tokenizer.model", ["22,455", "1 of its"]),
        ("internlm-7b/V7_sft.model", ["share their score", "24,964", "41 of its"]),
    ],
)
def test_published_models_can_be_continued(file: str, remarks: list[str]) -> None:
    path = SHARED / file
    base = load_model(path)
    found = check_base(base, path, 30_000)
    assert len(found) == len(remarks)
    assert all(words in line for words, line in zip(remarks, found, strict=True)), found
    rng = random.Random(4)
    words = ["鼴鼠", "机器学习", "意大利", "，但是", "龘龘", "越来越", "维生素", "。”"]
    texts = ["".join(rng.choices(words, k=30)) for _ in range(200)]
    pieces = learn(texts, base, 60)
    extended = append_pieces(base, [piece.text for piece in pieces])
    assert find_unreachable(extended, len(base.pieces)) == []
    assert find_changes(base, extended, ["The quick brown fox", "a  b\n\tc", "été"]) == []


def test_a_size_below_the_base_is_refused(make_recipe, build, tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match=r"has 32,000 pieces") as error:
        build(make_recipe(tmp_path / "run", size=32_000), "tokenizer/vocabulary")
    assert "tokenizer.size = 32000" in str(error.value)


def test_a_size_above_the_corpus_says_how_far_it_gets(base: ModelProto) -> None:
    text = "".join(random.Random(5).choices("中华人民共和国", k=2000))
    with pytest.raises(TongwenError, match=r"the corpus supports 5,\d\d\d") as error:
        learn([text], base, 20_000)
    size = int(error.value.expected.rsplit(" ", 1)[1]) - len(base.pieces)
    assert len(learn([text], base, size)) == size
    with pytest.raises(TongwenError):
        learn([text], base, size + 1)


def test_no_learned_piece_holds_a_control_character(base: ModelProto) -> None:
    odd = "\x00\x07\u200b\ufeff\u2028\ue000\ufffd\u3000\U000e0100"
    rng = random.Random(6)
    texts = ["".join(rng.choices("中华人民，。" + odd, k=100)) for _ in range(200)]
    pieces = learn(texts, base, 50)
    assert [piece.text for piece in pieces if Filter().judge(piece.text)] == []


def test_of_two_learned_spellings_one_can_be_taken_out(base: ModelProto) -> None:
    twins = "\u6a02\uf914"  # the same character, and its compatibility ideograph
    texts = [f"快{twin}的" for twin in twins for _ in range(50)]
    counts = {piece.text: piece.count for piece in learn(texts, base, 20)}
    lost = {row.piece for row in find_twins(counts, {piece.piece for piece in base.pieces})}
    assert lost and all("\uf914" in text for text in lost)
    assert {text for text in counts if "\uf914" in text} == lost


@pytest.mark.parametrize(
    ("text", "distinct"),
    [("中" * 3_400_000, 2), ("".join(random.Random(7).choices("中华人民共", k=3_400_000)), 60_000)],
)
def test_ten_megabytes_without_a_break_are_learned_from(
    base: ModelProto, text: str, distinct: int
) -> None:
    counter = RunCounter(KINDS)
    counter.add([text])
    runs = counter.finish()
    assert runs.num_characters == len(text) and len(runs.weights) <= distinct
    pieces = learn_pieces(runs, base, KINDS, 20, Limits())
    extended = append_pieces(base, [piece.text for piece in pieces])
    assert find_unreachable(extended, len(base.pieces)) == []


def test_characters_outside_the_vocabulary_become_pieces_or_stay_bytes(base: ModelProto) -> None:
    rare = [chr(code) for code in range(0x20000, 0x20040)]
    pieces = learn(["".join(rare) * 20], base, 64)
    assert [piece.text for piece in pieces] == sorted(rare)
    extended = append_pieces(base, [piece.text for piece in pieces])
    processor = sentencepiece.SentencePieceProcessor(model_proto=extended.SerializeToString())
    text = "".join(rare) + "🙂\U00030000"
    assert processor.decode(processor.encode(text)) == text
    assert find_unreachable(extended) == []


def test_kinds_of_pieces_that_no_text_meets_stay_out_of_the_scores(base: ModelProto) -> None:
    """Byte and control pieces have the score 0, which is not an order."""
    scores = np.array([p.score for p in base.pieces if p.type == PieceType.BYTE])
    assert (scores == 0).all() and check_base(base, Path("base.model"), 1) == []
