"""Every kind of model is encoded exactly or refused by name."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sentencepiece
import zstandard

from tests.tokenizer.encoder_models import add_pieces, load_oracle, make_model
from tokenizer import Encoder
from tokenizer.model import ModelProto, PieceType, parse_model
from tongwen.errors import TongwenError

SHARED = Path(__file__).parents[3] / "shared" / "data"
MODELS = (
    *("llama2/tokenizer.model", "mistral-v1/tokenizer.model.v1", "baichuan-7b/tokenizer.model"),
    *("chinese-llama2-55296/tokenizer.model", "chatglm2/tokenizer.model"),
    "internlm-7b/V7_sft.model",
)
LINES = ("the cat  sat", " ", "", "a b ", "the<x>the", "<x><xy>", "ＡＢＣ　ｄ", "ﬁ①", "\ufffd\0▁▁a")
PIECES = [
    *[(letter, -9.0) for letter in "▁theca sbd<xyz>ABC"],
    *[("th", -1.0), ("▁the", -2.0), ("the", -3.0), ("▁t", -4.0), ("he", -5.0), ("▁▁", -6.0)],
]


def train(**options: Any) -> ModelProto:
    """A model that SentencePiece trains."""
    file = io.BytesIO()
    sentences = iter([f"the cat {word} sat on ＡＢＣ ﬁ" for word in ["one", "two", "three"]] * 9)
    sentencepiece.SentencePieceTrainer.train(
        **{
            "sentence_iterator": sentences,
            "model_writer": file,
            "vocab_size": 330,
            "model_type": "bpe",
            "byte_fallback": True,
            "hard_vocab_limit": False,
            "minloglevel": 2,
            **options,
        }
    )
    model = type(make_model([]))()
    model.ParseFromString(file.getvalue())
    return model


def assert_same(model: ModelProto) -> None:
    encoder, oracle = Encoder.from_model(model), load_oracle(model)
    texts = list(LINES)
    ids, offsets = encoder.encode(texts)
    expected = oracle.encode(texts)
    assert [ids[start:stop].tolist() for start, stop in pairwise(offsets)] == expected
    assert encoder.decode_batch(ids, offsets) == oracle.decode(expected)
    assert [encoder.split(text) for text in texts] == oracle.encode(texts, out_type=str)
    column = pa.array(["left out", *texts])[1:]
    assert encoder.encode(column)[0].tolist() == ids.tolist()
    every = list(range(encoder.size))
    assert encoder.decode(every) == oracle.decode(every)
    assert encoder.decode(every[::-1]) == oracle.decode(every[::-1])


@pytest.mark.parametrize(
    "options",
    [
        {"normalization_rule_name": "nmt_nfkc"},
        {"normalization_rule_name": "nmt_nfkc", "user_defined_symbols": ["ＡＢ", "<x>", "<xy>"]},
        {"normalization_rule_name": "identity", "remove_extra_whitespaces": True},
        {"treat_whitespace_as_suffix": True},
        {"add_dummy_prefix": False},
        {"byte_fallback": False, "vocab_size": 60},
        {
            "user_defined_symbols": ["<x>", "<xy>", "the", "▁▁", "a b"],
            "remove_extra_whitespaces": False,
        },
        {
            "unk_surface": "?",
            "bos_piece": "[B]",
            "bos_id": 2,
            "eos_id": 1,
            "unk_id": 3,
            "pad_id": 0,
        },
    ],
    ids=lambda options: "-".join(options),
)
def test_whatever_a_model_does_to_text_is_done(options: dict[str, Any]) -> None:
    assert_same(train(**options))


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_blanks_that_are_not_escaped_stay_blanks(byte_fallback: bool) -> None:
    pieces = [piece for piece in PIECES if piece[0] != " "] + [(" ", -1.0), (" t", -0.5)]
    model = make_model(pieces, byte_fallback=byte_fallback)
    model.normalizer_spec.escape_whitespaces = False
    assert_same(model)


def test_a_vocabulary_without_a_piece_for_the_blank_spells_it_in_bytes() -> None:
    assert_same(make_model([("t", 0.0), ("th", -1.0)]))
    assert_same(make_model([("t", 0.0), ("th", -1.0)], byte_fallback=False))


def test_pieces_merge_from_characters_that_are_no_pieces() -> None:
    assert_same(make_model([("th", -1.0), ("the", -2.0), ("▁c", -3.0), ("at", -1.0)]))


def test_unknown_characters_in_a_row_are_one_id_beside_a_word_seen_before() -> None:
    model = make_model([("ab", -1.0), ("caz", -2.0)], byte_fallback=False, prefix=False)
    encoder, oracle = Encoder.from_model(model), load_oracle(model)
    for text in ("cab中cab中中cabcab", "中cab", "cabcab", "中中cab"):
        assert encoder.encode([text])[0].tolist() == oracle.encode(text)


def test_a_vocabulary_extended_twice_is_exact(base: ModelProto) -> None:
    model = type(base)()
    model.CopyFrom(base)
    lowest = min(piece.score for piece in model.pieces)
    add_pieces(model, [("中国", lowest - 1), ("▁the▁cat", lowest - 1)], PieceType.NORMAL)
    add_pieces(model, [("<x>", 0.0), ("国家", 0.0)], PieceType.USER_DEFINED)
    add_pieces(model, [("国人民", lowest - 1), ("t▁", lowest - 2)], PieceType.NORMAL)
    assert_same(model)


def test_a_piece_that_is_the_null_character_gives_way_to_the_byte() -> None:
    assert_same(make_model([*PIECES, ("\0", -0.5)]))


@pytest.mark.parametrize(("kind", "name"), [(1, "unigram"), (3, "word"), (4, "character")])
def test_models_that_are_not_bpe_are_refused_by_name(kind: int, name: str) -> None:
    with pytest.raises(TongwenError, match=name):
        Encoder.from_model(make_model(PIECES, kind=kind))


def _add_unused(model: ModelProto) -> None:
    add_pieces(model, [("ca", 0.0)], PieceType.UNUSED)


def _add_twice(model: ModelProto) -> None:
    add_pieces(model, [("the", 0.0)], PieceType.NORMAL)


def _add_as_control(model: ModelProto) -> None:
    add_pieces(model, [("the", 0.0)], PieceType.CONTROL)


def _add_short_control(model: ModelProto) -> None:
    add_pieces(model, [("q", 0.0)], PieceType.CONTROL)


def _spoil_score(model: ModelProto) -> None:
    model.pieces[-1].score = float("nan")


def _drop_byte(model: ModelProto) -> None:
    del model.pieces[10]


def _drop_eos(model: ModelProto) -> None:
    del model.pieces[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_add_unused, "UNUSED"),
        (_add_twice, "SentencePiece refuses"),
        (_add_as_control, "twice"),
        (_add_short_control, "control piece 'q'"),
        (_spoil_score, "score"),
        (_drop_byte, "SentencePiece refuses"),
        (_drop_eos, "no EOS"),
    ],
)
def test_what_cannot_be_exact_is_refused(change: Callable[[ModelProto], None], said: str) -> None:
    model = make_model(PIECES)
    change(model)
    with pytest.raises(TongwenError, match=said):
        Encoder.from_model(model)


@pytest.mark.parametrize("size", [0, 1, 2000, 100_000])
def test_a_file_cut_short_is_refused_or_encodes_as_sentencepiece_does(
    base_path: Path, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "short.model"
    path.write_bytes(base_path.read_bytes()[:size])
    with pytest.raises(TongwenError):
        Encoder(path)


def read_texts(file: Path) -> Iterator[str]:
    with zstandard.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            table = json.loads(line)
            yield from (table[key] for key in ("source", "target", "text") if key in table)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared corpus")
@pytest.mark.parametrize("name", MODELS)
def test_real_documents_of_every_file_are_exact(name: str) -> None:
    path = SHARED / "tokenizers" / name
    encoder = Encoder(path)
    oracle = load_oracle(parse_model(path))
    for file in sorted(SHARED.glob("*/*.jsonl.zst")):
        texts = list(islice(read_texts(file), 0, 120, 6))
        ids, offsets = encoder.encode(texts)
        expected = oracle.encode(texts)
        assert [ids[start:stop].tolist() for start, stop in pairwise(offsets)] == expected
        assert encoder.decode_batch(ids, offsets) == oracle.decode(expected)
