"""Which characters may stand in a learned piece.

A run is made of Han characters and, where wanted, of the punctuation of Chinese text.  Some of
that punctuation (“ ” — … ·) stands in English text too, so a piece needs a character that does
not: a Han character or one of the punctuation blocks that only CJK text uses.  No English text can
then meet a learned piece, whatever was learned.

Where wanted, one space in front of a run belongs to it, as it does to an English word: in text that
mixes the two (`用 Python 的`) every tenth token is such a space otherwise.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tokenizer.model import SPACE


class Kind(IntEnum):
    """Kind of a character; from CJK_PUNCTUATION on it makes a piece safe for English."""

    OTHER = 0
    SPACE = 1
    SHARED_PUNCTUATION = 2
    CJK_PUNCTUATION = 3
    HAN = 4


_HAN = (
    (0x3005, 0x3007),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2FA1F),
    (0x30000, 0x323AF),
)
# Not among them: the ideographic space U+3000, full-width digits and letters.
_CJK_PUNCTUATION = (
    (0x3001, 0x3004),
    (0x3008, 0x303F),
    (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF65),
)
_SHARED_PUNCTUATION = "“”‘’—…·"
_CJK_ONLY = ((0x3000, 0x303F), *_HAN, (0xFF00, 0xFFEF))


def make_kinds(*, punctuation: bool, spaces: bool = False) -> NDArray[np.uint8]:
    """`Kind` of every code point.

    Args:
        punctuation: without it only Han characters make a run.
        spaces: whether the space in front of a run belongs to it.
    """
    kinds = np.zeros(0x110000, np.uint8)
    if spaces:
        kinds[[ord(" "), ord(SPACE)]] = Kind.SPACE
    if punctuation:
        for first, last in _CJK_PUNCTUATION:
            kinds[first : last + 1] = Kind.CJK_PUNCTUATION
        kinds[[ord(character) for character in _SHARED_PUNCTUATION]] = Kind.SHARED_PUNCTUATION
    for first, last in _HAN:
        kinds[first : last + 1] = Kind.HAN
    return kinds


def is_cjk_only(character: str) -> bool:
    """Whether no English text holds the character: Han, U+3000-303F or U+FF00-FFEF."""
    code = ord(character)
    return any(first <= code <= last for first, last in _CJK_ONLY)


@cache
def list_common_characters() -> tuple[str, ...]:
    """The 6,763 Han characters of GB 2312, the frequent ones (level 1) first."""
    found: list[str] = []
    for row in range(0xB0, 0xF8):
        cells = (bytes((row, cell)).decode("gb2312", "ignore") for cell in range(0xA1, 0xFF))
        found += [character for character in cells if character]
    return tuple(found)
