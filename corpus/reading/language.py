"""The language of a text by its script, for lines that do not say it.

Three answers are enough for balancing: Chinese, English, other.  The price: any language in Latin
letters counts as English, so a German corpus should say `language = "de"` in its input.
`characters.detect_languages` answers the same for whole columns.
"""

from __future__ import annotations

import re

_HAN = re.compile("[〇々\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f]+")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a]+")
_LETTERS = re.compile(r"[^\W\d_]+")
PATTERNS = (_LETTERS, _HAN, _KANA, _LATIN)

SAMPLE = 10_000
HAN_SHARE, KANA_SHARE, LATIN_SHARE = 0.3, 0.05, 0.5


def detect_language(text: str) -> str:
    """ "zh", "en" or "other", from the first 10,000 characters.

    Chinese: at least 30 % of the letters are Han and fewer than 5 % kana (else it is Japanese).
    English: more than half are Latin.
    """
    sample = text[:SAMPLE]
    letters = _count(_LETTERS, sample)
    if not letters:
        return "other"
    if _count(_HAN, sample) >= HAN_SHARE * letters:
        return "zh" if _count(_KANA, sample) < KANA_SHARE * letters else "other"
    return "en" if _count(_LATIN, sample) > LATIN_SHARE * letters else "other"


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))
