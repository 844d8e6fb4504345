"""Locality-sensitive hashing: which pairs of documents are worth an exact comparison.

A signature is cut into bands of some rows; documents that agree in a whole band are candidates.
Two documents of similarity s meet in one of b bands of r rows with probability 1 - (1 - s^r)^b.
Every candidate pair is compared exactly afterwards, so a false candidate costs microseconds and a
missed pair is lost: `choose_bands` weighs a miss 19 times as heavily.  By default, 16 bands of 8:

    similarity   0.5    0.6    0.7    0.8    0.85   0.9    0.95
    candidate    0.061  0.237  0.613  0.947  0.994  0.9999 1.0

datasketch's balanced choice, 9 bands of 13, would find 0.399 of the pairs at 0.8.

Band keys go to disk, a file for each band, and one band is in memory at a time: about 24 bytes for
each document.  (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, chapter 3.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MISS_WEIGHT = 0.95
"""Weight of a missed pair; a needless comparison weighs 0.05."""
NUM_PREVIOUS = 3
"""A member of a band's group is paired with so many before it, and with the first."""


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


class BandFiles:
    """Band keys on disk: `add` appends those of some documents, `read` gives one band's."""

    def __init__(self, folder: Path, bands: int) -> None:
        self.paths = [folder / f"band-{band:04}.keys" for band in range(bands)]
        self._stack = ExitStack()
        self._files: list[BinaryIO] = []

    def __enter__(self) -> BandFiles:
        self._files = [self._stack.enter_context(path.open("wb")) for path in self.paths]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, keys: NDArray[np.uint64]) -> None:
        """Append keys of shape (bands, documents)."""
        for file, row in zip(self._files, keys, strict=True):
            file.write(row.tobytes())

    def read(self) -> Iterator[NDArray[np.uint64]]:
        """The keys of each band in turn; its file is removed."""
        for path in self.paths:
            yield np.fromfile(path, np.uint64)
            path.unlink()


def find_pairs(bands: BandFiles, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Candidate pairs of all bands, each once.

    Args:
        bands: keys of the documents that take part, in the order of `rows`.
        rows: their row numbers, rising.

    Returns:
        Shape (pairs, 2): earlier and later row, sorted.
    """
    assert not len(rows) or rows[-1] < 1 << 32
    found = np.empty(0, np.uint64)
    for keys in bands.read():
        found = np.union1d(found, _pair_band(keys, rows.astype(np.uint64)))
    return unpack_pairs(found)


def _pair_band(keys: NDArray[np.uint64], rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Packed pairs of one band: each member with the first and the three before it."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    first = np.zeros(len(keys), bool)
    first[same] = True
    starts = np.maximum.accumulate(np.where(first, 0, np.arange(len(keys))))[same]
    pairs = [rows[order[starts]] << np.uint64(32) | rows[order[same]]]
    for step in range(1, NUM_PREVIOUS + 1):
        near = same[same - step >= starts]
        pairs.append(rows[order[near - step]] << np.uint64(32) | rows[order[near]])
    return np.unique(np.concatenate(pairs))


def pack_pairs(pairs: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Pairs (earlier, later) as 32 bits each; packed pairs sort by earlier, then later."""
    unsigned = pairs.astype(np.uint64)
    return unsigned[:, 0] << np.uint64(32) | unsigned[:, 1]


def unpack_pairs(packed: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs (earlier, later) from 32 bits each, shape (pairs, 2)."""
    earlier, later = packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)
    return np.stack([earlier, later], axis=1).astype(np.int64)
