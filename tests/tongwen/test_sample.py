"""The sample is clean as shipped, and what is planted in it is what the truth says."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tongwen.sample import DOCUMENTS, PAIRS, PLANTED, TRUTH, write_sample

SHINGLE = 5
LANGUAGES = ("zh", "en")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


@pytest.fixture(scope="module")
def documents(folder: Path) -> list[dict[str, str]]:
    return [document for name in DOCUMENTS for document in read_lines(folder / name)]


@pytest.fixture(scope="module")
def pairs(folder: Path) -> list[dict[str, str]]:
    return read_lines(folder / PAIRS)


def read_lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def read_truth(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / TRUTH).read_text("utf-8"))["lines"]


def take_shingles(text: str, language: str) -> set[str]:
    units = list("".join(text.split())) if language == "zh" else text.split()
    return {"\0".join(units[i : i + SHINGLE]) for i in range(max(1, len(units) - SHINGLE + 1))}


def measure_jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other)


def test_there_are_enough_documents_of_each_category_and_language(
    documents: list[dict[str, str]],
) -> None:
    counts = Counter((document["category"], document["language"]) for document in documents)
    categories = {category for category, _ in counts}
    assert len(documents) >= 160
    assert len(categories) >= 8
    assert all(counts[category, language] >= 5 for category in categories for language in LANGUAGES)


def test_there_are_enough_pairs_of_each_category_and_language(pairs: list[dict[str, str]]) -> None:
    counts = Counter((pair["category"], pair["language"]) for pair in pairs)
    categories = {category for category, _ in counts}
    assert len(pairs) >= 60
    assert len(categories) == 4
    assert all(category.startswith("qa_") for category in categories)
    assert all(counts[category, language] >= 5 for category in categories for language in LANGUAGES)


def test_every_field_is_there_and_not_empty(
    documents: list[dict[str, str]], pairs: list[dict[str, str]]
) -> None:
    for document in documents:
        assert list(document) == ["text", "category", "language", "source"]
        assert document["source"] == "tongwen-sample"
    for pair in pairs:
        assert list(pair) == ["source", "target", "category", "language"]
    assert all(value.strip() == value != "" for row in documents + pairs for value in row.values())


def test_each_file_holds_one_language(folder: Path) -> None:
    for name in DOCUMENTS:
        languages = {document["language"] for document in read_lines(folder / name)}
        assert languages == {name.removesuffix(".jsonl")}


def test_lengths_are_those_of_short_articles(documents: list[dict[str, str]]) -> None:
    for document in documents:
        if document["language"] == "zh":
            assert 120 <= len(document["text"]) <= 450, document["text"]
        else:
            assert 80 <= len(document["text"].split()) <= 220, document["text"]


def test_texts_are_unique(documents: list[dict[str, str]], pairs: list[dict[str, str]]) -> None:
    texts = [document["text"] for document in documents]
    questions = [pair["source"] for pair in pairs]
    assert len(set(texts)) == len(texts)
    assert len(set(questions)) == len(questions)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_original_is_a_near_copy_of_another(
    documents: list[dict[str, str]], pairs: list[dict[str, str]], language: str
) -> None:
    texts = [row["text"] for row in documents if row["language"] == language]
    texts += [row["source"] + "\n" + row["target"] for row in pairs if row["language"] == language]
    sets = [take_shingles(text, language) for text in texts]
    assert max(measure_jaccard(one, other) for one, other in combinations(sets, 2)) < 0.5


def test_the_truth_counts_what_was_asked_for(tmp_path: Path) -> None:
    write_sample(tmp_path, num_exact=5, num_near=9, num_broken=7)
    truth = read_truth(tmp_path)
    assert Counter(line["kind"] for line in truth) == {"exact": 5, "near": 9, "broken": 7}
    assert [line["line"] for line in truth] == list(range(1, 22))
    assert (tmp_path / PLANTED).read_bytes().count(b"\n") == 21


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_copies_are_as_close_as_their_kind_says(tmp_path: Path, seed: int) -> None:
    write_sample(tmp_path, seed=seed)
    planted = (tmp_path / PLANTED).read_bytes().splitlines()
    copies = [line for line in read_truth(tmp_path) if line["kind"] != "broken"]
    for line in copies:
        copy = json.loads(planted[line["line"] - 1])
        original = read_lines(tmp_path / line["original_file"])[line["original_line"] - 1]
        sets = [take_shingles(row["text"], original["language"]) for row in (copy, original)]
        assert (copy == original) == (line["kind"] == "exact")
        assert measure_jaccard(*sets) >= 0.8, line


def test_copies_have_different_originals_in_both_languages(folder: Path) -> None:
    copies = [line for line in read_truth(folder) if line["kind"] != "broken"]
    places = {(line["original_file"], line["original_line"]) for line in copies}
    assert len(places) == len(copies)
    assert {(line["kind"], line["original_file"]) for line in copies} == {
        (kind, name) for kind in ("exact", "near") for name in DOCUMENTS
    }


def test_broken_lines_cannot_be_used(folder: Path) -> None:
    planted = (folder / PLANTED).read_bytes().split(b"\n")
    broken = [line for line in read_truth(folder) if line["kind"] == "broken"]
    assert len({line["detail"] for line in broken}) == 6
    assert not any(is_usable(planted[line["line"] - 1]) for line in broken)
    assert all(line["original_file"] is None and line["original_line"] is None for line in broken)


def is_usable(line: bytes) -> bool:
    try:
        row = json.loads(line.decode("utf-8"))
    except ValueError:
        return False
    text = row.get("text") if isinstance(row, dict) else None
    return isinstance(text, str) and text != ""


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_sample(tmp_path / "first", seed=7)
    again = write_sample(tmp_path / "again", seed=7)
    other = write_sample(tmp_path / "other", seed=8)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert other[-2].read_bytes() != first[-2].read_bytes()


def test_only_the_files_named_are_left_behind(tmp_path: Path) -> None:
    paths = write_sample(tmp_path)
    write_sample(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize("numbers", [(0, 10_000, 0), (-1, 5, 0), (5, -1, 0), (0, 0, -1)])
def test_impossible_numbers_are_refused(tmp_path: Path, numbers: tuple[int, int, int]) -> None:
    num_exact, num_near, num_broken = numbers
    with pytest.raises(ValueError, match=r"originals for|cannot plant"):
        write_sample(tmp_path, num_exact=num_exact, num_near=num_near, num_broken=num_broken)
    assert list(tmp_path.iterdir()) == []
