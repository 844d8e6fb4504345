"""What tokens are: bytes, unknown, whole; against SentencePiece, tokenizers and tiktoken."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tokenizer.comparing.counters import Counter, open_counter
from tokenizer.comparing.tiktoken import EXPRESSIONS, read_tiktoken
from tokenizer.export import write_tokenizer_json
from tokenizer.model import ModelProto
from tongwen.errors import TongwenError

tiktoken = pytest.importorskip("tiktoken")

SHARED = Path(__file__).parents[3] / "shared" / "data"
TEXTS = ["你好，world!\n", "", "鼴 龘", "👩‍👩‍👧 ok", " two  spaces\t"]


@pytest.fixture(scope="module")
def base_counter(base_path: Path) -> Counter:
    return open_counter(base_path)


def test_planted_bytes_are_counted_where_they_are(base_counter: Counter, base_path: Path) -> None:
    """The planted text: a line feed is one byte piece, a rare character three or four."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(base_path))
    assert model.piece_to_id("龘") == model.unk_id()
    tally = base_counter.measure(["ab", "a\nb", "龘龘", "a𠀀", ""])
    assert tally.fallback_tokens.tolist() == [0, 1, 6, 4, 0]
    assert tally.unknown_tokens.tolist() == [0] * 5
    assert tally.piece_characters.tolist() == [3, 3, 1, 2, 0]  # with the dummy prefix


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=40), max_size=4))
def test_a_tally_is_what_sentencepiece_says_of_each_id(
    base_counter: Counter, base_path: Path, texts: list[str]
) -> None:
    model = sentencepiece.SentencePieceProcessor(model_file=str(base_path))
    encoded = [model.encode(text) for text in texts]
    tally = base_counter.measure(texts)
    assert tally.tokens.tolist() == [len(ids) for ids in encoded]
    assert tally.fallback_tokens.tolist() == [sum(map(model.is_byte, ids)) for ids in encoded]
    assert tally.piece_characters.tolist() == [
        sum(len(model.id_to_piece(number)) for number in ids if not model.is_byte(number))
        for ids in encoded
    ]


def test_a_tokenizer_json_has_the_same_tally_as_its_model(
    base_counter: Counter, base: ModelProto, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    write_tokenizer_json(base, path)
    theirs, ours = open_counter(path).measure(TEXTS), base_counter.measure(TEXTS)
    for name, values in vars(ours).items():
        assert getattr(theirs, name).tolist() == values.tolist(), name
    assert ours.fallback_tokens.sum() > 0


def test_a_unigram_model_counts_what_it_does_not_know(tmp_path: Path) -> None:
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ab ab abc", "ca b ab"] * 9),
        model_writer=stream,
        vocab_size=10,
        model_type="unigram",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path / "unigram.model"
    path.write_bytes(stream.getvalue())
    tally = open_counter(path).measure(["ab", "你 ab 好"])
    assert tally.unknown_tokens.tolist() == [0, 2]
    assert tally.fallback_tokens.tolist() == [0, 0]


def test_a_model_that_sentencepiece_refuses_is_one_message(
    base: ModelProto, tmp_path: Path
) -> None:
    broken = type(base)()
    broken.CopyFrom(base)
    broken.trainer_spec.model_type = 1
    broken.pieces.add(piece=broken.pieces[300].piece, score=0.0)  # a second time
    path = tmp_path / "broken.model"
    path.write_bytes(broken.SerializeToString())
    with pytest.raises(TongwenError, match=r"SentencePiece refuses broken.model"):
        open_counter(path)


def test_a_wordpiece_file_counts_its_unknown_token(tmp_path: Path) -> None:
    vocabulary = {"[UNK]": 0, "play": 1, "##ing": 2, "p": 3}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tally = open_counter(tmp_path / "tokenizer.json").measure(["playing p", "what playing"])
    assert tally.tokens.tolist() == [3, 3]
    assert tally.unknown_tokens.tolist() == [0, 1]
    assert tally.piece_characters.tolist() == [8, 7]


def test_a_byte_level_token_that_ends_inside_a_character_is_a_fallback(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=270,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["你好你好 hello", "你们 hello"] * 5, trainer)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = ["你好 hello", "龘", "x<|end|>y"]
    tally = open_counter(path).measure(texts)
    encoded = [tokenizer.encode(text).ids for text in texts]
    assert tally.tokens.tolist() == list(map(len, encoded))
    # No byte of 龘 stands beside another in the text that was learned from.
    assert tally.fallback_tokens.tolist()[1:] == [3, 0]
    assert tally.piece_characters.tolist()[2] == len("x<|end|>y")


def write_ranks(path: Path, tokens: list[bytes]) -> dict[bytes, int]:
    lines = [base64.b64encode(token).decode() + f" {rank}" for rank, token in enumerate(tokens)]
    path.write_text("\n".join(lines) + "\n")
    return {token: rank for rank, token in enumerate(tokens)}


PARTS = [
    *(b"he", b"ll", b"hell", b" w", b"\n\n", b"  ", b"12", b"123", b"'s", b"Ab", b"bC", b"//"),
    *("你".encode()[:2], "你".encode(), "好".encode()[:2], "好".encode(), "你好".encode()),
]
STRINGS = st.text(st.sampled_from("hel wo\n\r'sSABcC123//你好龘…\u0301 _-\t\u3000é🙂"), max_size=24)
THEIRS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k": "|".join(
        [
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    ),
}
"""As the package tiktoken writes them."""


