"""Characters are counted as a plain loop over unicodedata counts them; scripts are told apart."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.counting.character_classes import CLASSES, COUNTS, class_table, count_characters

SIMPLIFIED = "汉语简体书写与传统书写对应的许多字变为较简单的样子，学习时应当注意。"
TRADITIONAL = "漢語簡體書寫與傳統書寫對應的許多字變為較簡單的樣子，學習時應當注意。"

_HAN_NAMES = re.compile(
    "CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH|KANGXI RADICAL|CJK RADICAL|HANGZHOU NUMERAL"
    "|(VERTICAL )?IDEOGRAPHIC ITERATION MARK|IDEOGRAPHIC NUMBER ZERO"
)
_KANA_HANGUL_NAMES = re.compile("HIRAGANA|KATAKANA|HANGUL|HENTAIGANA|VERTICAL KANA REPEAT")


def name_class(letter: str) -> str:
    """The class by the name and category that Unicode gives."""
    category, name = unicodedata.category(letter), unicodedata.name(letter, "")
    if _HAN_NAMES.match(name) or 0x20000 <= ord(letter) < 0x40000:
        return "han"
    if category[0] in "LM" and _KANA_HANGUL_NAMES.search(name):
        return "kana_hangul"
    if category[0] == "L" and "LATIN " in name:
        return "latin"
    if letter.isspace():
        return "space"
    if category[0] == "P" or category in ("Sm", "Sc", "Sk"):
        return "punctuation"
    return "digits" if category == "Nd" else "other"


def encodes(letter: str, name: str) -> bool:
    try:
        letter.encode(name)
    except UnicodeEncodeError:
        return False
    return True


def count_slowly(text: str) -> dict[str, int]:
    classes = Counter(map(name_class, text))
    han = [letter for letter in text if name_class(letter) == "han"]
    chinese = [(encodes(letter, "gb2312"), encodes(letter, "big5")) for letter in han]
    counts = {name: classes[name] for name in CLASSES}
    scripts = {
        "simplified": chinese.count((True, False)),
        "traditional": chinese.count((False, True)),
    }
    return {"characters": len(text), **counts, **scripts}


def count(text: str) -> dict[str, int]:
    (row,) = count_characters(pa.array([text])).tolist()
    return dict(zip(COUNTS, row, strict=True))


def _is_sure(code: int) -> bool:
    """Unicode gives no name to what it has not assigned; surrogates are no characters."""
    return unicodedata.category(chr(code)) not in ("Cn", "Cs")


def test_every_assigned_character_has_the_class_of_its_name() -> None:
    codes = [code for code in (*range(0x20000), *range(0x2F800, 0x2FA1E)) if _is_sure(code)]
    counted = count_characters(pa.array(list(map(chr, codes))))
    assert (counted[:, 0] == 1).all()
    found = counted[:, 1 : 1 + len(CLASSES)]
    assert (found.sum(axis=1) == 1).all()
    wrong = [
        (hex(code), CLASSES[place], name_class(chr(code)))
        for code, place in zip(codes, found.argmax(axis=1).tolist(), strict=True)
        if CLASSES[place] != name_class(chr(code))
    ]
    assert wrong == []


_ALPHABETS = (
    "汉漢后裡囧镕々〇",
    "かナｶ한ㄱー",
    "azÀﬁＡ",
    "09０٣",
    "，。—$+`",
    " \n\u3000\x85",
    "é🧧\0я",
)
_TEXTS = st.one_of(
    st.text(max_size=300),
    st.text(st.sampled_from("".join(_ALPHABETS) + "\U00020000\U0003ffff\U00040000"), max_size=600),
    st.text(st.sampled_from(string.printable), max_size=600),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.none(), _TEXTS), max_size=5))
def test_counts_are_those_of_a_plain_loop(texts: list[str | None]) -> None:
    found = count_characters(pa.array(texts, pa.string()))
    assert found.shape == (len(texts), len(COUNTS))
    for row, text in zip(found.tolist(), texts, strict=True):
        slow = count_slowly("".join(c for c in text or "" if _is_sure(ord(c))))
        unassigned = [c for c in text or "" if not _is_sure(ord(c))]
        slow["characters"] += len(unassigned)
        slow["han"] += sum(_is_han_range(ord(c)) for c in unassigned)
        slow["other"] += sum(not _is_han_range(ord(c)) for c in unassigned)
        assert dict(zip(COUNTS, row, strict=True)) == slow


def _is_han_range(code: int) -> bool:
    return 0x3400 <= code < 0x4DC0 or 0x4E00 <= code < 0xA000 or 0x20000 <= code < 0x40000


@pytest.mark.parametrize("letter", ["a", "é", "汉", "🧧", "7"])
@pytest.mark.parametrize("length", [1, 7, 8, 9, 254, 255, 256, 511, 70_001])
def test_no_counter_runs_over(letter: str, length: int) -> None:
    assert count(letter * length) == {name: n * length for name, n in count_slowly(letter).items()}


def test_simplified_and_traditional_text_are_told_apart() -> None:
    simplified, traditional = count(SIMPLIFIED), count(TRADITIONAL)
    assert simplified["traditional"] == traditional["simplified"] == 0
    assert simplified["han"] == traditional["han"] == len(SIMPLIFIED) - 2
    pairs = zip(SIMPLIFIED, TRADITIONAL, strict=True)
    changed = [(one, other) for one, other in pairs if one != other]
    assert traditional["traditional"] == len(changed) == 25
    assert simplified["simplified"] == 25 - len({("体", "體"), ("与", "與")} & set(changed))


def test_the_price_is_as_documented() -> None:
    table = class_table()
    codes = range(0x4E00, 0xA000)
    assert sum(count_slowly(chr(code))["simplified"] for code in codes) == 2380
    assert sum(count_slowly(chr(code))["traditional"] for code in codes) == 8678
    assert len(np.unique(table)) == 9
    assert count("囧")["traditional"] == 1
    assert all(count(c)["simplified"] == count(c)["traditional"] == 0 for c in "镕堃后里体")


def test_slices_chunks_and_other_string_types_count_alike() -> None:
    texts = ["汉字 a1", "", "b。", "é"]
    whole = count_characters(pa.array(texts))
    for column in (
        pa.array(["x", *texts, "y"]).slice(1, 4),
        pa.array(texts, pa.large_string()),
        pa.chunked_array([texts[:1], texts[1:]]),
    ):
        assert (count_characters(column) == whole).all()
    with pytest.raises(TypeError, match="strings"):
        count_characters(pa.array([1]))
