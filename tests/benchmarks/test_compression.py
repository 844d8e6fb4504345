"""The benchmark of compression holds sources out, and its tables say what was measured."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "compression.py"
WORDS = ("今天", "天气", "机器", "学习", "模型", "我们", "可以", "经济", "发展", "，", "。")


@pytest.fixture(scope="module")
def compression() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("compression", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up, and it imports its neighbour `harness`.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "compression", module)
        patch.syspath_prepend(str(PATH.parent))
        spec.loader.exec_module(module)
        yield module


def write_texts(path: Path, source: str, seed: int) -> Path:
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(30):
            text = "".join(chance.choices(WORDS, k=60))
            line = {"text": text, "lang": "zh", "source": source, "category": "c"}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    from mistral_common import tokens

    base = Path(tokens.__file__).parents[1] / "data" / "tokenizer.model.v1"
    train = write_texts(tmp_path / "train.jsonl", "one", 1)
    return ["compression.py", "--base", str(base), "--train", str(train), "--size", "32010"]


def test_a_source_in_both_sets_is_refused(
    compression: ModuleType, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = write_texts(tmp_path / "test.jsonl", "one", 2)
    monkeypatch.setattr(sys, "argv", [*arguments, "--test", str(test)])
    with pytest.raises(SystemExit, match=r"in both --train and --test.*: one"):
        compression.main()


def read_means(shown: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()]
    return {row[0]: row for row in rows if len(row) == 8}


def test_every_way_is_learned_and_measured_by_source(
    compression: ModuleType,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [write_texts(tmp_path / f"{name}.jsonl", name, 3) for name in ("two", "three")]
    named = f"Chinese-LLaMA-2={arguments[2]}"
    monkeypatch.setattr(sys, "argv", [*arguments, "--test", *map(str, files), "--tokenizer", named])
    compression.main()
    shown = capsys.readouterr().out
    means = read_means(shown)
    base = means["base"]
    for way in ("both", "punctuation", "spaces", "han"):
        ours = means[f"ours ({way}) 32,010"]
        assert ours[6] == "0" and float(ours[2]) < float(base[2])
    assert means["Chinese-LLaMA-2"][3:6] == base[3:6] == ["1.0000"] * 3
    assert means["Colossal-LLaMA-2 (by the ratio)"][3:6] == ["0.9865"] * 3
    assert "1: three; 2: two" in shown


def test_folds_measure_every_source_with_vocabularies_of_the_others(
    compression: ModuleType,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [write_texts(tmp_path / f"{name}.jsonl", name, 3) for name in ("two", "three")]
    at = arguments.index("--train") + 2
    learned: list[set[str]] = []
    collect = compression.collect_sources

    def watch(*arguments: object) -> object:
        found = collect(*arguments)
        learned.append({source.name for source in found})
        return found

    monkeypatch.setattr(compression, "collect_sources", watch)
    folds = [*arguments[:at], *map(str, files), *arguments[at:], "--folds", "3", "--only", "han"]
    named = ["--tokenizer", f"Chinese-LLaMA-2={arguments[2]}"]
    monkeypatch.setattr(sys, "argv", [*folds, *named])
    compression.main()
    shown = capsys.readouterr().out
    assert "the Chinese of 3 sources" in shown and "(90 documents" in shown
    assert sorted(map(sorted, learned)) == [["one", "three"], ["one", "two"], ["three", "two"]]
    assert float(read_means(shown)["ours (han) 32,010"][3]) < 1
