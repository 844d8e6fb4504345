"""Locality-sensitive hashing: which pairs of documents are worth an exact comparison.

A signature is cut into bands of some rows; documents that agree in a whole band are candidates.
Two documents of similarity s meet in one of b bands of r rows with probability 1 - (1 - s^r)^b.
Every candidate pair is compared exactly afterwards, so a false candidate costs microseconds and a
missed pair is lost: `choose_bands` weighs a miss 49 times as heavily.  By default, 18 bands of 7:

    similarity   0.5    0.6    0.7    0.8    0.85   0.9    0.95
    candidate    0.132  0.400  0.787  0.986  0.999  1.0    1.0

datasketch's balanced choice, 9 bands of 13, would find 0.399 of the pairs at 0.8.

Entries of all bands lie in one table, cut into partitions (`corpus.dedup.partitions`); a task
groups the equal keys of one partition and writes the pairs. (Leskovec, Rajaraman, Ullman:  Mining
of Massive Datasets, chapter 3.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus.dedup.grouping import group_equal, pair_members, unique_pairs
from corpus.dedup.partitions import read_partition, write_arrays
from corpus.dedup.sketches import Workshop

Rows = NDArray[np.int64]

MISS_WEIGHT = 0.98
"""Weight of a missed pair; a needless comparison weighs 0.02.  At 0.95 (16 bands of 8) a search is
6 % faster and misses 4 of 1,000 pairs at 0.8 and above, now 1 (benchmarks/dedup_quality.py)."""

_FRESH = 1 << 21
"""Pairs that are gathered before they are joined with those that are known."""


def choose_bands(num_perm: int, threshold: float) -> tuple[int, int]:
    """Bands and rows with the least weighted area of misses above and candidates below."""
    similarity = np.linspace(0.0, 1.0, 1001)
    above = similarity >= threshold
    best = (np.inf, 1, num_perm)
    for rows in range(1, num_perm + 1):
        bands = num_perm // rows
        found = candidate_probability(similarity, bands, rows)
        missed = float(np.where(above, 1 - found, 0).sum())
        needless = float(np.where(above, 0, found).sum())
        best = min(best, (MISS_WEIGHT * missed + (1 - MISS_WEIGHT) * needless, bands, rows))
    return best[1], best[2]


def candidate_probability(
    similarity: NDArray[np.float64], bands: int, rows: int
) -> NDArray[np.float64]:
    """Probability that documents of a similarity become candidates."""
    return 1 - (1 - similarity**rows) ** bands


def group_copies(shop: Workshop, kind: str, parts: Sequence[int], part: int) -> tuple[Rows, Rows]:
    """Groups of documents with equal ids or equal normalised texts, of one partition.

    Args:
        kind: "id-entries" or "copies".
        parts: numbers of the parts of the source.
        part: number of the partition.

    Returns:
        See `corpus.dedup.grouping.group_equal`.
    """
    entries = read_partition(shop.paths(kind, parts), part, shop.ids, words=2)
    return group_equal(entries, shop.ids, shop.open_ids())


def pair_bands(shop: Workshop, parts: Sequence[int], part: int) -> Path:
    """Write the candidate pairs of one partition of the bands, each once; of what is still left."""
    target = shop.path("pairs", part)
    if not target.exists():
        entries = read_partition(shop.paths("bands", parts), part, shop.bands, words=1)
        entries = entries[shop.open_left()[entries[:, 1]]]
        members, ends = group_equal(entries, shop.bands, shop.open_ids())
        pairs = unique_pairs(pair_members(members, ends))
        write_arrays(target, (pairs,))
    return target


def merge_pairs(paths: Iterable[Path]) -> Rows:
    """The pairs of all partitions, each once, sorted; shape (pairs, 2).

    Joined whenever there are some millions and three times as many new ones as old: a pair is in
    several bands, so most are old.
    """
    merged, fresh = np.empty((0, 2), np.int64), [np.empty((0, 2), np.int64)]
    for path in paths:
        fresh.append(np.fromfile(path, np.int64).reshape(-1, 2))
        if sum(map(len, fresh)) > _FRESH + 3 * len(merged):
            merged, fresh = unique_pairs(np.concatenate([merged, *fresh])), []
    return unique_pairs(np.concatenate([merged, *fresh]))
