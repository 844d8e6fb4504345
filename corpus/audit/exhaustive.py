"""All pairs of similar texts by brute force made bearable: the oracle that the audit trusts.

Nothing is hashed into bands and no pair is missed.  Two sets that are s alike share at least s
times the size of either, so with the members of all sets in one order they share one of the first
size - ceil(s * size) + 1 of each [Bayardo, Ma, Srikant: Scaling up all pairs similarity search,
2007].  The order is by how many texts hold a shingle, the rarest first: most of those are in no
other text and cost nothing.  Pairs that share one are compared in full.

The price: 4,000 texts of 500 shingles take about a second, and a set of texts that are all alike
takes the square of their number, which is refused beyond `MAX_PAIRS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from corpus.dedup.verify import hash_sets
from tongwen.errors import TongwenError

Pairs = NDArray[np.int64]
Values = NDArray[np.float64]

MAX_PAIRS = 50_000_000
_ROOM = 1 << 18
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@dataclass(frozen=True)
class Sets:
    """Sets of shingles, as ranks that rise within each set; the rarest shingle has rank 0.

    Attributes:
        ends: where each set ends in `ranks`.
        num_shared: ranks from `num_single` on are in several texts.
    """

    ranks: NDArray[np.int64]
    ends: NDArray[np.int64]
    num_single: int
    num_ranks: int

    def sizes(self) -> NDArray[np.int64]:
        """Shingles of each text."""
        return np.diff(self.ends, prepend=0)


def collect_sets(column: pa.Array, ngram: int) -> Sets:
    """The set of shingles of every text of a column."""
    hashes, ends = hash_sets(column, ngram)
    _, places, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    order = np.argsort(counts, kind="stable")
    rank = np.empty(len(counts), np.int64)
    rank[order] = np.arange(len(counts))
    ranks = rank[places.reshape(-1)]
    _sort_sets(ranks, ends)
    return Sets(ranks, ends, int((counts == 1).sum()), len(counts))


def measure_pairs(sets: Sets, pairs: Pairs) -> Values:
    """Jaccard similarity of each pair of texts; 0 where either has no shingle."""
    values = np.zeros(len(pairs))
    _measure(sets.ranks, sets.ends, np.ascontiguousarray(pairs), values)
    return values


def find_similar(sets: Sets, floor: float) -> tuple[Pairs, Values]:
    """Every pair of texts that are `floor` alike or more.

    Returns:
        Pairs of shape (pairs, 2), the earlier text first, by the later one then the earlier; and
        their similarities.

    Raises:
        TongwenError: there are more than `MAX_PAIRS`.
    """
    num_texts = len(sets.ends)
    heads = np.full(sets.num_ranks, -1, np.int64)
    links = np.empty((len(sets.ranks), 2), np.int64)
    stamps = np.full(num_texts, -1, np.int64)
    state = np.zeros(2, np.int64)
    room = max(_ROOM, num_texts)
    pairs, values = np.empty((room, 2), np.int64), np.empty(room)
    found: list[tuple[Pairs, Values]] = [(pairs[:0].copy(), values[:0].copy())]
    total = 0
    while state[0] < num_texts:
        num = _scan(
            sets.ranks, sets.ends, sets.num_single, floor, heads, links, stamps, state, pairs,
            values,
        )  # fmt: skip
        total += num
        _refuse_more(total, num_texts)
        found.append((pairs[:num].copy(), values[:num].copy()))
    whole = np.concatenate([part for part, _ in found])
    order = np.lexsort((whole[:, 0], whole[:, 1]))
    return whole[order], np.concatenate([part for _, part in found])[order]


def _refuse_more(num_pairs: int, num_texts: int) -> None:
    if num_pairs > MAX_PAIRS:
        raise TongwenError(
            f"more than {MAX_PAIRS:,} pairs of the {num_texts:,} texts are alike",
            where="corpus.audit.documents",
            expected="a sample whose similar pairs can all be compared",
            do="audit fewer documents",
        )


@njit(**_OPTIONS)
def _sort_sets(ranks: Any, ends: Any) -> None:
    start = 0
    for d in range(ends.shape[0]):
        ranks[start : ends[d]].sort()
        start = ends[d]


@njit(**_OPTIONS)
def _compare(ranks: Any, ends: Any, a: Any, b: Any) -> Any:
    i, j = (ends[a - 1] if a else 0), (ends[b - 1] if b else 0)
    size = ends[a] - i + ends[b] - j
    common = 0
    while i < ends[a] and j < ends[b]:
        if ranks[i] == ranks[j]:
            common += 1
            i += 1
            j += 1
        elif ranks[i] < ranks[j]:
            i += 1
        else:
            j += 1
    return common / (size - common) if common else 0.0


@njit(**_OPTIONS)
def _measure(ranks: Any, ends: Any, pairs: Any, values: Any) -> None:
    for p in range(pairs.shape[0]):
        values[p] = _compare(ranks, ends, pairs[p, 0], pairs[p, 1])


@njit(**_OPTIONS)
def _scan(
    ranks: Any, ends: Any, num_single: Any, floor: Any, heads: Any, links: Any, stamps: Any,
    state: Any, pairs: Any, values: Any,
) -> Any:  # fmt: skip
    """Go on from text state[0] until `pairs` might not hold another text's; returns how many.

    `heads` and `links` (text, next) are the lists of texts by rank, state[1] of them used.
    """
    found = 0
    while state[0] < ends.shape[0] and found + state[0] <= pairs.shape[0]:
        d = state[0]
        start = ends[d - 1] if d else 0
        size = ends[d] - start
        stop = start + size - int(np.ceil(floor * size - 1e-9)) + 1 if size else start
        for place in range(start, stop):
            rank = ranks[place]
            if rank < num_single:
                continue
            entry = heads[rank]
            while entry >= 0:
                other = links[entry, 0]
                entry = links[entry, 1]
                if stamps[other] != d:
                    stamps[other] = d
                    value = _compare(ranks, ends, other, d)
                    if value >= floor:
                        pairs[found, 0], pairs[found, 1], values[found] = other, d, value
                        found += 1
            links[state[1], 0], links[state[1], 1] = d, heads[rank]
            heads[rank] = state[1]
            state[1] += 1
        state[0] += 1
    return found
