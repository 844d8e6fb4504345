"""The sample that the classifier learns from: bounded, the same in any order, honest when empty."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.categories import labelled
from corpus.categories.labelled import Collector, sample_labelled
from corpus.reading.files import InputFile, list_inputs
from corpus.reading.records import hash_document
from tongwen.errors import TongwenError

from .conftest import MakeRecipe


def write_lines(path: Path, lines: list[Any]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def files(tmp_path: Path, make_recipe: MakeRecipe) -> tuple[InputFile, ...]:
    write_lines(tmp_path / "lines.jsonl", [])
    return list_inputs(make_recipe({"paths": ["lines.jsonl"]}))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 130), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_sample_is_the_smallest_hashes_of_each_category(
    counts: list[int], random: Random
) -> None:
    entries = [(f"c{label}", str(n)) for label, num in enumerate(counts) for n in range(num)]
    entries += random.choices(entries, k=30) if entries else []
    random.shuffle(entries)
    collector, by_category = Collector(90, 50), defaultdict(set)
    for category, text in entries:
        collector.add(category, hash_document("", text), text)
        by_category[category].add(hash_document("", text))
    most = 50
    while sum(min(most, len(ids)) for ids in by_category.values()) > 90:
        most -= 1
    kept = {
        (name, id_)
        for name, ids in by_category.items()
        for id_ in sorted(ids, key=lambda id_: id_[::-1])[:most]
        if min(most, len(ids)) >= 20
    }
    sample = collector.finish()
    labels = [sample.categories[label] for label in sample.labels]
    assert set(zip(labels, sample.ids, strict=True)) == kept
    assert len(sample.ids) == len(kept)


def test_the_sample_holds_the_start_of_a_text_and_a_bounded_share_of_a_file(
    files: tuple[InputFile, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        {"text": f"{number:02}" + "x" * 2998, "category": "ab"[number % 2]} for number in range(90)
    ]
    write_lines(tmp_path / "lines.jsonl", lines)
    monkeypatch.setattr(labelled, "MAX_CHARACTERS", 3101 * 50)
    sample = sample_labelled(files, 10_000)
    texts = sample.texts.to_pylist()
    assert {len(text) for text in texts} == {2000}
    assert sorted(int(text[:2]) for text in texts) == list(range(50))


def test_lines_and_inputs_may_name_the_category(tmp_path: Path, make_recipe: MakeRecipe) -> None:
    texts = [f"第{number}篇文章" for number in range(30)]
    write_lines(tmp_path / "a.jsonl", [{"text": text, "category": "own"} for text in texts])
    odd = [{"text": "一"}, {"text": "二", "genre": ["a", "list"]}, {"text": " ", "genre": "b"}, 7]
    write_lines(tmp_path / "b.jsonl", [{"text": t, "genre": "column"} for t in texts] + odd)
    write_lines(tmp_path / "c.jsonl", [{"text": text} for text in texts])
    write_lines(tmp_path / "d.jsonl", [{"text": text} for text in texts])
    recipe = make_recipe(
        {"paths": ["a.jsonl"], "category": "input"},
        {"paths": ["b.jsonl"], "columns": {"category": "genre"}},
        {"paths": ["c.jsonl"], "category": "input"},
        {"paths": ["d.jsonl"]},
    )
    sample = sample_labelled(list_inputs(recipe), 10_000)
    assert sample.categories == ("column", "input", "own")
    assert np.bincount(sample.labels).tolist() == [30, 30, 30]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"law": 100}, "only one category has 20"),
        ({"law": 100, "news": 19}, "too few: 'news' 19"),
        ({}, "no category has 20"),
    ],
)
def test_too_little_to_learn_from_is_an_error_that_says_so(
    files: tuple[InputFile, ...], tmp_path: Path, counts: dict[str, int], message: str
) -> None:
    lines = [
        {"text": f"{name}{number}", "category": name}
        for name, num in counts.items()
        for number in range(num)
    ]
    write_lines(tmp_path / "lines.jsonl", [*lines, {"text": "無"}])
    with pytest.raises(TongwenError, match=message):
        sample_labelled(files, 10_000)


def test_a_category_for_every_line_is_an_error() -> None:
    collector = Collector(max_documents=50)
    with pytest.raises(TongwenError, match="more than 50 different categories"):
        for number in range(200):
            collector.add(f"{number}", hash_document("", str(number)), "text")


def test_what_small_files_leave_goes_to_the_next_and_files_are_spread(
    tmp_path: Path, make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, num in enumerate((25, 9, 25, 60, 9)):
        lines = [{"text": f"{number} {line:03}", "category": f"c{number}"} for line in range(num)]
        write_lines(tmp_path / f"{number}.jsonl", lines)
    files = list_inputs(make_recipe({"paths": ["*.jsonl"]}))
    monkeypatch.setattr(labelled, "MAX_FILES", 3)
    # Files 0, 1 and 3; a line costs 100 and its 7 characters.
    monkeypatch.setattr(labelled, "MAX_CHARACTERS", 3 * 107 * 25)
    sample = sample_labelled(files, 10_000)
    assert sample.categories == ("c0", "c3")
    assert sample.left_out == {"c1": 9}
    assert np.bincount(sample.labels).tolist() == [25, 41]
