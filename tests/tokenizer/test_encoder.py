"""The compiled encoder gives SentencePiece's ids, pieces and texts, whatever the text and model."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer.encoder_models import load_oracle, make_model
from tokenizer import Encoder
from tokenizer.encoding import texts as texts_module
from tokenizer.model import ModelProto
from tongwen.errors import TongwenError

ODD_CHARACTERS = (
    *("\0", "▁", " ", "\ufffd", "\u0301", "👨", "\u200d", "👩", "\ue000", "\U0010ffff", "\t"),
    *("\n", "\r", "\x1b", "\x7f", "\x80", "é", "ß", "中", "文", "的", "龘", "𠮷", "，", "\u3000"),
    *("=", "-", "a", "b", "e", "t", "h", "1", "<", "s", ">", "\ufeff", "\u2028", "ﷺ"),
)
WORDS = ("<s>", "</s>", "<unk>", "<0x0A>", " the", "    ", "中国", "，但", "====", "▁▁", "　　")

odd_text = st.lists(
    st.one_of(
        st.sampled_from(ODD_CHARACTERS),
        st.sampled_from(WORDS),
        st.characters(exclude_categories=["Cs"]),
        st.builds(
            lambda one, times: one * times, st.sampled_from(ODD_CHARACTERS), st.integers(0, 90)
        ),
    ),
    max_size=30,
).map("".join)

ALPHABET = "ab ▁中文𠮷c"
planted_text = st.text(alphabet=ALPHABET + "é", max_size=40)
planted_piece = st.text(alphabet=ALPHABET.replace(" ", ""), min_size=1, max_size=5)
scores = st.sampled_from([0.0, -1.0, -2.0, -2.5, -7.0])


@st.composite
def planted_models(draw: st.DrawFn) -> ModelProto:
    """A few pieces over a small alphabet: some reachable, some not, many of equal score."""
    texts = draw(st.lists(planted_piece, min_size=1, max_size=30, unique=True))
    num_users = draw(st.sampled_from([0, 0, 1, 4]))
    pieces = [(text, draw(scores)) for text in texts]
    return make_model(
        pieces[num_users:],
        users=pieces[:num_users],
        byte_fallback=draw(st.booleans()),
        prefix=draw(st.booleans()),
    )


@pytest.fixture(scope="module")
def encoder(base_path: Path) -> Encoder:
    return Encoder(base_path)


@pytest.fixture(scope="module")
def oracle(base_path: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(base_path))


def encode_one(encoder: Encoder, text: str) -> list[int]:
    return encoder.encode([text])[0].tolist()


@settings(max_examples=400, deadline=None)
@given(text=odd_text)
def test_odd_text_gives_sentencepieces_ids_and_comes_back(
    encoder: Encoder, oracle: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    ids = encode_one(encoder, text)
    assert ids == oracle.encode(text)
    assert encoder.decode(ids) == oracle.decode(ids)
    assert encoder.split(text) == oracle.encode(text, out_type=str)


@settings(max_examples=200, deadline=None)
@given(model=planted_models(), texts=st.lists(planted_text, min_size=1, max_size=6))
def test_any_vocabulary_gives_sentencepieces_ids(model: ModelProto, texts: list[str]) -> None:
    encoder, oracle = Encoder.from_model(model), load_oracle(model)
    ids, offsets = encoder.encode(texts)
    expected = oracle.encode(texts)
    assert [ids[start:stop].tolist() for start, stop in pairwise(offsets)] == expected
    assert [encoder.split(text) for text in texts] == oracle.encode(texts, out_type=str)
    assert encoder.decode_batch(ids, offsets) == oracle.decode(expected)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 60), low=st.booleans())
def test_any_ids_decode_as_sentencepiece_decodes_them(
    encoder: Encoder, oracle: sentencepiece.SentencePieceProcessor, seed: int, size: int, low: bool
) -> None:
    rng = random.Random(seed)
    ids = [rng.randrange(300 if low else encoder.size) for _ in range(size)]
    assert encoder.decode(ids) == oracle.decode(ids)


@settings(max_examples=300, deadline=None)
@given(data=st.lists(st.sampled_from([*range(0x7E, 0xFF, 3), 0x20, 0xED, 0xF4, 0x9F, 0xA0])))
def test_byte_pieces_that_are_no_utf8_decode_as_sentencepiece_decodes_them(
    encoder: Encoder, oracle: sentencepiece.SentencePieceProcessor, data: list[int]
) -> None:
    ids = [byte + oracle.piece_to_id("<0x00>") for byte in data]
    assert encoder.decode(ids) == oracle.decode(ids)


@pytest.mark.parametrize("unit", ["=", " ", "ab", "中", "的中", "0", "\0", "é", "=-"])
@pytest.mark.parametrize("size", [63, 64, 65, 66, 1023, 1024, 1025, 5000])
def test_long_runs_without_a_cut_are_exact(
    encoder: Encoder, oracle: sentencepiece.SentencePieceProcessor, unit: str, size: int
) -> None:
    text = (unit * size)[:size]
    assert encode_one(encoder, text) == oracle.encode(text)
    assert encode_one(encoder, "中" + text + "x") == oracle.encode("中" + text + "x")


def test_a_random_long_segment_is_exact() -> None:
    rng = random.Random(3)
    texts = {"".join(rng.choices("abcd", k=rng.randint(1, 6))) for _ in range(200)} | set("abcd")
    pieces = [(text, float(-rng.randrange(40))) for text in sorted(texts)]
    pieces += [
        (one + other, -90.0) for one in "abcd" for other in "abcd" if one + other not in texts
    ]
    model = make_model(pieces)
    encoder, oracle = Encoder.from_model(model), load_oracle(model)
    for size in (2, 15, 16, 17, 63, 64, 65, 500, 1024, 1025, 3000, 20_000):
        text = "".join(rng.choices("abcd", k=size))
        assert encode_one(encoder, text) == oracle.encode(text)


def test_a_line_of_a_million_characters_without_a_cut_comes_back(encoder: Encoder) -> None:
    text = "=" * 1_500_000
    ids = encode_one(encoder, text)
    assert encoder.decode(ids) == text


def test_a_word_seen_before_is_not_mistaken_for_one_that_hashes_alike(
    oracle: sentencepiece.SentencePieceProcessor, base_path: Path
) -> None:
    """More words than there are places, so that many share one."""
    rng = random.Random(5)
    starts = ("", "testing", "interest")
    words = [
        rng.choice(starts) + "".join(rng.choices("abcdefgh\0", k=rng.randint(1, 12)))
        for _ in range(30_000)
    ]
    text = " ".join(rng.choices(words, k=60_000))
    encoder = Encoder(base_path)
    assert encode_one(encoder, text) == oracle.encode(text)
    assert encode_one(encoder, text) == oracle.encode(text)


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_threads_parts_and_forms_of_input_change_nothing(
    base_path: Path,
    oracle: sentencepiece.SentencePieceProcessor,
    monkeypatch: pytest.MonkeyPatch,
    num_threads: int,
) -> None:
    monkeypatch.setattr(texts_module, "PART_BYTES", 64)
    rng = random.Random(1)
    texts = ["".join(rng.choices(ODD_CHARACTERS, k=rng.randint(0, 50))) for _ in range(300)]
    encoder = Encoder(base_path, num_threads=num_threads)
    expected = oracle.encode(texts)
    column = pa.array(["first", *texts, "last"])
    forms = [
        *(texts, tuple(texts), column[1:-1], column.cast(pa.large_string())[1:-1]),
        pa.chunked_array([column[1:7], column[7:7], column[7:-1]]),
        column[1:-1].dictionary_encode(),
    ]
    for form in forms:
        ids, offsets = encoder.encode(form)
        assert ids.dtype == np.int32
        assert offsets.dtype == np.int64
        assert ids.tolist() == [token for each in expected for token in each]
        assert np.diff(offsets).tolist() == [len(each) for each in expected]
        assert encoder.count(form).tolist() == [len(each) for each in expected]
        assert encoder.decode_batch(ids, offsets) == oracle.decode(expected)


@pytest.mark.parametrize(
    "texts", [[], pa.array([], pa.string()), pa.chunked_array([], pa.string())]
)
def test_no_texts_give_no_ids(encoder: Encoder, texts: list[str]) -> None:
    ids, offsets = encoder.encode(texts)
    assert ids.tolist() == []
    assert offsets.tolist() == [0]
    assert encoder.count(texts).tolist() == []
    assert encoder.decode([]) == ""
    assert encoder.decode_batch([], [0]) == []


@pytest.mark.parametrize("texts", [[""], ["", ""], pa.array(["a", ""])[1:]])
def test_empty_texts_have_no_ids(encoder: Encoder, texts: list[str]) -> None:
    ids, offsets = encoder.encode(texts)
    assert ids.tolist() == []
    assert offsets.tolist() == [0] * (len(texts) + 1)
    assert encoder.decode_batch(ids, offsets) == [""] * len(texts)


def test_no_prefix_leaves_the_blank_away_in_both_directions(base: ModelProto) -> None:
    encoder = Encoder.from_model(base, prefix=False)
    changed = type(base)()
    changed.CopyFrom(base)
    changed.normalizer_spec.add_dummy_prefix = False
    oracle = load_oracle(changed)
    for text in ("the quick", " the", "", "中国"):
        assert encode_one(encoder, text) == oracle.encode(text)
        assert encoder.decode(oracle.encode(text)) == text
    assert base.normalizer_spec.add_dummy_prefix


def test_lone_surrogates_are_refused_with_their_place(encoder: Encoder) -> None:
    with pytest.raises(TongwenError, match="text 1 has a lone surrogate") as error:
        encoder.encode(["fine", "中\ud800"])
    assert error.value.where == "character 1"


def test_nulls_and_invalid_utf8_are_refused(encoder: Encoder) -> None:
    with pytest.raises(TongwenError, match="text 2 is null"):
        encoder.encode(pa.chunked_array([["a"], ["b", None]]))
    offsets, data = pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xe4\xb8")
    with pytest.raises(TongwenError, match="not valid UTF-8"):
        encoder.encode(pa.StringArray.from_buffers(1, offsets, data))


def test_what_is_no_column_of_texts_is_a_type_error(encoder: Encoder) -> None:
    with pytest.raises(TypeError, match="not one text"):
        encoder.encode("text")
    with pytest.raises(TypeError, match="int64"):
        encoder.encode(pa.array([1, 2]))


@pytest.mark.parametrize("ids", [[-1], [5, 32_000]])
def test_ids_out_of_range_are_refused(encoder: Encoder, ids: list[int]) -> None:
    with pytest.raises(TongwenError, match="there is no piece with id"):
        encoder.decode(ids)


@pytest.mark.parametrize("offsets", [[], [0, 3], [-1, 1], [0, 2, 1]])
def test_offsets_that_do_not_fit_are_refused(encoder: Encoder, offsets: list[int]) -> None:
    with pytest.raises(TongwenError, match="offsets"):
        encoder.decode_batch([5, 6], offsets)
