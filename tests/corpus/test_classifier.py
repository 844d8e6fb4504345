"""The category classifier: its kernels against plain Python, what it learns, what it reports."""

from __future__ import annotations

import json
import math
import unicodedata
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.categories import ngrams
from corpus.categories import report as classifier_report
from corpus.categories.categorizer import Categorizer, open_categorizer
from corpus.categories.classifier import (
    HELD_OUT,
    Classifier,
    load_classifier,
    measure_idf,
    split_folds,
    train_classifier,
)
from corpus.hashing.shingles import IGNORED, SEPARATOR, TABLE_SIZE, classify
from corpus.reading.files import InputFile, list_inputs
from corpus.reading.records import hash_document
from tongwen.errors import TongwenError
from tongwen.recipe import Categories

from .conftest import MakeRecipe

SHARED = Path(__file__).parents[3] / "shared" / "data"
LEARN = Categories(classifier=True)
MASK = (1 << 64) - 1
TEXTS = st.text(st.sampled_from("同文字書A a9٣\t\u3000，\u00ad\0😀𠀀é"), max_size=30)


def fold(character: str) -> str:
    kind, folded = classify(ord(character))
    if unicodedata.category(character) == "Nd":
        return "0"
    if kind == IGNORED:
        return ""
    if kind != SEPARATOR or ord(character) >= TABLE_SIZE:
        return chr(folded or ord(character))
    return (
        character
        if character.isprintable() and not character.isspace()
        else " " * (character != "\0")
    )


def count_buckets(text: str) -> Counter[int]:
    """The definition: fold, collapse blanks, hash each n-gram that ends at a character."""
    folded = "   "
    for character in map(fold, text[:2000]):
        folded += "" if character == " " == folded[-1] else character
    buckets: Counter[int] = Counter()
    for end in range(4, len(folded) + 1):
        for order in (1, 2, 3):
            number = 0
            for character in folded[end - order : end]:
                number = number << 21 | ord(character)
            mixed = number * ngrams.ORDER_KEYS[order - 1] & MASK
            mixed = (mixed ^ mixed >> 32) * ngrams.ORDER_KEYS[order - 1] & MASK
            buckets[mixed >> 48] += 1
    return buckets


def weigh(text: str, idf: Any) -> dict[int, float]:
    values = {b: math.log1p(n) * float(idf[b]) for b, n in count_buckets(text).items()}
    length = math.sqrt(sum(value**2 for value in values.values()))
    return {bucket: value / length for bucket, value in values.items()} if length else {}


def predict_slowly(text: str, arrays: Any) -> list[float]:
    """Probabilities of the categories, from the arrays of classifier.npz."""
    scores = arrays["bias"].astype(float)
    for bucket, value in weigh(text, arrays["idf"]).items():
        scores = scores + value * arrays["weights"][bucket].astype(float)
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def make_lines(num: int = 60, seed: int = 0) -> list[dict[str, str]]:
    """Texts of three categories in the same characters but for a fifth of them."""
    random = np.random.RandomState(seed)
    common = [chr(0x4E00 + code) for code in range(300)]
    lines: list[dict[str, str]] = []
    for label, category in enumerate(("law", "poetry", "news")):
        own = [chr(0x5E00 + 40 * label + code) for code in range(40)]
        for _ in range(num):
            shared, special = random.choice(common, 80), random.choice(own, 20)
            text = "".join(random.permutation(np.concatenate([shared, special])))
            lines.append({"text": text, "category": category})
    return lines


def write_lines(path: Path, lines: list[Any]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def files(tmp_path: Path, make_recipe: MakeRecipe) -> tuple[InputFile, ...]:
    write_lines(tmp_path / "lines.jsonl", make_lines())
    return list_inputs(make_recipe({"paths": ["lines.jsonl"]}))


def learn(files: tuple[InputFile, ...], out: Path) -> tuple[Categorizer, dict[str, Any]]:
    out.mkdir(exist_ok=True)
    made = open_categorizer(LEARN, files, 10_000, out)
    assert made is not None
    return made, json.loads((out / "classifier.json").read_text(encoding="utf-8"))


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_the_kernel_counts_the_ngrams_of_the_definition(texts: list[str]) -> None:
    frequency = Counter(bucket for text in texts for bucket in count_buckets(text))
    idf = measure_idf(pa.array(texts))
    expected = np.full(ngrams.NUM_BUCKETS, math.log(1 + len(texts)))
    for bucket, num in frequency.items():
        expected[bucket] = math.log((1 + len(texts)) / (1 + num))
    np.testing.assert_allclose(idf, expected, rtol=1e-6, atol=1e-7)


@settings(deadline=None, max_examples=50)
@given(TEXTS, st.integers(0, 3))
def test_probabilities_are_those_of_plain_python(text: str, seed: int) -> None:
    random = np.random.RandomState(seed)
    arrays = {
        "weights": random.normal(0, 3, (ngrams.NUM_BUCKETS, 3)).astype(np.float16),
        "bias": random.normal(0, 1, 3).astype(np.float32),
        "idf": random.uniform(0, 2, ngrams.NUM_BUCKETS).astype(np.float32),
    }
    made = Classifier(("a", "b", "c"), **arrays).probabilities(pa.array(["x", text, None]))
    assert made[1] == pytest.approx(predict_slowly(text, arrays), abs=1e-5)
    assert made.sum(1) == pytest.approx([1, 1, 1], abs=1e-12)


def test_the_folding_table_is_the_definition() -> None:
    table = ngrams.folding_table()
    assert [chr(code) if code else "" for code in table] == [
        fold(chr(c)) for c in range(TABLE_SIZE)
    ]


def test_only_the_first_2000_characters_count() -> None:
    text = "同文" * 1000
    one, other = measure_idf(pa.array([text])), measure_idf(pa.array([text + "字" * 5000]))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, measure_idf(pa.array([text[:-1] + "字"])))


