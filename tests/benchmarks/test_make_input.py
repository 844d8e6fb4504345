"""The big corpus that the benchmarks run on is what it is said to be."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

from corpus import jaccard

PATH = Path(__file__).parents[2] / "benchmarks" / "make_input.py"
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_input", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "make_input", module)
        spec.loader.exec_module(module)
    return module


def write_text(chance: random.Random, language: str) -> str:
    def word() -> str:
        if language == "zh":
            return "".join(chr(chance.randrange(0x4E00, 0x5E00)) for _ in range(3))
        return " " + "".join(chance.choices(SYLLABLES, k=chance.randrange(2, 5)))

    sentences = ("".join(word() for _ in range(chance.randrange(4, 15))) for _ in range(20))
    return "".join(f"{sentence}{'。' if language == 'zh' else '. '}" for sentence in sentences)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_edits_leave_a_similarity_of_eight_tenths_or_more(maker: ModuleType, language: str) -> None:
    chance = random.Random(1)
    found = []
    for _ in range(150):
        text, other = write_text(chance, language), write_text(chance, language)
        found.append(jaccard(text, maker.edit(text, other, chance)))
    assert min(found) >= 0.79
    assert min(found) < 0.83
    assert sum(value < 1 for value in found) > 100


def test_a_corpus_is_the_same_again_and_its_kinds_are_what_they_are_called(
    maker: ModuleType, tmp_path: Path
) -> None:
    chance = random.Random(2)
    source = tmp_path / "text.jsonl"
    lines = [
        {"text": write_text(chance, language), "lang": language}
        for _ in range(60)
        for language in ("zh", "en")
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    made = []
    for name in ("one", "other"):
        whole, half = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.half.jsonl"
        told = maker.make_corpus([source], whole, half, 400_000, seed=3)
        assert whole.read_bytes().startswith(half.read_bytes())
        assert 0.45 < half.stat().st_size / whole.stat().st_size < 0.55
        made.append((told, whole.read_bytes(), half.read_bytes()))
    assert made[0] == made[1]


def test_new_documents_share_hardly_a_shingle(maker: ModuleType) -> None:
    chance = random.Random(4)
    language = maker.Language()
    for _ in range(80):
        language.add(write_text(chance, "zh"))
    texts = [*language.make(chance), *language.make(chance)]
    pairs = [(one, other) for one in texts[:60] for other in texts[-60:] if one is not other]
    similar = [jaccard(one, other) for one, other in chance.sample(pairs, 400)]
    assert max(similar) < 0.4
