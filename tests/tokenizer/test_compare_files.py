"""`tongwen tokenizer compare` on any files and on a recipe."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
from typer.testing import CliRunner

from tokenizer.comparing.segments import ChangeCounter
from tokenizer.comparing.texts import compare_texts, open_tokenizers
from tokenizer.comparing.write import read_comparison, write_comparison
from tokenizer.encoding.encoder import Encoder
from tokenizer.lint.proof import compare_lines
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, load_model
from tongwen.cli import app
from tongwen.errors import TongwenError

LINES = [
    {"text": "今天天气很好，我们去公园。", "category": "talk", "lang": "zh", "source": "a"},
    {"source": "什么是模型？", "target": "模型是机器学习。\n", "category": "qa", "lang": "zh"},
    {"text": "A line of English.\nAnd one more.", "category": "web", "lang": "en", "source": "b"},
]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "some text.jsonl"
    lines = [json.dumps(line, ensure_ascii=False) for line in LINES]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tongwen(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "tongwen.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_files_are_read_as_the_corpus_reads_them(
    texts: Path, base_path: Path, vocabulary: Path
) -> None:
    counters = open_tokenizers([f"base={base_path}", f"new={vocabulary}"])
    table, intervals = compare_texts([str(texts)], counters, workers=2)
    model = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary / "tokenizer.model"))
    expected = {
        ("talk", "a"): len(model.encode(LINES[0]["text"])),
        ("qa", "some text"): sum(len(model.encode(LINES[1][k])) for k in ("source", "target")),
        ("web", "b"): len(model.encode(LINES[2]["text"])),
    }
    rows = [row for row in table.to_pylist() if row["tokenizer"] == "new"]
    found = {(row["category"], row["source"]): row["tokens"] for row in rows}
    assert found == expected
    assert intervals.num_rows  # two documents are Chinese


def test_the_command_prints_tables_csv_and_json(texts: Path, base_path: Path) -> None:
    own = ["--tokenizer", f"base={base_path}", "--tokenizer", f"Chinese-LLaMA-2={base_path}"]
    shown = tongwen("tokenizer", "compare", *own, "--text", texts)
    assert shown.returncode == 0, shown.stderr
    assert "Colossal-LLaMA-2 (by the ratio)" in shown.stdout
    assert "TigerBot" in shown.stdout
    assert "mean of sources" in shown.stdout
    as_csv = tongwen("tokenizer", "compare", *own, "--text", texts, "--by", "source", "--csv")
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert {row["name"] for row in rows} == {"a", "b", "some text"}
    assert {row["to_base"] for row in rows if row["tokenizer"] == "Chinese-LLaMA-2"} == {"1.0"}
    as_json = tongwen("tokenizer", "compare", *own, texts, "--json")
    parsed = json.loads(as_json.stdout)
    assert {row["language"] for row in parsed} == {"zh", "en"}
    assert sum(row["documents"] or 0 for row in parsed if row["tokenizer"] == "base") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no recipe is named"),
        (["a.toml", "b.toml"], "2 recipes are named"),
        (["--text", "TEXT"], "no tokenizer is named"),
        (["--tokenizer", "a=BASE"], "no text is named"),
        (["--tokenizer", "BASE", "--text", "TEXT"], "names nothing"),
        (["--tokenizer", "a=BASE", "--tokenizer", "a=BASE", "--text", "TEXT"], "two are called"),
        (["--tokenizer", "a=TEXT", "--text", "TEXT"], "not a SentencePiece model but JSON"),
        (["--tokenizer", "a=BASE", "--text", "no.jsonl"], "no.jsonl"),
        (["--tokenizer", "a=BASE", "--text", "TEXT", "--reference", "b"], "no tokenizer is called"),
        (["--tokenizer", "a=BASE", "--text", "TEXT", "--expression", "b=qwen"], "is called 'b'"),
    ],
)
def test_a_mistake_is_one_message(
    arguments: list[str], message: str, texts: Path, base_path: Path
) -> None:
    places = {"TEXT": str(texts), "BASE": str(base_path)}
    given = [
        each.replace("BASE", places["BASE"]).replace("TEXT", places["TEXT"]) for each in arguments
    ]
    result = CliRunner().invoke(app, ["tokenizer", "compare", *given])
    assert isinstance(result.exception, TongwenError)
    assert message in str(result.exception)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(TongwenError, match="cannot read the tokenizer"):
        open_tokenizers(["a=nothing.model"])


def make_batch(*rows: tuple[str, str, str]) -> pa.RecordBatch:
    names = ["text", "prompt", "language", "category", "source"]
    full = [(*row, "c", "s") for row in rows]
    return pa.record_batch([pa.array(list(each)) for each in zip(*full, strict=True)], names=names)


def test_everything_of_the_step_is_written_in_one_pass(
    vocabulary: Path, tmp_path: Path, base: ModelProto
) -> None:
    paths = {
        "base": vocabulary / "base" / "tokenizer.model",
        "extended": vocabulary / "tokenizer.model",
    }
    rows = [
        ("今天天气很好，但是我们可以学习。", "问题", "zh"),
        ("The quick brown fox jumps over it.\nAnd 中文 in a line.", "", "en"),
        ("Nothing in it is new or changed.", "", "en"),
    ]
    batches = iter([make_batch(*rows[:2]), make_batch(rows[2])])  # an iterator is read once
    table = write_comparison(paths, batches, tmp_path, learned=("zh",))
    assert pq.read_table(tmp_path / "comparison.parquet").equals(table)
    assert read_comparison(tmp_path)[1] is not None
    texts = [text for text, prompt, language in rows if language == "en" for text in (prompt, text)]
    expected = compare_lines(base, load_model(paths["extended"]), texts)
    (changes,) = json.loads((tmp_path / "unchanged.json").read_text(encoding="utf-8"))
    assert (changes["lines"], changes["changed"], changes["with_chinese"]) == expected == (2, 0, 1)
    shown = json.loads((tmp_path / "segmentation.json").read_text(encoding="utf-8"))
    assert [row["language"] for row in shown] == ["zh", "en", "en"]
    published = json.loads((tmp_path / "published.json").read_text(encoding="utf-8"))
    assert published[1] == {
        "name": "Colossal-LLaMA-2",
        "size": 69_104,
        "rate": 0.659,
        "to_base": 0.659 / 1.205,
        "to_reference": 0.659 / 0.668,
    }


def test_a_comparison_of_an_earlier_version_is_to_be_built_again(tmp_path: Path) -> None:
    old = pa.table({"tokenizer": ["base"], "tokens": [1]})
    pq.write_table(old, tmp_path / "comparison.parquet")
    with pytest.raises(TongwenError, match="an earlier version wrote it"):
        read_comparison(tmp_path)


def test_a_changed_line_is_found(base: ModelProto, base_path: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.model"
    changed.write_bytes(append_pieces(base, ["qz"]).SerializeToString())
    counter = ChangeCounter(Encoder(base_path), Encoder(changed), ["zh"])
    counter.add(make_batch(("1qz1\n\nplain", "asked qz", "en"), ("qz", "", "zh")))
    counter.add(make_batch(("2qz\n中qz", "", "en"), ("", "", "de")))
    assert counter.list_changes() == [
        {"language": "de", "lines": 0, "changed": 0, "with_chinese": 0},
        {"language": "en", "lines": 4, "changed": 2, "with_chinese": 1},
    ]