def test_planted_categories_are_learned(files: tuple[InputFile, ...], tmp_path: Path) -> None:
    made, report = learn(files, tmp_path / "out")
    assert report["accuracy"] > 0.95
    assert report["baseline"]["accuracy"] < 0.4
    fresh = make_lines(40, seed=5)
    texts = pa.array([line["text"] for line in fresh])
    empty = pa.array([""] * len(fresh))
    filled = made.fill("any", texts, empty, empty, empty).to_pylist()
    right = sum(a == line["category"] for a, line in zip(filled, fresh, strict=True))
    assert right > 0.95 * len(fresh)


def test_the_reported_figures_are_those_of_an_independent_count(
    files: tuple[InputFile, ...], tmp_path: Path
) -> None:
    lines = make_lines(40)
    for number, line in enumerate(lines):
        # A fifth is labelled at random, so that there is something to get wrong.
        line["category"] = "news" if number % 5 == 0 else line["category"]
    write_lines(tmp_path / "lines.jsonl", lines)
    _, report = learn(files, tmp_path / "out")
    arrays = np.load(tmp_path / "out/classifier.npz", allow_pickle=False)
    names = json.loads(arrays["categories"].tobytes())
    by_category = defaultdict(list)
    for line in lines:
        by_category[line["category"]].append((hash_document("", line["text"]), line["text"]))
    answers = [
        (name, names[int(np.argmax(predict_slowly(text, arrays)))])
        for name, texts in by_category.items()
        for _, text in sorted(texts)[::10]
    ]
    assert report["documents"]["held_out"] == len(answers)
    assert report["accuracy"] == pytest.approx(np.mean([a == b for a, b in answers]), abs=1e-6)
    assert 0.5 < report["accuracy"] < 1
    for row in report["categories"]:
        name = row["category"]
        hits = sum(a == b == name for a, b in answers)
        given_, guessed = (sum(pair[side] == name for pair in answers) for side in (0, 1))
        assert row["held_out"] == given_
        assert row["recall"] == pytest.approx(hits / given_, abs=1e-6)
        assert row["precision"] == pytest.approx(hits / guessed, abs=1e-6)
    confused = Counter((a, b) for a, b in answers if a != b)
    told = {(row["category"], row["taken_for"]): row["documents"] for row in report["confused"]}
    assert told == confused


def test_the_same_lines_give_the_same_bytes_in_any_order_and_files(
    files: tuple[InputFile, ...], tmp_path: Path, make_recipe: MakeRecipe
) -> None:
    learn(files, tmp_path / "one")
    lines = make_lines()[::-1]
    write_lines(tmp_path / "a.jsonl", lines[:100])
    write_lines(tmp_path / "b.jsonl", lines[90:])
    learn(list_inputs(make_recipe({"paths": ["a.jsonl", "b.jsonl"]})), tmp_path / "two")
    for name in ("classifier.npz", "classifier.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with zipfile.ZipFile(tmp_path / "one/classifier.npz") as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_saved_classifier_is_read_back_and_a_damaged_one_refused(
    files: tuple[InputFile, ...], tmp_path: Path
) -> None:
    made, _ = learn(files, tmp_path / "out")
    again = load_classifier(tmp_path / "out")
    assert made.classifier is not None
    assert again.categories == made.classifier.categories
    texts = pa.array(["同文", "字"])
    assert np.array_equal(again.probabilities(texts), made.classifier.probabilities(texts))
    path = tmp_path / "out/classifier.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TongwenError, match="cannot be read"):
        load_classifier(tmp_path / "out")


def test_another_seed_learns_in_another_order() -> None:
    texts = pa.array([line["text"] for line in make_lines(20)])
    labels = np.repeat(np.arange(3), 20)
    folds = np.tile(np.arange(10), 6)
    one, same, other = (
        train_classifier(texts, labels, folds, ["a", "b", "c"], seed).weights for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=20, max_size=80))
def test_every_category_has_a_tenth_of_its_texts_held_out(given_labels: list[int]) -> None:
    labels = np.array(given_labels, np.int64)
    ids = [hash_document("", str(number)) for number in range(len(labels))]
    held_out = split_folds(ids, labels) == HELD_OUT
    for label in np.unique(labels):
        assert held_out[labels == label].sum() == math.ceil((labels == label).sum() / 10)


def test_rare_categories_are_left_out_and_listed(
    files: tuple[InputFile, ...], tmp_path: Path
) -> None:
    rare = [{"text": f"稀{number}", "category": "rare"} for number in range(5)]
    write_lines(tmp_path / "lines.jsonl", make_lines(20) + rare)
    _, report = learn(files, tmp_path / "out")
    assert report["left_out"] == {"rare": 5}
    assert [row["category"] for row in report["categories"]] == ["law", "news", "poetry"]


def test_the_calibration_error_is_zero_where_confidence_is_accuracy() -> None:
    right = np.array([True] * 3 + [False])
    measure = classifier_report._measure_calibration
    assert measure(np.full(4, 0.75), right) == 0
    assert measure(np.full(4, 0.95), right) == pytest.approx(0.2)


@pytest.mark.skipif(not SHARED.exists(), reason="real text not present")
def test_real_chinese_categories_are_told_apart(tmp_path: Path, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe({"paths": [f"{SHARED}/zh/*.jsonl.zst"]})
    _, report = learn(list_inputs(recipe), tmp_path / "out")
    assert report["accuracy"] > 0.9
    assert report["macro_f1"] > 0.85
    assert report["baseline"]["accuracy"] < 0.1
    assert report["calibration_error"] < 0.03
