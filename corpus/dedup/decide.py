"""Which documents go, from similar pairs and an order of the documents.

A document is removed for the best one that is kept and that it resembles.  So every removed
document has a kept one that is really similar, and a chain (a like b, b like c, a unlike c) keeps
both its ends: clusters are stars around their keeper, never chains.

Not every pair of a group was a candidate.  Where a document resembles only removed ones, it is
compared with their keepers too, again and again until nothing is new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.dedup.grouping import pack_pairs, unpack_pairs

Rows = NDArray[np.int64]
Similarities = NDArray[np.float64]
Measure = Callable[[Rows], Similarities]


@dataclass(frozen=True)
class Removals:
    """What the comparison decided.

    Attributes:
        removed: numbers of the documents that go, rising.
        keepers: for each the document that stays, and `similarity` to it.
        similar: the pairs at the threshold or above.
        num_compared: pairs compared.
    """

    removed: Rows
    keepers: Rows
    similarity: Similarities
    similar: Rows
    num_compared: int


def decide(measure: Measure, ranks: Rows, pairs: Rows, threshold: float) -> Removals:
    """Compare pairs and choose who stays.

    Args:
        measure: gives the similarity of pairs of document numbers.
        ranks: of each document, 0 the best; all different.
        pairs: of document numbers.
        threshold: similarity from which two are near duplicates.
    """
    numbers = np.argsort(ranks)
    seen = fresh = np.unique(pack_pairs(np.sort(ranks[pairs.reshape(-1, 2)], axis=1)))
    similar, values = np.empty((0, 2), np.int64), np.empty(0)
    while True:
        compared = unpack_pairs(fresh)
        measured = measure(numbers[compared])
        close = measured >= threshold
        similar = np.concatenate([similar, compared[close]])
        values = np.concatenate([values, measured[close]])
        order = np.lexsort((similar[:, 0], similar[:, 1]))
        similar, values = similar[order], values[order]
        keepers, via = _choose(similar, len(ranks))
        fresh = np.setdiff1d(_find_indirect(similar, keepers), seen, assume_unique=True)
        if not len(fresh):
            break
        seen = np.union1d(seen, fresh)
    gone = np.flatnonzero(keepers >= 0)
    removed = numbers[gone]
    order = np.argsort(removed)
    removed, gone = removed[order], gone[order]
    return Removals(removed, numbers[keepers[gone]], values[via[gone]], numbers[similar], len(seen))


def _choose(similar: Rows, num_documents: int) -> tuple[Rows, Rows]:
    keepers, via = np.full(num_documents, -1, np.int64), np.full(num_documents, -1, np.int64)
    _choose_keepers(similar, keepers, via)
    return keepers, via


def _find_indirect(similar: Rows, keepers: Rows) -> NDArray[np.uint64]:
    """Packed pairs of a kept document and the keeper of a removed one that it resembles."""
    both = np.concatenate([similar, similar[:, ::-1]])
    through = both[(keepers[both[:, 0]] < 0) & (keepers[both[:, 1]] >= 0)]
    pairs = np.sort(np.stack([through[:, 0], keepers[through[:, 1]]], axis=1), axis=1)
    return np.unique(pack_pairs(pairs[pairs[:, 0] != pairs[:, 1]]))


@njit(cache=True, nogil=True)
def _choose_keepers(pairs: Any, keepers: Any, via: Any) -> None:
    """Go through pairs (better, worse), sorted by worse then better: a document is removed for
    its best kept neighbour.  `keepers` and `via` (the pair's number) come filled with -1."""
    for p in range(pairs.shape[0]):
        better, worse = pairs[p, 0], pairs[p, 1]
        if keepers[worse] < 0 and keepers[better] < 0:
            keepers[worse] = better
            via[worse] = p
