"""Bits at step 0 are those of transformers with the written folder, and the command writes it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from tokenizer.starting.embeddings import extend_model
from tokenizer.starting.table import choose_best, compare_starts
from tokenizer.starting.texts import SEGMENT, choose_segments
from tokenizer.starting.write import parse_methods
from tongwen.errors import TongwenError
from tongwen.recipe import Embeddings
from train.step_zero import StepZero

TEXTS = {"zh": ["机器学习的模型，意大利的国务院。", "今天天气很好"], "en": ["a lazy dog"]}


def write_llama(folder: Path, *, tied: bool, window: int = 2048) -> None:
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=tied,
        max_position_embeddings=window,
        dtype=torch.float32,
    )
    torch.manual_seed(5)
    model: Any = LlamaForCausalLM(config)
    with torch.no_grad():
        # Large enough that a wrong row changes the bits.
        for tensor in (model.model.embed_tokens.weight, model.lm_head.weight):
            tensor.mul_(20)
    model.save_pretrained(folder)


def measure_by_hand(folder: Path, texts: list[str]) -> float:
    """Bits a character by transformers and tokenizers alone."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    nats = 0.0
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            nats += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
    return nats / math.log(2) / sum(map(len, texts))


@pytest.mark.parametrize("tied", [False, True])
def test_bits_are_those_of_the_written_folder(vocabulary: Path, tmp_path: Path, tied: bool) -> None:
    source = tmp_path / "base"
    write_llama(source, tied=tied)
    starts = [Embeddings(), Embeddings(input="mean", output="gaussian")]
    table = compare_starts(StepZero(source), source, vocabulary, TEXTS, starts)
    assert [row["method"] for row in table["rows"][::2]] == ["base", "late/prior", "mean/gaussian"]
    assert table["characters"] == {name: sum(map(len, each)) for name, each in TEXTS.items()}
    for number, start in enumerate(starts):
        out = tmp_path / str(number)
        extend_model(source, vocabulary, out, start)
        for row in table["rows"][2 + 2 * number : 4 + 2 * number]:
            expected = measure_by_hand(out, TEXTS[row["language"]])
            assert row["bits_per_character"] == pytest.approx(expected, rel=1e-3)
            assert row["identical_rows"] == 0
    for name in ("tokenizer.json", "tokenizer.model"):
        (source / name).write_bytes((vocabulary / "base" / name).read_bytes())
    for row in table["rows"][:2]:
        expected = measure_by_hand(source, TEXTS[row["language"]])
        assert row["bits_per_character"] == pytest.approx(expected, rel=1e-3)


def test_a_text_longer_than_the_window_is_seen_in_parts(tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=False, window=8)
    model = StepZero(tmp_path / "base")
    ids = np.random.default_rng(1).integers(3, 32_000, 20).astype(np.int32)
    parts = [ids[0:9], ids[8:17], ids[16:20]]
    whole: Any = LlamaForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    nats = 0.0
    for part in parts:
        with torch.no_grad():
            logits = whole(torch.from_numpy(part[:-1]).long()[None]).logits[0]
        wanted = torch.from_numpy(part[1:]).long()
        nats += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
    assert model.measure([ids])[0] == pytest.approx(nats, rel=1e-5)


def test_the_sample_is_the_same_whatever_the_order() -> None:
    rows = [
        (f"{n:03}", "zh" if n % 3 else "en", "问" * (n % 2), "字" * (n * 40)) for n in range(60)
    ]
    names = ("id", "language", "prompt", "text")

    def sample(order: list[int], size: int) -> dict[str, list[str]]:
        batches = [order[at : at + size] for at in range(0, len(order), size)]
        return choose_segments(
            (
                pa.record_batch({name: [rows[n][i] for n in each] for i, name in enumerate(names)})
                for each in batches
            ),
            3000,
        )

    found = sample(list(range(60)), 60)
    assert found == sample(list(range(60))[::-1], 7)
    assert {name: sum(map(len, each)) for name, each in found.items()} == {"en": 3000, "zh": 3000}
    assert max(len(each) for each in found["zh"]) == SEGMENT


def test_methods_are_named_as_input_and_output() -> None:
    (one,) = parse_methods(["late/mean"], 0.2, False)
    assert (one.input, one.output, one.noise, one.match_norm) == ("late", "mean", 0.2, False)
    with pytest.raises(TongwenError, match="no start 'prior'"):
        parse_methods(["prior"], 0.1, True)


def test_the_best_has_the_fewest_bits_over_all_texts() -> None:
    rows = [
        {"method": method, "language": language, "bits_per_character": bits}
        for method, language, bits in [
            *(("base", "zh", 1.0), ("base", "en", 1.0), ("a", "zh", 5.0), ("a", "en", 2.0)),
            *(("b", "zh", 4.0), ("b", "en", 4.0)),
        ]
    ]
    assert choose_best({"characters": {"zh": 100, "en": 10}, "rows": rows}) == "b"
    assert choose_best({"characters": {"zh": 10, "en": 100}, "rows": rows}) == "a"


def test_the_command_writes_the_folder_once(vocabulary: Path, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=False)
    lines = [json.dumps({"text": text, "lang": "zh"}, ensure_ascii=False) for text in TEXTS["zh"]]
    (tmp_path / "text.jsonl").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "tongwen.cli", "tokenizer", "start", str(tmp_path / "base")]
    command = [sys.executable, "-c", "from tongwen.cli import main; main()", *command[3:]]
    command += ["--vocabulary", str(vocabulary), "--text", str(tmp_path / "text.jsonl"), "--json"]
    command += ["--method", "mean", "--method", "late/prior", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shown = json.loads(done.stdout)
    assert [row["method"] for row in shown] == ["base", "mean", "late/prior"]
    table = json.loads((tmp_path / "out" / "start.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in table["rows"]] == ["base", "mean", "late/prior"]
    best = min(shown[1:], key=lambda row: row["bits_per_character"])["method"]
    assert f"starts by {best}" in done.stderr
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config["vocab_size"] == 32_160
    assert (tmp_path / "out" / "record.json").exists()


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(TongwenError, match="'gpt2'"):
        StepZero(tmp_path)


def test_without_transformers_the_extra_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TongwenError, match=r"pip install 'tongwen\[train\]'"):
        StepZero(tmp_path)
