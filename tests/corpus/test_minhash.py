"""Signatures are datasketch's to the bit, and shingles are what their definition says."""

from __future__ import annotations

import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import hash_shingle, hash_shingles, jaccard, minhash, split_shingles
from corpus.shingles import split_tokens

TEXTS = [
    "第一条 为了规范不动产登记行为，方便不动产登记申请，维护不动产交易安全，制定本规定。",
    "The quick  brown Fox—jumps over; the LAZY dog's back, and over again.",
    "用 Python 3.11 写一个 hello world 程序：print('你好, ＷＯＲＬＤ')。",
    "",
    "！？…  \n",
    "短",
    "one two",
    "日本語のテスト 한국어 สวัสดี 𠀀𠀁 𝒜𝒷 e\u0301 a\u200db ①② ﾃｽﾄ ㍿ 🙂",
    "长" * 2500 + " and " * 1300,
]


def expected_signature(text: str, num_perm: int, ngram: int, seed: int) -> list[int]:
    sketch = MinHash(num_perm=num_perm, seed=seed, hashfunc=hash_shingle)
    sketch.update_batch(split_shingles(text, ngram))
    return sketch.hashvalues.tolist()


@pytest.mark.parametrize(
    ("num_perm", "ngram", "seed"), [(128, 5, 1), (128, 1, 1), (30, 3, 7), (17, 32, 2)]
)
def test_signature_is_datasketchs(num_perm: int, ngram: int, seed: int) -> None:
    found = minhash(pa.array(TEXTS), num_perm=num_perm, ngram=ngram, seed=seed)
    assert found.type == pa.list_(pa.uint32(), num_perm)
    for text, signature in zip(TEXTS, found.to_pylist(), strict=True):
        assert signature == expected_signature(text, num_perm, ngram, seed)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.integers(1, 6))
def test_signature_of_any_text_is_datasketchs(texts: list[str], ngram: int) -> None:
    found = minhash(pa.array(texts, pa.string()), num_perm=16, ngram=ngram)
    assert found.to_pylist() == [expected_signature(text, 16, ngram, 1) for text in texts]


ALPHABET = "ab 中文。1é\u0301\u200d\ufe0fＡカ한ไ𠀀🙂\0"


@settings(max_examples=150, deadline=None)
@given(st.text(ALPHABET, max_size=80))
def test_signature_of_mixed_scripts_is_datasketchs(text: str) -> None:
    found = minhash(pa.array([text]), num_perm=16, ngram=2)
    assert found.to_pylist() == [expected_signature(text, 16, 2, 1)]


def test_every_code_point_is_classified_as_the_reference_says() -> None:
    points = [chr(code) for code in range(0x32000) if not 0xD800 <= code < 0xE000]
    texts = ["a".join(points[start : start + 64]) for start in range(0, len(points), 64)]
    found = minhash(pa.array(texts), num_perm=4, ngram=1).to_pylist()
    for text, signature in list(zip(texts, found, strict=True))[::3]:
        hashes = [hash % (1 << 32) for hash in hash_shingles(text, 1)]
        sketch = MinHash(num_perm=4, hashfunc=int)
        sketch.update_batch(sorted(set(hashes)))
        assert sketch.hashvalues.tolist() == signature, text


def test_hashes_given_as_numbers_make_the_same_signature() -> None:
    sketch = MinHash(num_perm=64, hashfunc=int)
    sketch.update_batch(hash_shingles(TEXTS[0]))
    assert minhash(pa.array(TEXTS[:1]), num_perm=64).to_pylist() == [sketch.hashvalues.tolist()]


def test_column_kinds_and_slices_make_the_same_signatures() -> None:
    plain = minhash(pa.array(TEXTS))
    assert minhash(pa.array(TEXTS, pa.large_string())).equals(plain)
    assert minhash(pa.array(["x", *TEXTS, "y"]).slice(1, len(TEXTS))).equals(plain)
    assert minhash(pa.chunked_array([TEXTS[:2], TEXTS[2:]])).equals(plain)
    assert minhash(pa.array([None, "a"])).equals(minhash(pa.array(["", "a"])))
    assert len(minhash(pa.array([], pa.string()))) == 0
    with pytest.raises(TypeError, match="int64"):
        minhash(pa.array([1]))


def test_malformed_bytes_are_not_read_past_the_end() -> None:
    broken = pa.array([b"abc \xe4\xb8", b"\xf0"]).view(pa.string())
    assert minhash(broken)[0] == minhash(pa.array(["abc"]))[0]


def test_tokens_are_folded_words_and_characters() -> None:
    assert split_tokens("ＡＢＣ中文Def's 3.14") == ["abc", "中", "文", "def", "s", "3", "14"]
    assert split_tokens("ﾊﾞ カ 〇 々 ⼀") == ["ハ", "カ", "〇", "々", "一"]
    assert split_tokens("naïve NAÏVE co\u00adop") == ["naïve", "naïve", "coop"]
    assert split_tokens(" ！？🙂") == []


def test_shingles_are_runs_of_tokens() -> None:
    assert ["".join(each) for each in split_shingles("一二三四五六")] == [
        "一二三四五",
        "二三四五六",
    ]
    assert split_shingles("a b 中 c d e") == [
        ("a", "b", "中", "c", "d"),
        ("b", "中", "c", "d", "e"),
    ]
    assert split_shingles("短文") == [("短", "文")]
    assert split_shingles("。") == []
    assert jaccard("一二三四五六", "一二三四五七") == 1 / 3
    assert jaccard("", "") == 0.0
