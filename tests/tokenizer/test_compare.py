"""The comparison counts what SentencePiece counts, on the held-out documents only."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece

from corpus import choose_held_out, read_kept
from tokenizer.comparing.compare import COMPARISON, compare_tokenizers
from tokenizer.comparing.counters import open_counter
from tokenizer.comparing.tiktoken import EXPRESSIONS, read_ranks, read_tiktoken
from tokenizer.lint.proof import compare_lines
from tokenizer.merge import append_pieces
from tokenizer.model import load_model
from tongwen.errors import TongwenError
from tongwen.run import RunFolder

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def compared(
    make_recipe, build, tmp_path_factory: pytest.TempPathFactory, vocabulary: Path
) -> tuple[RunFolder, Path]:
    other = {"name": "other", "path": str(vocabulary / "tokenizer.json")}
    recipe = make_recipe(tmp_path_factory.mktemp("compared") / "run", compare=[other])
    return RunFolder(recipe.folder), build(recipe, "tokenizer/comparison")


def test_tokens_are_those_of_sentencepiece(compared: tuple[RunFolder, Path]) -> None:
    run, folder = compared
    rows = pq.read_table(folder / "comparison.parquet").to_pylist()
    assert list(dict.fromkeys(row["tokenizer"] for row in rows)) == ["base", "extended", "other"]
    held_out = set(choose_held_out(run, 3)["id"].to_pylist())
    model = run.finished("tokenizer/vocabulary") / "tokenizer.model"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    expected: Counter[tuple[str, str, str]] = Counter()
    for batch in read_kept(run, ["id", "text", "prompt", "category", "language"]):
        for row in batch.to_pylist():
            if row["id"] in held_out:
                group = (row["category"], row["language"])
                texts = [row["prompt"], row["text"]]
                expected[*group, "documents"] += 1
                expected[*group, "tokens"] += sum(len(processor.encode(text)) for text in texts)
                expected[*group, "characters"] += sum(map(len, texts))
                expected[*group, "bytes"] += sum(len(text.encode()) for text in texts)
    for name in ("extended", "other"):
        mine = [row for row in rows if row["tokenizer"] == name]
        found = {
            (row["category"], row["language"], key): row[key]
            for row in mine
            for key in ("documents", "tokens", "characters", "bytes")
        }
        assert found == dict(expected)
        assert {row["size"] for row in mine} == {32_160}


def test_extended_needs_fewer_tokens_for_chinese_and_the_same_for_english(
    compared: tuple[RunFolder, Path],
) -> None:
    table = pq.read_table(compared[1] / "comparison.parquet").to_pylist()
    tokens: Counter[tuple[str, str]] = Counter()
    for row in table:
        tokens[row["tokenizer"], row["language"]] += row["tokens"]
    assert tokens["extended", "zh"] < 0.6 * tokens["base", "zh"]
    assert tokens["extended", "en"] == tokens["base", "en"] > 0


def test_lines_without_chinese_are_counted_and_none_changed(
    compared: tuple[RunFolder, Path],
) -> None:
    run, folder = compared
    (english,) = json.loads((folder / "unchanged.json").read_text(encoding="utf-8"))
    assert english["language"] == "en"
    assert english["changed"] == 0 < english["lines"]
    base = load_model(run.path("tokenizer/vocabulary") / "base" / "tokenizer.model")
    extended = load_model(run.path("tokenizer/vocabulary") / "tokenizer.model")
    texts = ["one line\n\nanother", "with 中文 in it\nand without"]
    assert compare_lines(base, extended, texts) == (3, 0, 1)
    assert compare_lines(base, append_pieces(base, ["qz"]), ["1qz1", "1qx1"]) == (2, 1, 0)


def test_segmentation_shows_both_languages(compared: tuple[RunFolder, Path]) -> None:
    shown = json.loads((compared[1] / "segmentation.json").read_text(encoding="utf-8"))
    assert {row["language"] for row in shown} == {"zh", "en"}
    for row in shown:
        assert len(row["extended"]) <= len(row["base"])
        assert "".join(row["extended"]).replace("▁", " ").strip() == row["text"]


def test_names_must_differ(make_recipe, build, tmp_path: Path, base_path: Path) -> None:
    other = {"name": "base", "path": str(base_path)}
    with pytest.raises(TongwenError, match="two tokenizers are called 'base'"):
        build(make_recipe(tmp_path / "run", compare=[other]), "tokenizer/comparison")


def test_tiktoken_file_is_merged_by_rank(tmp_path: Path) -> None:
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [b"he", b"ll", b"hell", b"hello", b" w", "你".encode()[:2], "你".encode()]
    lines = [base64.b64encode(token).decode() + f" {rank}" for rank, token in enumerate(tokens)]
    path = tmp_path / "small.tiktoken"
    path.write_text("\n".join(lines) + "\n")
    counter = open_counter(path)
    assert counter.size == len(tokens)
    assert counter.count(["hello world", "你好", ""]).tolist() == [6, 4, 0]
    path.write_text("not base64!\n")
    with pytest.raises(TongwenError, match="tiktoken"):
        read_tiktoken(path)


@pytest.mark.skipif(not SHARED.exists(), reason="real text not present")
def test_qwen_tokens_are_those_of_tiktoken() -> None:
    tiktoken = pytest.importorskip("tiktoken")
    path = SHARED / "tokenizers" / "qwen" / "qwen.tiktoken"
    encoding = tiktoken.Encoding(
        "qwen",
        pat_str=EXPRESSIONS["qwen"].pattern,
        mergeable_ranks=read_ranks(path),
        special_tokens={},
    )
    texts = ["今天天气很好，我们去公园吧！", "def f(x):\n    return x ** 2  # it's 1234\r\n\r\n"]
    counts = open_counter(path).count(texts)
    assert counts.tolist() == [len(encoding.encode_ordinary(text)) for text in texts]


def test_broken_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(TongwenError, match="not a tokenizer"):
        open_counter(path)


def test_batches_may_be_empty() -> None:
    assert compare_tokenizers({}, []).schema == COMPARISON
    assert isinstance(compare_tokenizers({}, []), pa.Table)
