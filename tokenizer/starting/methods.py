"""How much each base piece counts in the row of a new piece, and how likely the piece is.

`mean`: all alike.  `weighted`: by a / (a + share), the share of the text's tokens that a base piece
is (Arora et al. 2017, "smooth inverse frequency", a = 0.001): the first byte of a Chinese character
says little.  `late`, for the input: each twice the one before it, since what comes next follows the
end of a piece.  `gaussian`: the mean, plus noise.

`prior`, for the output: where the model predicted the first part, it shall predict the piece, as
often as that part begins one: P(piece) = P(first part) x share of the piece / share of the part.
So the row is that of the first part (each later part counts a quarter of the one before it, which
keeps rows apart), moved so that its logit falls by the logarithm of that ratio.  The base's own
rows say where to: the regression of the row on the logarithm of the share, over its pieces, is the
change of a row whose logarithm grows by one.  It is moved by three quarters of the way, because the
hidden states' part along that direction varies with the context: the quarters were the best of
those tried (benchmarks/start_embeddings.py).  The price: counts of the text are needed.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tokenizer.starting.parts import Parts
from tongwen.recipe import Embeddings

INPUTS: tuple[str, ...] = get_args(Embeddings.model_fields["input"].annotation)
OUTPUTS: tuple[str, ...] = get_args(Embeddings.model_fields["output"].annotation)
NEED_COUNTS = {"weighted", "prior"}
PRIOR = 0.75
_SMOOTH = 1e-3
_UNSEEN = 0.5
"""What a piece without an occurrence counts."""


def weigh_parts(method: str, parts: Parts, counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """The weight of each part; those of a piece sum to one.

    Args:
        counts: how often each piece occurs, base and new.
    """
    weights = np.ones(len(parts.ids))
    if method == "weighted":
        num_base = len(counts) - len(parts)
        shares = counts[parts.ids] / max(int(counts[:num_base].sum()), 1)
        weights = _SMOOTH / (_SMOOTH + shares)
    if method == "late":
        # From the end, so that no piece is too long for a float.
        weights = 0.5 ** (np.diff(parts.offsets)[parts.owners] - 1 - parts.places)
    if method == "prior":
        weights = 0.25**parts.places
    totals = np.bincount(parts.owners, weights, minlength=len(parts))
    return (weights / totals[parts.owners]).astype(np.float32)


def measure_rarity(
    parts: Parts, weights: NDArray[np.float32], counts: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Logarithm of each new piece's share less the weighted mean of its parts': [new pieces]."""
    num_base = len(counts) - len(parts)
    logs = log_shares(counts[:num_base])
    mean = np.bincount(parts.owners, weights * logs[parts.ids], minlength=len(parts))
    return (log_shares(counts[num_base:]) - mean).astype(np.float32)


def log_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Natural logarithm of each count over their sum."""
    return np.log(np.maximum(counts, _UNSEEN) / max(float(counts.sum()), 1.0))


class Direction:
    """Regression of base rows on the logarithms of their shares, over the pieces that occur.

    Args:
        counts: occurrences of each base piece.
        width: of a row.
    """

    def __init__(self, counts: NDArray[np.int64], width: int) -> None:
        seen = counts > 0
        self._logs = np.where(seen, log_shares(counts), 0.0)
        self._logs -= np.where(seen, self._logs[seen].mean() if seen.any() else 0.0, 0.0)
        self._sum = np.zeros(width, np.float64)

    def add(self, rows: NDArray[np.float32], first: int) -> None:
        """Count in the base rows from `first` on."""
        self._sum += self._logs[first : first + len(rows)] @ rows.astype(np.float64)

    def finish(self) -> NDArray[np.float32]:
        """The change of a row for a share that is e times as large: [width]."""
        spread = float(self._logs @ self._logs)
        return (self._sum / spread if spread else self._sum).astype(np.float32)
