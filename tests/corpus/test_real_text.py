"""On real text: four versions of the Chinese Python documentation."""

from __future__ import annotations

import io
import json
import tarfile
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from corpus import find_duplicates, split_shingles
from corpus.dedup.findings import NEAR

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
    near = zip(found.rows, found.keepers, found.jaccard, found.kinds == NEAR, strict=True)
    for row, keeper, value in [each[:3] for each in near if each[3]][::25]:
        a, b = set(split_shingles(texts[row])), set(split_shingles(texts[keeper]))
        assert keeper not in removed
        assert value == len(a & b) / len(a | b) >= 0.8
