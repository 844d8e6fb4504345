"""Real text in LLaMA-2's vocabulary and an extended one: all of it is there, and only once."""

from __future__ import annotations

import io
import json
from itertools import islice
from pathlib import Path

import pytest
import zstandard

from buckets.held_out import HeldOutDocument, cut_documents, write_held_out
from buckets.shards import ShardReader
from tokenizer import Encoder

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="real text not present")
FILES = ("zh/zh_law", "zh/zh_poetry", "en/en_peps")
LENGTH = 1024


@pytest.fixture(scope="module")
def documents() -> list[HeldOutDocument]:
    found: list[HeldOutDocument] = []
    for name in FILES:
        with (SHARED / f"{name}.jsonl.zst").open("rb") as file:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8")
            for line in islice(lines, 30):
                text = json.loads(line)["text"][:20_000]
                found.append(HeldOutDocument(f"{len(found):032x}", name, "zh", "", text))
    return found


@pytest.fixture(scope="module")
def encoders() -> list[Encoder]:
    names = ("llama2", "chinese-llama2-55296")
    return [Encoder(SHARED / "tokenizers" / name / "tokenizer.model") for name in names]


def test_both_vocabularies_see_the_same_characters(
    documents: list[HeldOutDocument], encoders: list[Encoder], tmp_path: Path
) -> None:
    cut = cut_documents(documents, encoders, LENGTH)
    assert len(cut) == len(documents)
    assert sum(len(document.text) for document in cut) > 20_000
    for encoder in encoders:
        write_held_out(tmp_path / "shard", cut, encoder, LENGTH)
        reader = ShardReader(tmp_path / "shard")
        for index, document in enumerate(cut):
            packed = reader.read(index)
            assert encoder.decode(packed.tokens[packed.learn]) == document.text
