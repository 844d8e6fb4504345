"""Whole documents into a number of tokens: which of them, in a given order, fit.

Taking documents until a share is reached overshoots by half a document a category, which a small
budget over many categories turns into twice the budget.  So a document that no longer fits is
passed over, and what a category leaves is given to the next, larger one.  The price: where a
category's share is smaller than its documents, the longest of them wait for a larger budget.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def take_fitting(length_D: NDArray[np.int32], room: int) -> NDArray[np.int64]:
    """Indices, increasing, of the documents that fit into `room` tokens when taken in order.

    At the end the shortest document left is taken too if that comes nearer to `room`.
    """
    ends = np.cumsum(length_D, dtype=np.int64)
    first = int(np.searchsorted(ends, room, side="right"))
    taken = list(range(first))
    left = room - (int(ends[first - 1]) if first else 0)
    waiting = first + np.flatnonzero(length_D[first:] <= left)
    for index in waiting.tolist():
        if length_D[index] <= left:
            taken.append(index)
            left -= int(length_D[index])
    nearest = _find_shortest(length_D, taken)
    if nearest is not None and length_D[nearest] <= 2 * left:
        taken.append(nearest)
    return np.sort(np.array(taken, np.int64))


def _find_shortest(length_D: NDArray[np.int32], taken: list[int]) -> int | None:
    left = np.ones(len(length_D), np.bool_)
    left[taken] = False
    rest = np.flatnonzero(left)
    return int(rest[np.argmin(length_D[rest])]) if len(rest) else None
