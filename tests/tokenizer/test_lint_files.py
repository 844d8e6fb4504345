"""What lint makes of files: folders, other kinds of models, bad ones; and its command line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece

from tests.tokenizer.planting import ENGLISH, OF_THE_BASE, N, copy, list_found, shrink
from tokenizer.export import write_tokenizer
from tokenizer.lint import build_lint, lint_model
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto
from tongwen.errors import TongwenError
from tongwen.record import Counts


@pytest.fixture(scope="module")
def small(base: ModelProto) -> ModelProto:
    return shrink(base)


def test_a_tokenizer_json_that_disagrees_is_found(small: ModelProto, tmp_path: Path) -> None:
    write_tokenizer(append_pieces(small, ["中国"]), tmp_path)
    table = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    table["model"]["merges"].remove(["中", "国"])
    (tmp_path / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")
    report = lint_model(tmp_path, texts=["在中国\nabc\n<s>中国"])
    found = {rule: each for rule, each in list_found(report).items() if rule not in OF_THE_BASE}
    assert found == {"fast": "warning"}
    lines = report.find("fast").examples
    assert "1 of " in lines[0] and "1 of 2 lines" in lines[0]
    assert lines[1] == "在中国: ▁ | 在 | 中国 against ▁ | 在 | 中 | 国"


def test_a_model_folder_is_held_against_its_tokenizer(small: ModelProto, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(small.SerializeToString())
    config = {"vocab_size": N, "eos_token_id": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert lint_model(tmp_path).find("config").severity == "ok"
    header = json.dumps({"model.embed_tokens.weight": {"shape": [N + 128, 4]}}).encode()
    data = len(header).to_bytes(8, "little") + header
    (tmp_path / "model.safetensors").write_bytes(data)
    finding = lint_model(tmp_path).find("config")
    assert (finding.severity, finding.count) == ("warning", 1)
    assert finding.examples == (
        f"rows of model.embed_tokens.weight = {N + 128:,}, there are {N:,} pieces",
    )
    config = {"vocab_size": N - 1, "eos_token_id": 5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    finding = lint_model(tmp_path).find("config")
    assert (finding.severity, finding.count) == ("error", 3)
    assert "config.json: eos_token_id = 5, the tokenizer's is 2" in finding.examples


def train(path: Path, kind: str) -> Path:
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["hello world you and me", "a small model of words"] * 20),
        model_writer=writer,
        vocab_size=20,
        model_type=kind,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path.write_bytes(writer.getvalue())
    return path


@pytest.mark.parametrize(
    ("kind", "name"),
    [("unigram", "unigram"), ("word", "word"), ("char", "character"), ("bpe", "BPE")],
)
def test_models_of_other_kinds_are_linted(tmp_path: Path, kind: str, name: str) -> None:
    report = lint_model(train(tmp_path / "small.model", kind), texts=["hello  small world"])
    assert report.kind == name
    assert ("ties" in report.skipped) == (name != "BPE")
    assert report.find("bytes").severity == "warning"
    assert report.find("text-is-kept").count == 1
    assert report.find("unreachable").severity == "ok"


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\x00" * 50, b"version https://git-lfs"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data)
    with pytest.raises(TongwenError):
        lint_model(path)


def test_a_broken_normaliser_is_refused(small: ModelProto, tmp_path: Path) -> None:
    model = copy(small)
    model.normalizer_spec.precompiled_charsmap = b"xx"
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(TongwenError, match="SentencePiece cannot use"):
        lint_model(path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match="no SentencePiece models"):
        lint_model(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TongwenError):
        lint_model(tmp_path / "tokenizer.json")


def test_lint_json_is_the_report_and_the_same_again(small: ModelProto, tmp_path: Path) -> None:
    model, base = tmp_path / "tokenizer.model", tmp_path / "base.model"
    model.write_bytes(append_pieces(small, ["中国"]).SerializeToString())
    base.write_bytes(small.SerializeToString())
    counts: list[Counts] = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        counts.append(build_lint(model, base, iter(ENGLISH), folder))
    one, two = ((tmp_path / name / "lint.json").read_bytes() for name in "ab")
    assert one == two and counts[0] == counts[1]
    table = json.loads(one)
    assert {"file", "size", "findings", "changed", "lines", "changed_lines"} <= set(table)
    assert (table["file"], table["size"], table["changed"]) == ("tokenizer.model", N + 1, [])
    names = {"rule", "severity", "count", "title", "explanation", "examples"}
    assert all(set(finding) == names for finding in table["findings"])
    assert counts[0]["errors"] == counts[0]["unreachable"] == 0
    assert counts[0]["lines_compared"] == 3


def tongwen(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "tongwen.cli", "tokenizer", "lint"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)


def test_exit_status_says_whether_there_is_an_error(small: ModelProto, tmp_path: Path) -> None:
    base, bad = tmp_path / "base.model", tmp_path / "bad.model"
    base.write_bytes(small.SerializeToString())
    bad.write_bytes(append_pieces(small, ["意大利"]).SerializeToString())
    (tmp_path / "en.txt").write_text("A line of text.\n", encoding="utf-8")
    done = tongwen(base, "--tensor-parallel", "1")
    assert done.returncode == 0 and "base.model: BPE, 3,079 pieces" in done.stdout
    done = tongwen(bad, "--base", base, "--text", tmp_path / "en.txt", "--json")
    table = json.loads(done.stdout)
    assert done.returncode == 1 and (table["lines"], table["changed_lines"]) == (1, 0)
    assert "Exit status: 0" in tongwen("--help").stdout


def test_what_cannot_be_linted_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "vocab.model").write_bytes(b"[PAD]\n[UNK]\n[CLS]\n")
    for arguments in (
        (tmp_path / "no.model",),
        (tmp_path,),
        (tmp_path / "vocab.model", "--tensor-parallel", "two"),
    ):
        done = tongwen(*arguments)
        assert done.returncode == 2, done.stdout
        assert "tongwen: " in done.stderr and "Traceback" not in done.stderr
