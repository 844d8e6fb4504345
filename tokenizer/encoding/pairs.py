"""One table that answers for two neighbours whether they may join, and to what.

A row for each left symbol, laid over the others so that no two entries fall on one place (row
displacement, Tarjan and Yao 1979): an answer is one sum and one comparison, with no search.  An
entry of 64 bits holds the left symbol (so that a foreign entry is known as such), the symbol that
the two merge to, and its rank.  The price: rows are laid by trying places, and half the table is
empty: long rows hardly fit between each other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tokenizer.encoding.compiled import kernel, part

SYMBOL_BITS = 20
"""Bits of a symbol's number: a million symbols."""

_u64 = np.uint64
_SYMBOL_BITS, _LOW = _u64(SYMBOL_BITS), _u64((1 << SYMBOL_BITS) - 1)

JOINS = _u64((1 << 44) - 1)
"""The answer for characters that stand side by side in a piece, but merge to none themselves."""

NEVER = _u64((1 << 64) - 1)
"""The answer for neighbours that no piece holds side by side."""


_ROOM = 2.2
"""Slots for an entry, at least."""


class Pairs(NamedTuple):
    """The table.

    Attributes:
        base_S: uint32, where the row of each left symbol begins.
        slot_P: uint64, entries: left symbol, merged symbol (20 bits each) and rank (24 bits).
    """

    base_S: NDArray[np.uint32]
    slot_P: NDArray[np.uint64]


@part
def look_up(pairs: Any, left: Any, right: Any) -> Any:
    """rank << 20 | symbol of two neighbours, or JOINS, or NEVER."""
    last = _u64(pairs.slot_P.shape[0] - 1)
    slot = pairs.slot_P[(_u64(pairs.base_S[_u64(left)]) + _u64(right)) & last]
    return slot >> _SYMBOL_BITS if slot & _LOW == _u64(left) else NEVER


@part
def symbol_of(answer: Any) -> Any:
    """The merged symbol of an answer."""
    return answer & _LOW


@part
def rank_of(answer: Any) -> Any:
    """The rank of an answer: the lowest is merged first."""
    return answer >> _SYMBOL_BITS


def build_pairs(keys: NDArray[np.int64], answers: NDArray[np.int64], num_symbols: int) -> Pairs:
    """Lay the rows.

    Args:
        keys: left << 20 | right, each once.
        answers: for each key, rank << 20 | symbol, or JOINS.
        num_symbols: symbols there are; this number itself is asked for, and has no entry.
    """
    order = np.argsort(keys, kind="stable")
    keys, answers = keys[order], answers[order]
    left, right = keys >> SYMBOL_BITS, keys & int(_LOW)
    row_left, starts = np.unique(left, return_index=True)
    stops = np.append(starts[1:], len(keys))
    by_length = np.argsort(starts - stops, kind="stable")
    size = 1 << max(num_symbols + 1, int(len(keys) * _ROOM)).bit_length()
    base_R = np.zeros(len(row_left), np.int64)
    while not _lay_rows(
        starts[by_length], stops[by_length], right, base_R, np.zeros(size, np.bool_)
    ):
        size *= 2
    base_S = np.zeros(num_symbols + 1, np.uint32)
    base_S[row_left[by_length]] = base_R
    slot_P = np.full(size, (1 << 64) - 1, np.uint64)
    places = (base_S[left].astype(np.int64) + right) & (size - 1)
    slot_P[places] = (answers.astype(np.uint64) << _SYMBOL_BITS) | left.astype(np.uint64)
    return Pairs(base_S, slot_P)


@kernel
def _lay_rows(starts: Any, stops: Any, right: Any, base_R: Any, taken: Any) -> Any:
    """Find a place for every row, the longest first; False where the table is too small."""
    place = 0
    for row in range(len(starts)):
        base = _find_base(right[starts[row] : stops[row]], place, taken)
        if base < 0:
            return False
        base_R[row] = base
        for entry in range(starts[row], stops[row]):
            taken[(base + right[entry]) & (len(taken) - 1)] = True
        place = (base + right[starts[row]]) & (len(taken) - 1)
    return True


@part
def _find_base(right: Any, place: Any, taken: Any) -> Any:
    """Where a row fits, looking from where the one before it went; -1 where it fits nowhere."""
    last = len(taken) - 1
    for step in range(len(taken)):
        base = (place + step - right[0]) & last
        fits = True
        for entry in range(len(right)):
            if taken[(base + right[entry]) & last]:
                fits = False
                break
        if fits:
            return base
    return -1
