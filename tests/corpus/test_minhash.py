"""Signatures are datasketch's to the bit, and shingles are what their definition says."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import hash_shingles, jaccard, join_shingle, minhash, split_shingles
from corpus.hashing.character_table import character_table
from corpus.hashing.kernels import PIECE, collect_sets
from corpus.hashing.shingles import (
    CHARACTER,
    TABLE_SIZE,
    WORD,
    classify,
    hash_shingle_64,
    hash_tokens_128,
    split_tokens,
)
from corpus.hashing.signatures import (
    Hash,
    Scheme,
    key_array,
    normalized_keys,
    sketch_column,
    sketch_with_normalized,
    string_buffers,
)
from tests.corpus.oracle import HASHES, SCHEMES, assert_equal_to_datasketch, make_signature
from tongwen.errors import TongwenError

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
    "naïve café—Ⱥⱦ ȺȺȺȺ \ufa6c a\ufa6cb Москва, ЁЛКА x" + "y" * 40 + "é",
    " ".join("w" * length for length in range(1, 90)),
    "中".join("Ab9" * length for length in range(1, 40)),
    "".join(f"{'a' * length}é{'b' * length}。" for length in range(1, 70)),
    "\u0301\u0301 a\u0301 中\u0301 \u200d\u200da\u00ad\u00ad b\0c\x7fd",
    "q" * 70000,
    f"one two{' ' * 2 * PIECE}three four five six",
    f"{' ' * 2 * PIECE}one two{'。' * PIECE}three",
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize(
    ("num_perm", "ngram", "seed"), [(128, 5, 1), (128, 1, 1), (30, 3, 7), (17, 32, 2), (256, 2, 1)]
)
def test_signature_is_datasketchs(
    num_perm: int, ngram: int, seed: int, hash: Hash, scheme: Scheme
) -> None:
    assert_equal_to_datasketch(
        TEXTS, num_perm=num_perm, ngram=ngram, seed=seed, hash=hash, scheme=scheme
    )
    assert minhash(pa.array(TEXTS), num_perm=num_perm).type == pa.list_(pa.uint32(), num_perm)


ALPHABET = "ab 中文。1é\u0301\u200d\ufe0fＡカ한ไ𠀀🙂\0"


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text(max_size=60) | st.text(ALPHABET, max_size=200), min_size=1, max_size=4),
    st.integers(1, 6),
    st.sampled_from(HASHES),
    st.sampled_from(SCHEMES),
)
def test_signature_of_any_text_is_datasketchs(
    texts: list[str], ngram: int, hash: Hash, scheme: Scheme
) -> None:
    assert_equal_to_datasketch(texts, num_perm=16, ngram=ngram, seed=1, hash=hash, scheme=scheme)


PARTS = [
    "a",
    "Word",
    " ",
    "\n",
    "，",
    "中文字",
    "汉",
    "é",
    "e\u0301",
    "９",
    "\u200d",
    "𠀀",
    "x" * 20,
]


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 32), st.sampled_from(HASHES))
def test_a_text_of_several_pieces_is_one_text(
    source: random.Random, ngram: int, hash: Hash
) -> None:
    weights = [source.random() ** 3 for _ in PARTS]
    text = "".join(source.choices(PARTS, weights, k=source.randrange(PIECE)))
    texts = [text, text[: PIECE // 3]]
    assert_equal_to_datasketch(
        texts, num_perm=16, ngram=ngram, seed=3, hash=hash, scheme="affine32"
    )
    assert_keys_are_those_of_the_tokens(texts)


def test_every_code_point_is_classified_as_the_reference_says() -> None:
    table = character_table()
    for code in range(TABLE_SIZE):
        kind, folded = classify(code)
        assert table[code] == kind << 24 | folded, hex(code)
        if kind in (CHARACTER, WORD):
            assert (classify(folded)[0] == CHARACTER) == (kind == CHARACTER), hex(code)
            assert len(chr(folded).encode()) <= 2 * len(chr(code).encode()), hex(code)
        if code < 128:
            assert (kind == WORD) == chr(code).isalnum(), hex(code)
            assert folded == (ord(chr(code).lower()) if kind else 0), hex(code)


@pytest.mark.parametrize("between", ["a", " ", "中"])
def test_every_code_point_is_cut_as_the_reference_says(between: str) -> None:
    points = [chr(code) for code in range(0x32000) if not 0xD800 <= code < 0xE000]
    texts = [between.join(points[start : start + 512]) for start in range(0, len(points), 512)]
    found = minhash(pa.array(texts), num_perm=16, ngram=1).to_pylist()
    for text, signature in list(zip(texts, found, strict=True))[::2]:
        assert make_signature(hash_shingles(text, 1), 16, 1, "affine32") == signature, text


def test_hashes_given_as_numbers_make_the_same_signature() -> None:
    sketch = MinHash(num_perm=64, hashfunc=int)
    sketch.update_batch(hash_shingles(TEXTS[0]))
    assert minhash(pa.array(TEXTS[:1]), num_perm=64).to_pylist() == [sketch.hashvalues.tolist()]


@pytest.mark.parametrize("ngram", [1, 5, 32])
def test_sets_are_those_of_the_64_bit_hashes(ngram: int) -> None:
    data, offsets = string_buffers(pa.array(TEXTS))
    values = np.empty(len(data) // 2 + 2 * len(TEXTS), np.uint64)
    ends = np.empty(len(TEXTS), np.int64)
    used = collect_sets(data, offsets, character_table(), key_array(ngram), values, ends)
    assert used == ends[-1]
    found = [part.tolist() for part in np.split(values[:used], ends[:-1])]
    hashes = [map(hash_shingle_64, split_shingles(text, ngram)) for text in TEXTS]
    assert found == [sorted(set(each)) for each in hashes]


def assert_keys_are_those_of_the_tokens(texts: list[str]) -> None:
    expected = [hash_tokens_128(split_tokens(text)) for text in texts]
    found = normalized_keys(pa.array([*texts, "x" * 200], pa.string()))[:-1]
    assert [tuple(map(int, row)) for row in found] == expected


def test_normalized_keys_are_those_of_the_tokens() -> None:
    assert_keys_are_those_of_the_tokens(TEXTS)
    column = pa.array(TEXTS)
    signatures, keys = sketch_with_normalized(column, 48, 4, 9)
    assert np.array_equal(signatures, sketch_column(column, 48, 4, 9))
    assert np.array_equal(keys, normalized_keys(column))


def test_normalized_keys_tell_order_and_number_and_not_looks() -> None:
    same = ["Ａ b，c!", "a B c", "a\u00ad\tb\nC。"]
    other = ["a c b", "a b", "a b c c", "ab c", "a b c d", "c b a"]
    keys = {tuple(row) for row in normalized_keys(pa.array([*same, *other])).tolist()}
    assert len(keys) == 1 + len(other)
    assert (normalized_keys(pa.array(["", " 。", None])) == 0).all()


def test_column_kinds_and_slices_make_the_same_signatures() -> None:
    plain = minhash(pa.array(TEXTS))
    assert minhash(pa.array(TEXTS, pa.large_string())).equals(plain)
    assert minhash(pa.array(["x", *TEXTS, "y"]).slice(1, len(TEXTS))).equals(plain)
    assert minhash(pa.chunked_array([TEXTS[:2], TEXTS[2:]])).equals(plain)
    assert minhash(pa.array([None, "a"])).equals(minhash(pa.array(["", "a"])))
    assert len(minhash(pa.array([], pa.string()))) == 0
    with pytest.raises(TypeError, match="int64"):
        minhash(pa.array([1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hash": "md5"}, "hash is 'md5'"),
        ({"scheme": "affine64"}, "scheme is 'affine64'"),
        ({"num_perm": 0}, "num_perm is 0"),
        ({"ngram": 0}, "ngram is 0"),
    ],
)
def test_an_argument_out_of_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TongwenError, match=message):
        minhash(pa.array(["a"]), **options)


def test_malformed_bytes_are_not_read_past_the_end() -> None:
    broken = pa.array([b"abc \xe4\xb8", b"\xf0"]).view(pa.string())
    for hash in HASHES:
        assert minhash(broken, hash=hash)[0] == minhash(pa.array(["abc"]), hash=hash)[0]


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


def test_the_bytes_of_a_shingle_have_spaces_between_words_only() -> None:
    assert join_shingle(("the", "quick", "brown")) == b"the quick brown"
    assert join_shingle(tuple("一二三四五")) == "一二三四五".encode()
    assert join_shingle(("a", "中", "b", "c")) == "a中b c".encode()
    assert join_shingle(()) == b""
