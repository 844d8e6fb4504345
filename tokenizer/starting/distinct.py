"""No two rows alike: a new row that equals another is moved by the least that bfloat16 keeps.

Pieces of the same parts in another order, and a piece that repeats one part, start from equal
means.  What is equal is decided after rounding to bfloat16, the coarsest type that models are
trained in, whatever the type that is stored.  Each number of such a row is multiplied by 1 + 1/128
or 1 - 1/128, by a coin drawn for its piece: a step of bfloat16 is 1/256 to 1/128 of a number, so
each moves, and the row by 0.8 % of its length.  The price: 16 bytes a row, in a set.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from tokenizer.starting.weights import from_float32

_STEP = np.float32(2.0**-7)


class Distinct:
    """The rows so far, and how many had to be moved.

    Args:
        key: whatever tells these coins from others (seed and tensor), as small integers.
    Attributes:
        num_moved: rows that were equal to one before them.
        num_identical: rows that are so still: none.
    """

    def __init__(self, key: tuple[int, ...]) -> None:
        self._key = key
        self._tiny = _STEP
        self._known: set[bytes] = set()
        self.num_moved = self.num_identical = 0

    def set_scale(self, scale: float) -> None:
        """Say how large a typical number is: numbers that are zero are moved by 1/128 of that."""
        self._tiny = np.float32(scale) * _STEP or _STEP

    def enter(self, rows: NDArray[np.float32]) -> None:
        """Take note of rows that stay as they are."""
        self._known.update(_hash_rows(rows))

    def separate(self, rows: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        """Rows of the pieces from `first` on, those moved that equal any row before them."""
        rows = rows.copy()
        for place, digest in enumerate(_hash_rows(rows)):
            if digest in self._known:
                self.num_moved += 1
                rows[place], digest = self._move(rows[place], first + place)
            self.num_identical += digest in self._known
            self._known.add(digest)
        return rows

    def _move(self, row: NDArray[np.float32], piece: int) -> tuple[NDArray[np.float32], bytes]:
        rng = np.random.default_rng((*self._key, piece))
        while True:
            coins = rng.integers(0, 2, len(row)).astype(np.float32) * 2 - 1
            moved = row * (1 + coins * _STEP) + (row == 0) * coins * self._tiny
            (digest,) = _hash_rows(moved[np.newaxis])
            if digest not in self._known:
                return moved, digest


def _hash_rows(rows: NDArray[np.float32]) -> list[bytes]:
    # Zero added: minus zero becomes zero.
    data, width = from_float32(rows + np.float32(0), "BF16"), rows.shape[1] * 2
    return [
        hashlib.blake2b(data[begin : begin + width], digest_size=16).digest()
        for begin in range(0, len(data), width)
    ]
