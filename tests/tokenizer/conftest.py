"""A base model from an installed package, and a small planted corpus with a finished run."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenizer.files import resolve_model
from tokenizer.model import ModelProto, load_model
from tongwen.pipeline import list_steps, required_steps, run_steps
from tongwen.recipe import Recipe, parse_recipe
from tongwen.run import RunFolder

BASE = "package:mistral_common/data/tokenizer.model.v1"
WORDS = (
    *("中华人民共和国", "机器学习", "自然语言", "处理", "模型", "训练", "数据", "意大利", "国务院"),
    *(
        "经济",
        "发展",
        "社会",
        "我们",
        "他们",
        "可以",
        "但是",
        "因为",
        "所以",
        "学习",
        "研究",
        "大学",
    ),
    *("北京", "上海", "今天", "明天", "天气", "很好", "不是", "是的", "鼴鼠", "龘"),
)
ENGLISH = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "it’s")


def _write_zh(rng: random.Random) -> str:
    sentences: list[str] = []
    for _ in range(rng.randint(4, 12)):
        words = rng.choices(WORDS, weights=range(len(WORDS), 0, -1), k=rng.randint(3, 9))
        mark = rng.choice("，、：")
        sentences.append("".join(words[:3]) + mark + "".join(words[3:]) + rng.choice("。！？”"))
    return "“" + "".join(sentences) + rng.choice(["\n", " GPT-4 ", ""]) + rng.choice(WORDS)


def _write_lines() -> list[dict[str, str]]:
    rng = random.Random(7)
    lines = [
        {"text": _write_zh(rng), "category": rng.choice(["law", "news"]), "lang": "zh"}
        for _ in range(160)
    ]
    lines += [
        {"source": f"问题{number}：什么是{word}？", "target": _write_zh(rng), "category": "qa"}
        for number, word in enumerate(WORDS)
    ]
    for _ in range(60):
        text = " ".join(" ".join(rng.choices(ENGLISH, k=12)) + "." for _ in range(5))
        lines.append({"text": text, "category": "web", "lang": "en"})
    return lines


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "text.jsonl"
    lines = [json.dumps(line, ensure_ascii=False) for line in _write_lines()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _make_recipe(
    corpus_file: Path, folder: Path, tokenizer: dict[str, Any], base_model: str | None
) -> Recipe:
    model: dict[str, Any] = {
        "num_layers": 1,
        "hidden_size": 16,
        "ffn_hidden_size": 32,
        "num_attention_heads": 2,
        "num_query_groups": 2,
        "base": base_model,
    }
    table = {
        "run": {"folder": str(folder)},
        "corpus": {"inputs": [{"paths": [str(corpus_file)], "language": "zh"}]},
        "tokenizer": {"base": BASE, "size": 32_160, **tokenizer},
        "buckets": {"held_out_documents": 3},
        "stages": [{"name": "learn", "mixture": [{"share": 1.0}]}],
        "model": model,
    }
    return parse_recipe(table, home=corpus_file.parent)


def _build(recipe: Recipe, name: str) -> Path:
    run_steps(recipe, required_steps(list_steps(recipe), name))
    return RunFolder(recipe.folder).finished(name)


@pytest.fixture(scope="session")
def make_recipe(corpus_file: Path) -> Callable[..., Recipe]:
    """A recipe over the planted corpus; keywords change its [tokenizer]."""

    def make(folder: Path, *, base_model: str | None = None, **tokenizer: Any) -> Recipe:
        return _make_recipe(corpus_file, folder, tokenizer, base_model)

    return make


@pytest.fixture(scope="session")
def build() -> Callable[[Recipe, str], Path]:
    """Run the steps of a recipe up to one of them; returns its folder."""
    return _build


@pytest.fixture(scope="session")
def base_path(corpus_file: Path) -> Path:
    return resolve_model(_make_recipe(corpus_file, Path("run"), {}, None), BASE)


@pytest.fixture(scope="session")
def base(base_path: Path) -> ModelProto:
    return load_model(base_path)


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory, corpus_file: Path) -> Path:
    """A finished vocabulary of 32,160 pieces learned from the planted corpus."""
    recipe = _make_recipe(corpus_file, tmp_path_factory.mktemp("planted") / "run", {}, None)
    return _build(recipe, "tokenizer/vocabulary")
