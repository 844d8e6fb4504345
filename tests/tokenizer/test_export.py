"""The exported files give SentencePiece's ids in every class that loads them, or say where not."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerFast

from tokenizer.export import check_token_ids, list_token_ids, write_tokenizer, write_tokenizer_json
from tokenizer.megatron import describe_arguments, pad_size
from tokenizer.model import ModelProto, load_model, parse_model
from tongwen.errors import TongwenError

SHARED = Path(__file__).parents[3] / "shared" / "data"
PLAIN = (
    "", "机器学习 hello", "a   b  中", "a\n\n b\n", "\na", "\t\ta", "a  ", "🙂👨‍👩‍👧", "𠮷野 龘鼴",
    "<0x41>", "a\0b", "a\u00a0\u3000b", "a\r\nb", "e\u0301 Ａ", "他说：“我们可以。”",
)  # fmt: skip
SPACED = (" ", "    ", " 机器", "   x", "▁a ▁ b", "▁")
SPECIAL = ("a<s>b", "你好</s>世界", "a </s> b", "<s>a", "<unk>")
ODD = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("中国我们 ▁\n <s>/")),
    max_size=30,
)
Load = Callable[..., Any]


@pytest.fixture(scope="module")
def processor(vocabulary: Path) -> Any:
    model_file = str(vocabulary / "tokenizer.model")
    return sentencepiece.SentencePieceProcessor(model_file=model_file)  # pyright: ignore


@pytest.fixture(scope="module")
def folder(vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files beside a config.json, as they lie in the folder of a model."""
    out = tmp_path_factory.mktemp("model")
    model = load_model(vocabulary / "tokenizer.model")
    write_tokenizer(model, out)
    config = {"model_type": "llama", "vocab_size": len(model.pieces), **list_token_ids(model)}
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return out


