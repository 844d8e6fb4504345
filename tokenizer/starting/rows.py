"""The rows of the new pieces in one embedding: a weighted mean of base rows, then what is added.

Rows are made a block of pieces at a time from the base rows that the block's parts name, read from
the file as they are needed; one pass over the base beforehand gives its median norm, its covariance
for noise, and a digest of every row.  Sums go by part in the order of the parts' ids, so that
pieces of the same parts get the same sum and no block size changes a bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tokenizer.starting.distinct import Distinct
from tokenizer.starting.methods import PRIOR, Direction, measure_rarity, weigh_parts
from tokenizer.starting.noise import Covariance, Noise, factorise
from tokenizer.starting.parts import Parts
from tokenizer.starting.weights import Tensor, from_float32, to_float32
from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.recipe import Embeddings

Rows = NDArray[np.float32]
Side = Literal["input", "output"]
BLOCK = 512
_SURVEYED = 1024
_SIDES = ("input", "output")


class RowMaker:
    """Makes the rows of the new pieces for one embedding.

    Args:
        tensor: the base's embedding: [base pieces, width].
        parts: base ids of each new piece.
        counts: how often each piece occurs, base and new: [pieces].
        settings: the methods of both sides.
        side: which of them this is.
        seed: of noise and coins.

    Attributes:
        num_moved: rows so far that were equal to another and were moved.
        num_identical: rows so far that are equal to another all the same: none.
        base_norm: mean norm of the base's rows, once rows were made.
    """

    def __init__(
        self,
        tensor: Tensor,
        parts: Parts,
        counts: NDArray[np.int64],
        settings: Embeddings,
        *,
        side: Side,
        seed: int,
    ) -> None:
        self.tensor, self.parts = tensor, parts
        self.method = settings.input if side == "input" else settings.output
        self._settings = settings
        self._key = (seed, _SIDES.index(side))
        weights = weigh_parts(self.method, parts, counts)
        self._counts, self._rarity = counts, measure_rarity(parts, weights, counts)
        self._ids, self._weights = _order_parts(parts, weights)
        self._distinct = Distinct(self._key)
        self.base_norm = self._median_norm = 0.0

    @property
    def num_moved(self) -> int:
        return self._distinct.num_moved

    @property
    def num_identical(self) -> int:
        return self._distinct.num_identical

    def make_blocks(self, size: int = BLOCK) -> Iterator[Rows]:
        """The rows of all new pieces as they are stored, `size` at a time: [size, width]."""
        if not len(self.parts):
            return
        self._survey()
        with progress("making rows", total=len(self.parts), unit="rows") as advance:
            for first in range(0, len(self.parts), size):
                last = min(first + size, len(self.parts))
                rows = self._distinct.separate(self._make(first, last), first)
                yield _round(rows, self.tensor.dtype)
                advance(last - first)

    def _survey(self) -> None:
        """One pass over the base's rows."""
        num_rows, width = self.tensor.shape
        norms = np.empty(num_rows, np.float32)
        covariance = Covariance(width) if self.method == "gaussian" else None
        direction = Direction(self._counts[:num_rows], width)
        self._distinct = Distinct(self._key)
        for first in range(0, num_rows, _SURVEYED):
            rows = self.tensor.read_rows(first, min(first + _SURVEYED, num_rows))
            norms[first : first + len(rows)] = self._measure_norms(rows, first)
            self._distinct.enter(rows)
            if covariance:
                covariance.add(rows)
            if self.method == "prior":
                direction.add(rows, first)
        self._median_norm = float(np.median(norms))
        self.base_norm = float(norms.mean(dtype=np.float64))
        self._distinct.set_scale(self._median_norm / width**0.5)
        self._direction = direction.finish()
        if covariance:
            self._noise = Noise(factorise(covariance.finish()), self._key)

    def _measure_norms(self, rows: Rows, first: int) -> Rows:
        norms = np.linalg.norm(rows, axis=1)
        if not np.isfinite(norms).all():
            number = first + int(np.argmin(np.isfinite(norms)))
            raise TongwenError(
                f"row {number:,} of {self.tensor.name} holds what is no number (infinite or NaN)",
                where=str(self.tensor.file),
                expected="finite weights",
                do="download the model again, or take an earlier checkpoint",
            )
        return norms

    def _make(self, first: int, last: int) -> Rows:
        rows = self._average(first, last)
        if self.method == "gaussian":
            rows += np.float32(self._settings.noise) * self._noise.draw(first, last)
        if self._settings.match_norm:
            norms = np.linalg.norm(rows, axis=1, keepdims=True)
            rows *= np.divide(self._median_norm, norms, out=np.ones_like(norms), where=norms > 0)
        if self.method == "prior":
            rows += np.float32(PRIOR) * self._rarity[first:last, np.newaxis] * self._direction
        return rows

    def _average(self, first: int, last: int) -> Rows:
        """Weighted sums of the parts' rows: first parts of all pieces, second parts, ..."""
        begins, ends = self.parts.offsets[first:last], self.parts.offsets[first + 1 : last + 1]
        used = np.unique(self._ids[begins[0] : ends[-1]])
        base = self.tensor.take_rows(used)
        rows = np.zeros((last - first, base.shape[1]), np.float32)
        for place in range(int((ends - begins).max())):
            having = np.flatnonzero(begins + place < ends)
            at = begins[having] + place
            found = base[np.searchsorted(used, self._ids[at])]
            rows[having] += self._weights[at, np.newaxis] * found
        return rows


def _order_parts(
    parts: Parts, weights: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Ids and weights, those of each piece in the order of the ids."""
    order = np.lexsort((weights, parts.ids, parts.owners))
    return parts.ids[order], weights[order]


def _round(rows: Rows, dtype: str) -> Rows:
    return to_float32(from_float32(rows, dtype), dtype).reshape(rows.shape)
