"""Noise with the covariance of a matrix of rows, the same whatever the size of the blocks.

The covariance (width x width) is summed over blocks of rows, and its Cholesky factor L turns
independent normal numbers z into L z, whose covariance it is.  Numbers are drawn and multiplied in
tiles of 256 rows that lie at fixed places, each from a generator of its own: which rows are asked
for together changes no bit.  The price: two width x width matrices, and for a width of 4,096 some
30 seconds of one core for each tensor.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

TILE = 256
_FIRST_RIDGE, _RIDGES = 1e-6, 8


class Covariance:
    """The covariance of rows that come in blocks, about their mean (Chan et al. 1979, eq. 1.5)."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = np.zeros(width, np.float64)
        self._sum = np.zeros((width, width), np.float32)

    def add(self, rows: NDArray[np.float32]) -> None:
        """Count rows in: [rows, width]."""
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean.astype(np.float32)
        self._sum += centred.T @ centred
        shift = mean - self.mean
        total = self.count + len(rows)
        apart = (shift * (self.count * len(rows) / total)).astype(np.float32)
        self._sum += np.multiply.outer(apart, shift.astype(np.float32))
        self.mean += shift * (len(rows) / total)
        self.count = total

    def finish(self) -> NDArray[np.float32]:
        """[width, width], the sum over the rows divided by one less than their number."""
        return self._sum / np.float32(max(self.count - 1, 1))


def measure_covariance(blocks: Iterable[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    """Covariance [width, width] of rows that come in blocks."""
    covariance = Covariance(width)
    for block in blocks:
        covariance.add(block)
    return covariance.finish()


def factorise(covariance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lower triangular L with L L' = covariance.

    Fewer rows than columns leave the covariance singular: then the least ridge that helps is put
    on the diagonal, from a millionth of its mean on.
    """
    ridge = _FIRST_RIDGE * max(float(np.trace(covariance)) / len(covariance), 1e-30)
    for _ in range(_RIDGES):
        padded = covariance + np.float32(ridge) * np.eye(len(covariance), dtype=np.float32)
        try:
            return np.linalg.cholesky(padded).astype(np.float32)
        except np.linalg.LinAlgError:
            ridge *= 10
    raise AssertionError("a covariance with a ridge of its own size is positive definite")


class Noise:
    """Rows of normal numbers with a covariance; row `i` is the same however it is asked for.

    Args:
        factor: from `factorise`.
        key: whatever tells this noise from others (seed and tensor), as small integers.
    """

    def __init__(self, factor: NDArray[np.float32], key: tuple[int, ...]) -> None:
        self._factor, self._key = factor, key
        self._at, self._tile = -1, np.empty(0, np.float32)

    def draw(self, first: int, last: int) -> NDArray[np.float32]:
        """Rows `first` to `last`: [last - first, width]."""
        rows = np.empty((last - first, len(self._factor)), np.float32)
        for number in range(first // TILE, -(-last // TILE)):
            begin, end = max(first, number * TILE), min(last, (number + 1) * TILE)
            tile = self._make(number)[begin - number * TILE : end - number * TILE]
            rows[begin - first : end - first] = tile
        return rows

    def _make(self, number: int) -> NDArray[np.float32]:
        if number != self._at:
            rng = np.random.default_rng((*self._key, number))
            normal = rng.standard_normal((TILE, len(self._factor)), np.float32)
            self._at, self._tile = number, normal @ self._factor.T
        return self._tile
