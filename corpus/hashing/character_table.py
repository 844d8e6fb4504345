"""Kind and folded form of every code point of planes 0 and 1, as an array for the kernels.

`shingles.classify` says what they are; to ask it about all of them takes 0.16 s in each process.
Most need no question: what is not assigned separates, and Han and Hangul have no case or width.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from corpus.hashing.shingles import CHARACTER, TABLE_SIZE, classify

_UNFOLDED = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7A4))
"""Han and Hangul syllables: characters of their own."""


@lru_cache
def character_table() -> NDArray[np.uint32]:
    """Kind (from bit 24) and folded code point."""
    assigned = _find_assigned()
    table = np.zeros(TABLE_SIZE, np.uint32)
    for first, last in _UNFOLDED:
        codes = np.arange(first, last, dtype=np.uint32)
        table[first:last] = np.where(assigned[first:last], CHARACTER << 24 | codes, 0)
        assigned[first:last] = False
    codes = np.flatnonzero(assigned)
    table[codes] = [kind << 24 | folded for kind, folded in map(classify, codes.tolist())]
    return table


def _find_assigned() -> NDArray[np.bool_]:
    """Code points that are not unassigned, private or surrogates."""
    categories = map(unicodedata.category, map(chr, range(TABLE_SIZE)))
    return np.fromiter((each not in {"Cn", "Co", "Cs"} for each in categories), bool, TABLE_SIZE)