@pytest.mark.parametrize("expression", THEIRS)
def test_every_expression_gives_tiktokens_tokens(
    expression: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("ranks") / "some.tiktoken"
    ranks = write_ranks(path, [*(bytes([byte]) for byte in range(256)), *PARTS])
    theirs = tiktoken.Encoding(
        expression, pat_str=THEIRS[expression], mergeable_ranks=ranks, special_tokens={}
    )
    counter = open_counter(path, expression)

    @settings(max_examples=300, deadline=None)
    @given(text=STRINGS)
    def check(text: str) -> None:
        ids = theirs.encode_ordinary(text)
        tally = counter.measure([text])
        assert tally.tokens.tolist() == [len(ids)]
        broken = [not _is_whole(theirs.decode_single_token_bytes(number)) for number in ids]
        assert tally.fallback_tokens.tolist() == [sum(broken)]

    check()


def _is_whole(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_the_expression_follows_from_the_number_of_ranks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.tiktoken"
    write_ranks(path, [bytes([byte]) for byte in range(256)])
    text = "a 123"
    assert open_counter(path).size == 256
    assert "256 ranks" in capsys.readouterr().err
    small = [bytes([byte]) for byte in range(256)] + [b"12", b"123"]
    filler = [f"q{number:x}z".encode() for number in range(100_256 - len(small))]
    ranks = write_ranks(path, small + filler)
    assert len(ranks) == 100_256
    named = read_tiktoken(path, "cl100k")
    assert read_tiktoken(path).encode(text).tokens == named.encode(text).tokens
    assert len(named.encode(text).ids) == 3  # Qwen's splits digits, cl100k's does not
    assert capsys.readouterr().err == ""
    with pytest.raises(TongwenError, match="no expression is called 'p50k'"):
        open_counter(path, "p50k")
    assert set(EXPRESSIONS) == {"qwen", "gpt2", "cl100k", "o200k"}


@pytest.mark.skipif(not SHARED.exists(), reason="real tokenizers not present")
@pytest.mark.parametrize(
    "name", ["llama2", "chinese-llama2-55296", "baichuan-7b", "chatglm2", "internlm-7b"]
)
def test_real_models_count_as_sentencepiece_does(name: str) -> None:
    (path,) = (SHARED / "tokenizers" / name).glob("*.model")
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    texts = [*TEXTS, "今天天气很好，我们去公园吧！\n  def f(x):\n    return x  # ｆｕｌｌ 龘𠀀"]
    encoded = [model.encode(text) for text in texts]
    tally = open_counter(path).measure(texts)
    assert tally.tokens.tolist() == [len(ids) for ids in encoded]
    assert tally.fallback_tokens.tolist() == [sum(map(model.is_byte, ids)) for ids in encoded]
    assert np.sum(tally.unknown_tokens) == sum(ids.count(model.unk_id()) for ids in encoded)
