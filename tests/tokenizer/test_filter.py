"""What the piece filter takes out, what it must leave, and that nothing goes without a row."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.learning.advertising import PHRASES, PhraseSet, fold_phrase
from tokenizer.learning.filter import Filter, find_twins, read_phrases
from tokenizer.learning.left_out import (
    LeftOut,
    count_left_out,
    describe_left_out,
    write_left_out,
)
from tokenizer.learning.oddities import fold
from tokenizer.model import SPACE, PieceType, parse_model
from tongwen.errors import TongwenError
from tongwen.recipe import PieceFilter

SHARED = Path(__file__).parents[3] / "shared" / "data"
DIGITS = st.text(st.sampled_from("0123456789"))
SHAPES = {
    "email": ["zhang.san@example.com", "联系me@qq.com", "ｚｓ＠ｅｘａｍｐｌｅ．ｃｏｍ", "@163.com"],
    "url": ["https://", "www.", "见www.example.cn", "example.com", "example.com.cn，", "ftp://x"],
    "phone": [
        "13800138000",
        "+86-138-0013-8000",
        "电话１３８００１３８０００",
        "一三八零零一三八零零零",
        "400-810-8888",
        "4008108888",
        "010-62345678",
        "(0755)26712345",
    ],
    "id-number": [
        "11010519491231002X",
        "身份证11010519491231002x号",
        "440524188001010014",
        "130503670401001",
    ],
    "bank-card": ["6222021234567890128", "4111-1111-1111-1111", "5500-0000-0000-0004"],
    "account": ["微信号：abc_12345", "QQ：12345678", "qq群987654", "薇信wxid_99"],
}
SHAPES["id-number"].remove("440524188001010014")  # born in 1880: not a date of a living person
ORDINARY = (
    *(
        "加微",
        "下载",
        "微信",
        "点击",
        "关注",
        "版权",
        "转载",
        "编辑",
        "客服",
        "电话",
        "澳门",
        "棋牌",
    ),
    *(
        "威尼斯人",
        "在线观看",
        "联系电话",
        "推荐阅读",
        "老虎机",
        "微信公众号",
        "下载地址",
        "未经授权",
    ),
    *("澳门特别行政区", "网络小说", "彩票网点", "要求关注", "请求订阅", "扫描二维码", "咨询热线"),
    *("二〇二四年", "一九九七", "一二三四五六七八九", "20240131", "3.14159", "12:30", "３．１４"),
    *("第1380013800号之一", "2147483647", "v1.2.3", "os.path", "Node.js", "A/B", "IP地址"),
    *(
        "，",
        "。”",
        "——",
        "……",
        "！！！",
        "。。。。",
        "《中华人民共和国",
        "》的",
        "（一",
        "哈哈哈哈",
    ),
    *("々", "〇", "𠮷", "鼴", "“", "·", "、、、、", "中国人民银行"),
)


@pytest.fixture(scope="module")
def everything() -> Filter:
    return Filter()


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in SHAPES.items() for text in texts]
)
def test_planted_shape_is_found(everything: Filter, name: str, text: str) -> None:
    verdict = everything.judge(text)
    assert verdict is not None and verdict.rule == f"shape:{name}", text
    assert Filter(shapes=False).judge(text) is None


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(everything: Filter, text: str) -> None:
    assert everything.judge(text) is None


@given(st.text(st.sampled_from("0123456789"), min_size=3, max_size=3))
def test_the_check_character_of_an_id_is_that_of_iso_7064(middle: str) -> None:
    body = f"11010519491231{middle}"
    for value, last in enumerate("0123456789X"):
        digits = [*map(int, body), value]
        right = sum(d * pow(2, 17 - i, 11) for i, d in enumerate(digits)) % 11 == 1
        verdict = Filter().judge(body + last)
        assert (verdict is not None and verdict.rule == "shape:id-number") == right


@given(DIGITS.filter(lambda text: len(text) <= 13), st.integers(10, 13))
def test_one_check_digit_of_a_card_is_right(start: str, size: int) -> None:
    body = ("6225" + start + "7" * size)[: 4 + size + 1]
    body = body if len(body) >= 15 else body + "1" * (15 - len(body))
    judged = [Filter().judge(body + last) for last in "0123456789"]
    assert [v.rule for v in judged if v].count("shape:bank-card") == 1


@given(st.text(st.sampled_from("0123456789"), min_size=9, max_size=9), st.sampled_from("3456789"))
def test_mobile_numbers_have_eleven_digits(rest: str, second: str) -> None:
    number = f"1{second}{rest}"
    verdict = Filter().judge(f"手机{number}，")
    assert verdict is not None and verdict.rule == "shape:phone"
    longer = Filter().judge(number + "0")
    assert longer is None or longer.rule != "shape:phone"


def test_every_phrase_is_found_in_any_spelling(everything: Filter) -> None:
    assert 150 <= len(PHRASES) <= 300
    for phrase in PHRASES:
        assert len(phrase) >= 3 and fold_phrase(phrase) == phrase
        wide = "".join(chr(ord(c) + 0xFEE0) if c.isascii() else c for c in phrase.upper())
        for text in (phrase, wide, f"请{phrase}吧"):
            verdict = everything.judge(text)
            assert verdict is not None and verdict.rule == "advertising", text
        assert Filter(advertising=False).judge(phrase) is None


@given(st.lists(st.text("甲乙丙Ａa", min_size=1, max_size=3)), st.text("甲乙丙Ａa", max_size=8))
def test_phrases_are_found_as_by_brute_force(phrases: list[str], text: str) -> None:
    folded = fold_phrase(text)
    found = PhraseSet(phrases).find(folded)
    assert (found is not None) == any(fold_phrase(phrase) in folded for phrase in phrases)
    assert found is None or (found in folded and found in set(map(fold_phrase, phrases)))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("中\x07", "control"),
        ("中\u2028", "control"),
        ("\ud800中", "control"),
        ("中\u200b文", "invisible"),
        ("\ufeff中", "invisible"),
        ("葛\U000e0100", "invisible"),
        ("\u202e中", "invisible"),
        ("中\u3164", "invisible"),
        ("中 文", "space"),
        ("\u3000中", "space"),
        ("\ue000", "private-use"),
        ("中\ufffe", "unassigned"),
        ("\ufffd，", "replacement"),
        ("！！！！！", "repetition"),
        ("————————", "repetition"),
        ("a。。。。。。", "repetition"),
        ("哈哈哈哈哈哈哈哈", "repetition"),
    ],
)
def test_what_is_no_language_is_left_out_with_its_reason(text: str, rule: str) -> None:
    verdict = Filter(shapes=False, advertising=False).judge(text)
    assert verdict is not None and verdict.rule == rule and verdict.reason


@given(st.characters(categories=["Lu", "Ll", "Lo", "Nd", "Po", "Ps", "Sm"]))
def test_no_printed_character_is_left_out_alone(character: str) -> None:
    if character not in "\u115f\u1160\u3164\uffa0":
        assert Filter().judge(character) is None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_folding_again_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text("ＡｚＺ９㎡凉樂ｶﾞé中", max_size=8))
def test_letters_and_ideographs_are_folded_by_nfkc(text: str) -> None:
    assert fold(text) == unicodedata.normalize("NFKC", text)


def test_marks_of_chinese_text_are_not_folded() -> None:
    marks = "，。！？：；（）、《》“”‘’…—·～％＋【】「」"
    assert fold(marks) == marks
    assert fold("｡､｢") == "。、「"


@given(st.dictionaries(st.text("Ａa樂樂", min_size=1, max_size=3), st.integers(0, 9)))
def test_of_twins_one_stays(counts: dict[str, int]) -> None:
    rows = find_twins(counts)
    lost = {row.piece for row in rows}
    stay = [text for text in counts if text not in lost]
    assert len(rows) == len(lost) and {fold(text) for text in stay} == set(map(fold, counts))
    assert len(set(map(fold, stay))) == len(stay)
    for row in rows:
        assert row.count == counts[row.piece] and row.rule == "normalisation"
        assert row.piece != fold(row.piece), "the standard form stays where it is there"


def test_the_standard_form_stays_else_the_most_frequent() -> None:
    radical, twin = "\u2f00", "\uf914"  # U+4E00 and U+6A02 after normalisation
    assert [row.piece for row in find_twins({f"{radical}子": 9, "一子": 1})] == [f"{radical}子"]
    counts = {f"{radical}{twin}": 1, f"一{twin}": 5}
    assert [row.piece for row in find_twins(counts)] == [f"{radical}{twin}"]


def test_a_twin_of_the_base_goes() -> None:
    twin = "\uf914"  # a compatibility ideograph for U+6A02
    assert [row.piece for row in find_twins({twin: 9}, ["\u6a02"])] == [twin]
    assert find_twins({twin: 9, "\u6a02子": 1}) == []


def test_patterns_and_denylist_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "deny.txt"
    path.write_bytes("\ufeff# 人名\r\n张三\r\n\r\n ＡＢＣ公司 \r\n".encode())
    section = PieceFilter(patterns=("^的.*的$", "\\d年"), denylist="deny.txt")
    taken = Filter.from_recipe(section, lambda name: tmp_path / name)
    rules = {text: verdict and verdict.rule for text, verdict in _judge_all(taken, _NAMED)}
    assert rules == {
        "见张三": "denylist",
        "abc公司的": "denylist",
        "的事的": "pattern",
        "5年": "pattern",
        "人名": None,
        "张": None,
        "的事": None,
    }
    verdict = taken.judge("5年")
    assert verdict is not None and "patterns.1" in verdict.reason


_NAMED = ("见张三", "abc公司的", "的事的", "5年", "人名", "张", "的事")


def _judge_all(judge: Filter, texts: tuple[str, ...]):
    return [(text, judge.judge(text)) for text in texts]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(客服", ["patterns.1", "'(客服'", "character 1 "]),
        ("a**", ["patterns.1", "character 3 "]),
        (".*", ["patterns.1", "empty string"]),
        ("x?|中", ["empty string"]),
    ],
)
def test_a_wrong_pattern_is_named(pattern: str, words: list[str]) -> None:
    with pytest.raises(TongwenError) as error:
        Filter.from_recipe(PieceFilter(patterns=("好", pattern)), Path)
    assert all(word in str(error.value) for word in words), error.value


def test_a_denylist_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "gbk.txt").write_bytes("好\n".encode() + "中文".encode("gb18030"))
    for name, words in {
        "none.txt": "No such file",
        "": "is a folder",
        "gbk.txt": "line 2 of gbk.txt is not UTF-8",
    }.items():
        with pytest.raises(TongwenError) as error:
            read_phrases(tmp_path / name, "tokenizer.filter.denylist")
        assert words in str(error.value) and "tokenizer.filter.denylist" in str(error.value)


def test_left_out_has_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    rows = [
        LeftOut("甲", 3, "pattern", "r"),
        LeftOut("乙", 9, "pattern", "r"),
        LeftOut("\ud800", 1, "list:control", "r"),
        LeftOut("\x1b[2J", 1, "advertising", "r"),
    ]
    write_left_out(rows, tmp_path / "one.parquet")
    write_left_out(reversed(rows), tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    table = pq.read_table(tmp_path / "one.parquet")
    assert table["piece"].to_pylist() == ["\x1b[2J", "\\ud800", "乙", "甲"]
    assert count_left_out(rows) == {"advertising": 1, "list:control": 1, "pattern": 2}
    lines = describe_left_out(rows)
    assert lines[2] == "pattern: 2 left out (乙, 甲)" and "\x1b" not in "".join(lines)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published tokenizers are not here")
@pytest.mark.parametrize(
    ("file", "share"),
    [("chinese-llama2-55296/tokenizer.model", 5e-4), ("internlm-7b/V7_sft.model", 2e-4)],
)
def test_published_words_stay_but_for_boilerplate(file: str, share: float) -> None:
    texts = {
        piece.piece.strip(SPACE)
        for piece in parse_model(SHARED / "tokenizers" / file).pieces
        if piece.type == PieceType.NORMAL and re.search("[\u4e00-\u9fff]", piece.piece)
    }
    hits = {text: verdict for text in texts if (verdict := Filter().judge(text))}
    assert {verdict.rule for verdict in hits.values()} == {"advertising"}
    assert len(hits) <= share * len(texts)
    assert all(re.search("转载|原文|二维码|公众号|编辑|版权|网络|下载|精彩", text) for text in hits)
