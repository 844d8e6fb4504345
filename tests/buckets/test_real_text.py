"""Real text in LLaMA-2's vocabulary and an extended one: all of it is there, and only once."""

from __future__ import annotations

import io
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from buckets.held_out import HeldOutDocument, count_tokens, cut_documents, write_held_out
from buckets.packing import pack_documents
from buckets.shards import ShardReader
from buckets.tokens import TokenStore, encode_chunk
from buckets.writing import write_bucket
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


def test_packed_text_is_the_text(
    documents: list[HeldOutDocument], encoders: list[Encoder], tmp_path: Path
) -> None:
    texts = [document.text for document in documents]
    encoder = encoders[1]
    chunk = pa.RecordBatch.from_pydict({"prompt": [""] * len(texts), "text": texts})
    tokens, length_D, prompt_D = encode_chunk(chunk, encoder)
    assert np.array_equal(length_D, count_tokens(encoder, texts) + 2)
    store = TokenStore(tmp_path / "tokens", len(texts), encoder.size)
    store.add(np.arange(len(texts)), tokens, length_D, prompt_D)
    packing = pack_documents(store.length_N, LENGTH, 0)
    everything = (np.arange(len(texts)), np.zeros(len(texts), np.int32))
    write_bucket(tmp_path / "b", packing, *everything, store, encoder.size, encoder.eos)
    reader = ShardReader(tmp_path / "b")
    found: list[list[int]] = [[] for _ in texts]
    columns = (packing.document_Q, packing.sequence_Q, packing.offset_Q, packing.length_Q)
    for document, sequence, offset, length in np.stack(columns, 1).tolist():
        found[document] += reader.read(sequence).tokens[offset : offset + length].tolist()
    assert [encoder.decode(ids[1:-1]) for ids in found] == texts