def _encode(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("kind", ["auto", "slow", "fast"])
def test_auto_tokenizer_and_the_fast_class_agree_with_sentencepiece(
    kind: str, folder: Path, processor: Any
) -> None:
    use_fast: dict[str, Any] = {} if kind != "slow" else {"use_fast": False}
    loaded = PreTrainedTokenizerFast if kind == "fast" else AutoTokenizer
    tokenizer = loaded.from_pretrained(folder, **use_fast)
    for text in (*PLAIN, *SPACED):
        ids = processor.encode(text)
        assert _encode(tokenizer, text) == ids, repr(text)
        assert tokenizer.decode(ids) == processor.decode(ids), repr(text)
    assert tokenizer("中").input_ids == [processor.bos_id(), *processor.encode("中")]
    assert len(tokenizer) == processor.get_piece_size()


@pytest.mark.parametrize("legacy", [True, False, None])
def test_llama_tokenizer_agrees_but_for_the_space_that_begins_a_text(
    legacy: bool | None, folder: Path, processor: Any
) -> None:
    """The whole difference: transformers 5 adds no dummy prefix before a space."""
    options: dict[str, Any] = {} if legacy is None else {"legacy": legacy}
    tokenizer = LlamaTokenizer.from_pretrained(folder, **options)
    for text in PLAIN:
        assert _encode(tokenizer, text) == processor.encode(text), repr(text)
    is_new = int(transformers.__version__.partition(".")[0]) >= 5
    for text in SPACED:
        expected = _take_prefix(folder) if is_new else processor
        assert _encode(tokenizer, text) == expected.encode(text), repr(text)
        assert _take_prefix(folder).encode(text) != processor.encode(text)


def _take_prefix(folder: Path) -> Any:
    model = parse_model(folder / "tokenizer.model")
    model.normalizer_spec.add_dummy_prefix = False
    data = model.SerializeToString()
    return sentencepiece.SentencePieceProcessor(model_proto=data)  # pyright: ignore


@pytest.mark.parametrize("load", [AutoTokenizer, PreTrainedTokenizerFast])
def test_specials_in_a_text_are_text_only_when_asked_for(
    load: Any, folder: Path, processor: Any
) -> None:
    plain = load.from_pretrained(folder, split_special_tokens=True)
    special = load.from_pretrained(folder)
    for text in SPECIAL:
        assert _encode(plain, text) == processor.encode(text), text
        ids = _encode(special, text)
        assert ids != processor.encode(text) and min(ids) < 3, text


@settings(max_examples=150, deadline=None)
@given(text=ODD)
def test_odd_text_has_the_same_ids(text: str, folder: Path, processor: Any) -> None:
    tokenizer = _open(folder)
    assert _encode(tokenizer, text) == processor.encode(text)


_OPENED: dict[Path, Any] = {}


def _open(folder: Path) -> Any:
    if folder not in _OPENED:
        _OPENED[folder] = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    return _OPENED[folder]


def test_padding_is_a_piece_that_no_text_has(folder: Path, processor: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(["中", "机器学习 机器学习"], padding=True)
    short, long = batch.input_ids
    assert len(short) == len(long) and short[-1] == tokenizer.pad_token_id == processor.unk_id()
    assert sum(batch.attention_mask[0]) == 1 + len(processor.encode("中"))
    for text in (*PLAIN, *SPACED):
        assert processor.unk_id() not in processor.encode(text)


def test_every_file_has_one_size(folder: Path) -> None:
    """llama.cpp's conversion refuses a vocabulary of another size than the embedding."""
    read = {path.name: json.loads(path.read_bytes()) for path in folder.glob("*.json")}
    size = len(parse_model(folder / "tokenizer.model").pieces)
    vocab: dict[str, int] = read["tokenizer.json"]["model"]["vocab"]
    assert sorted(vocab.values()) == list(range(size))
    assert size == read["config.json"]["vocab_size"] == read["megatron.json"]["vocab_size"]
    for number, token in read["tokenizer_config.json"]["added_tokens_decoder"].items():
        assert vocab[token["content"]] == int(number)
    for token in read["tokenizer.json"]["added_tokens"]:
        assert vocab[token["content"]] == token["id"]


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_configurations_that_name_other_ids_are_refused(
    name: str, base: ModelProto, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama", "eos_token_id": null}')
    check_token_ids(base, tmp_path)
    (tmp_path / name).write_text('{"bos_token_id": 1, "eos_token_id": 128001}')
    with pytest.raises(TongwenError, match=r"eos_token_id is 128001, the tokenizer's is 2"):
        check_token_ids(base, tmp_path)


def test_pieces_that_a_user_defined_are_cut_out_first(tmp_path: Path) -> None:
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(  # pyright: ignore[reportAttributeAccessIssue]
        sentence_iterator=iter(["我们可以 hello world you and me", "a small model of words"] * 20),
        model_writer=writer,
        vocab_size=330,
        model_type="bpe",
        byte_fallback=True,
        user_defined_symbols=["<|turn|>", "我们"],
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        bos_id=-1,
        minloglevel=2,
    )
    (tmp_path / "a.model").write_bytes(writer.getvalue())
    write_tokenizer_json(load_model(tmp_path / "a.model"), tmp_path / "tokenizer.json")
    fast = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    processor = sentencepiece.SentencePieceProcessor(model_proto=writer.getvalue())  # pyright: ignore
    for text in ("我们<|turn|>hello", " <|turn|> 我们可以我们", "hello<|turn", "a  b"):
        assert fast.encode(text).ids == processor.encode(text), text


def test_megatron_pads_69104_rows_only_above_sixteen_gpus() -> None:
    table = describe_arguments(69_104)
    rows = {row["size"]: row for row in table["tensor_parallel"]}
    assert [rows[size]["padding_rows"] for size in (1, 2, 4, 8, 16, 32)] == [0, 0, 0, 0, 0, 16]
    assert [rows[size]["divisor"] for size in (1, 2, 4, 8, 16)] == [16, 8, 4, 2, 1]
    assert rows[1]["padding_rows_by_default"] == 69_120 - 69_104
    assert rows[8]["padding_rows_by_default"] == 69_632 - 69_104
    assert rows[16]["rows_per_rank"] == 4_319


@given(st.integers(1, 300_000), st.integers(1, 128), st.sampled_from([1, 2, 4, 8, 16]))
def test_padding_is_the_next_multiple(size: int, divisor: int, parallel: int) -> None:
    padded = pad_size(size, divisor, parallel)
    assert padded % (divisor * parallel) == 0 and size <= padded < size + divisor * parallel


def test_megatron_builds_the_tokenizer_from_the_arguments(folder: Path, processor: Any) -> None:
    builder = pytest.importorskip("megatron.core.tokenizers.text.utils.build_tokenizer")
    table = json.loads((folder / "megatron.json").read_bytes())["tokenizers"]
    words = (folder / "megatron.txt").read_text(encoding="utf-8").split()
    lines = [*table.values(), dict(zip(words[::2], words[1::2], strict=True))]
    others = ("tokenizer_sentencepiece_legacy", "tokenizer_special_tokens", "tokenizer_metadata")
    others += ("vocab_file", "merge_file", "tokenizer_hf_use_fast", "trust_remote_code")
    for line in lines:
        named = {name.strip("-").replace("-", "_"): value for name, value in line.items()}
        named["tokenizer_model"] = str(folder / named["tokenizer_model"])
        blank = dict.fromkeys((*others, "tokenizer_hf_include_special_tokens"))
        tokenizer = builder.build_tokenizer(Namespace(**blank, **named))
        assert tokenizer.vocab_size == processor.get_piece_size()
        assert tokenizer.eod == processor.eos_id()
        for text in (*PLAIN, *SPACED):
            assert tokenizer.tokenize(text) == processor.encode(text), (line, text)


@pytest.mark.skipif(not SHARED.exists(), reason="real text not present")
@pytest.mark.parametrize("name", ["llama2", "baichuan-7b", "internlm-7b"])
def test_real_text_has_the_same_ids(name: str, tmp_path: Path) -> None:
    import zstandard

    path = next((SHARED / "tokenizers" / name).glob("*.model"))
    write_tokenizer_json(parse_model(path), tmp_path / "tokenizer.json")
    fast = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    fast.encode_special_tokens = True
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))  # pyright: ignore
    for file in sorted([*SHARED.glob("zh/*.zst"), *SHARED.glob("en/*.zst")])[::5]:
        with zstandard.open(file, "rt", encoding="utf-8") as lines:
            for _, line in zip(range(8), lines, strict=False):
                row = json.loads(line)
                text = (row.get("text") or row["target"])[:3000]
                assert fast.encode(text, add_special_tokens=False).ids == processor.encode(text)
