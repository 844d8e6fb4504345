"""Confidence intervals of tokens per character over documents, in one pass and bounded memory.

A bootstrap draws the documents again and again, each as often as chance wants it.  Drawn for every
document by itself, that number is Poisson with mean 1, and sums with these weights can be kept
while the documents go by (Chamandy et al. 2012, "Estimating uncertainty for massive data streams").
All tokenizers get the same weights.  A thousand sums of each tokenizer and group cost 8 KB, so no
more than 400 groups of a kind get an interval.  The price of the method: a few documents say
little about documents that were not drawn, and an interval of one document is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1000
MOST_GROUPS = 400
_PART = 1024
_STEPS = 1 << 16
_BOUNDS = (2.5, 97.5)

Key = tuple[str, ...]
Interval = tuple[float, float]


def _list_weights() -> NDArray[np.uint8]:
    """Poisson(1) for each of 65,536 equally likely draws."""
    chances = np.cumsum([math.exp(-1) / math.factorial(number) for number in range(12)])
    draws = (np.arange(_STEPS) + 0.5) / _STEPS
    return np.searchsorted(chances, draws).astype(np.uint8)


class Weights:
    """How often each document is drawn in each replicate.

    Args:
        seed: of the random numbers; the weights of a document depend on it and on its number only.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._table = _list_weights()

    def draw(self, count: int) -> NDArray[np.float64]:
        """Weights of the next documents, of shape (count, REPLICATES)."""
        drawn = self._random.integers(0, _STEPS, (count, REPLICATES), np.uint16)
        return self._table[drawn].astype(np.float64)


@dataclass
class Replicates:
    """Weighted sums of some groups.

    Attributes:
        sums: for each group an array of shape (tokenizers + 1, REPLICATES): tokens of each
            tokenizer, then characters.
        documents: how many each group has.
    """

    sums: dict[Key, NDArray[np.float64]] = field(default_factory=dict)
    documents: dict[Key, int] = field(default_factory=dict)

    def add(self, key: Key, sums: NDArray[np.float64], documents: int) -> None:
        """Add to a group, unless there are too many groups."""
        if key in self.sums:
            self.sums[key] += sums
            self.documents[key] += documents
        elif len(self.sums) < MOST_GROUPS:
            self.sums[key], self.documents[key] = sums.copy(), documents

    def find_interval(self, key: Key, tokenizer: int) -> Interval | None:
        """95 % of the replicates' rates; None for fewer than two documents."""
        if self.documents.get(key, 0) < 2:
            return None
        return _cut(_divide(self.sums[key], tokenizer))

    def find_interval_of_mean(self, keys: Sequence[Key], tokenizer: int) -> Interval | None:
        """The same for the unweighted mean of some groups' rates."""
        if not keys or not all(key in self.sums for key in keys):
            return None
        if max(self.documents[key] for key in keys) < 2:
            return None
        total, count = np.zeros(REPLICATES), np.zeros(REPLICATES)
        for key in keys:
            rates = _divide(self.sums[key], tokenizer)
            total += np.nan_to_num(rates)
            count += np.isfinite(rates)
        return _cut(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def iterate_parts(count: int) -> Iterator[slice]:
    """Documents so many at a time that their weights are small."""
    for start in range(0, count, _PART):
        yield slice(start, min(start + _PART, count))


def _divide(sums: NDArray[np.float64], tokenizer: int) -> NDArray[np.float64]:
    """Rates; a replicate that drew no document of the group has none."""
    characters = sums[-1]
    rates = np.full(len(characters), np.nan)
    return np.divide(sums[tokenizer], characters, out=rates, where=characters > 0)


def _cut(rates: NDArray[np.float64]) -> Interval | None:
    found = rates[np.isfinite(rates)]
    if not len(found):
        return None
    low, high = np.percentile(found, _BOUNDS)
    return float(low), float(high)
