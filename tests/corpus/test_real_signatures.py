"""On real text: the signatures of thousands of documents are datasketch's, none differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from corpus import hash_tokens_128, minhash
from corpus.hashing.shingles import split_tokens
from corpus.hashing.signatures import normalized_keys
from tests.corpus.oracle import HASHES, SCHEMES, hash_text, make_signature

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="real text not present")


def read_texts(language: str, each: int) -> Iterator[str]:
    """Texts of every file, so many of each."""
    for path in sorted((SHARED / language).glob("*.jsonl.zst")):
        with zstandard.open(path, "rt", encoding="utf-8") as file:
            yield from (json.loads(line)["text"] for line in islice(file, each))


def count_differences(texts: list[str], num_perm: int) -> int:
    """Texts and ways of hashing whose signature is not datasketch's."""
    differences = 0
    for hash in HASHES:
        hashes = [hash_text(text, 5, hash) for text in texts]
        for scheme in SCHEMES:
            found = minhash(pa.array(texts), num_perm=num_perm, hash=hash, scheme=scheme)
            for values, signature in zip(hashes, found.to_pylist(), strict=True):
                differences += make_signature(values, num_perm, 1, scheme) != signature
    return differences


@pytest.mark.parametrize(("language", "each", "characters"), [("zh", 250, 70), ("en", 600, 250)])
def test_5000_documents_have_datasketchs_signatures(
    language: str, each: int, characters: int
) -> None:
    texts = [text[:characters] for text in read_texts(language, each)]
    assert len(texts) >= 5000
    assert count_differences(texts, 128) == 0


@pytest.mark.parametrize("language", ["zh", "en"])
def test_whole_documents_have_datasketchs_signatures(language: str) -> None:
    texts = [text for text in read_texts(language, 3) if len(text) < 30_000]
    assert max(map(len, texts)) > 10_000
    assert count_differences(texts, 64) == 0
    keys = [tuple(map(int, row)) for row in normalized_keys(pa.array(texts))]
    assert keys == [hash_tokens_128(split_tokens(text)) for text in texts]
