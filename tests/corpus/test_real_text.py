"""On real text: four versions of the Chinese Python documentation, and a mix of everything."""

from __future__ import annotations

import io
import json
import tarfile
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from datasketch import MinHash

from corpus import find_duplicates, hash_shingle, minhash, split_shingles

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="real text not present")


def read_versions() -> list[dict[str, str]]:
    packed = (SHARED / "neardup" / "zh_pydocs_versions.tar.zst").read_bytes()
    data = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile("zh_pydocs_versions/docs.jsonl")
        assert file is not None
        return [json.loads(line) for line in file]


def test_pairs_of_versions_are_found_as_brute_force_finds_them() -> None:
    documents = read_versions()
    found = find_duplicates(pa.table({"text": [row["text"] for row in documents]}))
    clusters: dict[str, list[int]] = {}
    for row, document in enumerate(documents):
        clusters.setdefault(document["cluster"], []).append(row)
    table = found.source.read(("text",))
    texts = [text for chunk in table for text in chunk.batch.column("text").to_pylist()]
    removed = set(found.rows.tolist())
    missed = expected = 0
    for rows in [*clusters.values()][::10]:
        sets = {row: set(split_shingles(texts[row])) for row in rows}
        for a, b in combinations(rows, 2):
            if not sets[a] or len(sets[a] & sets[b]) < 0.8 * len(sets[a] | sets[b]):
                continue
            expected += 1
            missed += a not in removed and b not in removed
    assert expected > 25
    assert missed <= 1
    near = zip(found.rows, found.keepers, found.jaccard, found.exact, strict=True)
    for row, keeper, value in [each[:3] for each in near if not each[3]][::25]:
        a, b = set(split_shingles(texts[row])), set(split_shingles(texts[keeper]))
        assert keeper not in removed
        assert value == len(a & b) / len(a | b) >= 0.8


@pytest.mark.parametrize("name", ["zh/zh_law", "en/en_peps", "zh/zh_programming_javaguide"])
def test_signatures_of_real_text_are_datasketchs(name: str) -> None:
    with zstandard.open(SHARED / f"{name}.jsonl.zst", "rt", encoding="utf-8") as file:
        texts = [json.loads(next(file))["text"][:1500] for _ in range(20)]
    for text, signature in zip(texts, minhash(pa.array(texts)).to_pylist(), strict=True):
        sketch = MinHash(num_perm=128, hashfunc=hash_shingle)
        sketch.update_batch(split_shingles(text))
        assert sketch.hashvalues.tolist() == signature
