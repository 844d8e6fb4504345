"""How good a classifier is, measured on the texts that it did not learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.categories.classifier import (
    CALIBRATION,
    EPOCHS,
    FOLDS,
    HELD_OUT,
    LEARNING_RATE,
    Classifier,
)
from corpus.categories.labelled import Sample
from corpus.categories.ngrams import CHARACTERS, NUM_BUCKETS, ORDERS

MOST_CONFUSED = 20
_BINS = 10
_DIGITS = 6

Labels = NDArray[np.int64]


def report_classifier(
    learned: Classifier, sample: Sample, folds: Labels, min_confidence: float
) -> dict[str, Any]:
    """The contents of `classifier.json`.

    Args:
        folds: of the sample's texts; those of the fold `HELD_OUT` are predicted.
    """
    rows = np.flatnonzero(folds == HELD_OUT)
    truth = sample.labels[rows]
    guesses, confidence = learned.predict(sample.texts.take(pa.array(rows)))
    right, names = guesses == truth, learned.categories
    by_category = measure_categories(truth, guesses, len(names))
    sure = confidence >= min_confidence
    return {
        "documents": _count_folds(folds),
        "accuracy": _mean(right),
        "macro_f1": _mean([row["f1"] for row in by_category]),
        "baseline": _measure_baseline(sample, folds),
        "min_confidence": {
            "value": min_confidence,
            "answered": _mean(sure),
            "accuracy": _mean(right[sure]),
        },
        "calibration_error": _measure_calibration(confidence, right),
        "confused": _find_confused(truth, guesses, names),
        "categories": [
            {"category": name, "documents": int((sample.labels == label).sum())} | row
            for label, (name, row) in enumerate(zip(names, by_category, strict=True))
        ],
        "left_out": sample.left_out,
        "settings": {
            "characters": CHARACTERS,
            "ngrams": ORDERS,
            "buckets": NUM_BUCKETS,
            "epochs": EPOCHS,
            "learning_rate": LEARNING_RATE,
            "folds": FOLDS,
        },
    }


def measure_categories(truth: Labels, guesses: Labels, num: int) -> list[dict[str, Any]]:
    """Held-out texts, precision, recall and F1 of each category; 0 where nothing was guessed."""
    given = np.bincount(truth, minlength=num)
    guessed = np.bincount(guesses, minlength=num)
    hits = np.bincount(truth[truth == guesses], minlength=num)
    return [
        {
            "held_out": int(given[label]),
            "precision": _divide(hits[label], guessed[label]),
            "recall": _divide(hits[label], given[label]),
            "f1": _divide(2 * hits[label], given[label] + guessed[label]),
        }
        for label in range(num)
    ]


def _count_folds(folds: Labels) -> dict[str, int]:
    held_out, calibration = (int((folds == fold).sum()) for fold in (HELD_OUT, CALIBRATION))
    learned = len(folds) - held_out - calibration
    return {"learned": learned, "calibration": calibration, "held_out": held_out}


def _measure_baseline(sample: Sample, folds: Labels) -> dict[str, Any]:
    """Always the category that is largest among what was learned from."""
    learned = (folds != HELD_OUT) & (folds != CALIBRATION)
    largest = int(np.bincount(sample.labels[learned]).argmax())
    accuracy = _mean(sample.labels[folds == HELD_OUT] == largest)
    return {"category": sample.categories[largest], "accuracy": accuracy}


def _measure_calibration(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins: how far confidence and accuracy lie apart."""
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, confidence - right, _BINS)
    return _round(np.abs(gaps).sum() / len(right))


def _find_confused(truth: Labels, guesses: Labels, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The pairs that are mistaken most often, most first."""
    wrong = truth != guesses
    codes, counts = np.unique(truth[wrong] * len(names) + guesses[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_CONFUSED]
    return [
        {
            "category": names[codes[place] // len(names)],
            "taken_for": names[codes[place] % len(names)],
            "documents": int(counts[place]),
        }
        for place in order
    ]


def _divide(part: int, whole: int) -> float:
    return _round(part / whole) if whole else 0.0


def _mean(values: Any) -> float:
    return _round(np.mean(values)) if len(values) else 0.0


def _round(value: Any) -> float:
    return round(float(value), _DIGITS)
