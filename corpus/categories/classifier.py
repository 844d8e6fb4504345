"""A category from a text's characters: multinomial logistic regression, learned in seconds.

Hashed n-grams of 1 to 3 characters (`ngrams.py`), four passes of plain gradient descent over the
labelled texts, one text a step; Han needs no segmentation and other scripts no word list.  A tenth
of the texts (by their id) sets the temperature that makes the probabilities honest (Guo et al.
2017, https://arxiv.org/abs/1706.04599), another tenth is never learned from and measures the
result.  Its price: 65,536 x categories x 2 bytes in a file or on the way to another process (13 MB
for 100 categories), three times that in memory, and a text in the manner of none of them is still
taken for the nearest, with what doubt the probability shows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.categories import ngrams
from corpus.hashing.signatures import string_buffers
from tongwen.errors import TongwenError

EPOCHS, LEARNING_RATE = 4, 15.0
FOLDS, HELD_OUT, CALIBRATION = 10, 0, 1
"""Of ten folds one measures and one calibrates."""

_BLOCK = 1024
_TEMPERATURES = np.geomspace(0.1, 10, 201)
_FILE = "classifier.npz"


@dataclass(frozen=True, eq=False)
class Classifier:
    """What was learned.

    Attributes:
        categories: their names, sorted.
        weights: float16 of shape (buckets, categories); more digits change no answer.
        bias: float32 of shape (categories,).
        idf: float32 of shape (buckets,).
    """

    categories: tuple[str, ...]
    weights: NDArray[np.float16]
    bias: NDArray[np.float32]
    idf: NDArray[np.float32]

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        return self.weights.astype(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_weights"}

    def predict(self, texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The likeliest category (its number) of each text, and its probability.

        The probability is 0 where a text has no n-gram to tell by.
        """
        labels = np.empty(len(texts), np.int64)
        confidence = np.empty(len(texts), np.float64)
        for start in range(0, len(texts), _BLOCK):
            scores, known = self.score(texts.slice(start, _BLOCK))
            likely = softmax(scores)
            rows = slice(start, start + len(likely))
            labels[rows] = likely.argmax(1)
            confidence[rows] = np.where(known, likely.max(1), 0.0)
        return labels, confidence

    def probabilities(self, texts: pa.Array) -> NDArray[np.float64]:
        """Of each category for each text: shape (texts, categories), rows that add up to 1."""
        return softmax(self.score(texts)[0])

    def score(self, texts: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """What the softmax is taken of, shape (texts, categories); and which texts have n-grams."""
        data, offsets = string_buffers(texts)
        scores = np.empty((len(texts), len(self.bias)), np.float32)
        known = np.empty(len(texts), np.bool_)
        table = ngrams.folding_table()
        ngrams.score(data, offsets, table, self.idf, self._weights, self.bias, scores, known)
        return scores, known

    def save(self, folder: Path) -> None:
        """Write `classifier.npz`; the same classifier gives the same bytes."""
        names = np.frombuffer(json.dumps(self.categories).encode(), np.uint8)
        arrays = {"weights": self.weights, "bias": self.bias, "idf": self.idf}
        # Names as JSON bytes: an array of strings would drop a NUL at their end.
        np.savez(folder / _FILE, categories=names, **arrays)  # pyright: ignore[reportArgumentType]


def load_classifier(folder: Path) -> Classifier:
    """The classifier that was written to a folder.

    Raises:
        TongwenError: there is none, or the file is damaged.
    """
    path = folder / _FILE
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            names = tuple(json.loads(file["categories"].tobytes()))
            return Classifier(names, file["weights"], file["bias"], file["idf"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise TongwenError(
            f"the classifier cannot be read: {error}",
            where=str(path),
            do="build corpus/documents again with corpus.categories.classifier = true",
        ) from None


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities of rows of scores."""
    powers = np.exp(scores.astype(np.float64) - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def split_folds(ids: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of each text: its rank by id among those of its category, modulo ten.

    An id is a hash of the content, so that is a draw by lot in which no category goes without.
    """
    folds = np.empty(len(ids), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort([ids[row] for row in rows], kind="stable")]
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def train_classifier(
    texts: pa.Array,
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    categories: Sequence[str],
    seed: int = 1,
) -> Classifier:
    """Learn from the texts of all folds but two, and set the temperature on one of those.

    Args:
        labels: the number of each text's category.
        folds: as `split_folds` makes them; of each category at least one text is learned from.
        seed: of the order in which texts are learned from.
    """
    data, offsets = string_buffers(texts)
    rows = np.flatnonzero((folds != HELD_OUT) & (folds != CALIBRATION))
    table = ngrams.folding_table()
    idf = measure_idf(texts.take(pa.array(rows)))
    weights = np.zeros((ngrams.NUM_BUCKETS, len(categories)), np.float32)
    bias = np.zeros(len(categories), np.float32)
    # RandomState's stream is frozen for good; that of a Generator may change with a version.
    random = np.random.RandomState(seed)
    order = np.concatenate([random.permutation(rows) for _ in range(EPOCHS)])
    rates = np.linspace(LEARNING_RATE, 0, len(order), endpoint=False, dtype=np.float32)
    ngrams.fit(data, offsets, labels, order, table, idf, weights, bias, rates)
    learned = Classifier(tuple(categories), weights.astype(np.float16), bias, idf)
    rows = np.flatnonzero(folds == CALIBRATION)
    factor = _find_factor(learned.score(texts.take(pa.array(rows)))[0], labels[rows])
    return replace(learned, weights=(weights * factor).astype(np.float16), bias=bias * factor)


def measure_idf(texts: pa.Array) -> NDArray[np.float32]:
    """log((1 + texts) / (1 + texts with the bucket)), for every bucket."""
    frequency = np.zeros(ngrams.NUM_BUCKETS, np.int64)
    ngrams.count_texts(*string_buffers(texts), ngrams.folding_table(), frequency)
    return np.log((1 + len(texts)) / (1 + frequency)).astype(np.float32)


def _find_factor(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> np.float32:
    """One over the temperature under which the labels are likeliest."""
    rows = np.arange(len(labels))
    losses = [
        -np.log(np.maximum(softmax(scores / temperature)[rows, labels], 1e-300)).sum()
        for temperature in _TEMPERATURES
    ]
    return np.float32(1 / _TEMPERATURES[int(np.argmin(losses))])
