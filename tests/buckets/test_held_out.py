"""Held-out documents fit a sequence in both vocabularies, and their characters are counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from buckets.held_out import HeldOutDocument, cut_documents, write_held_out
from buckets.shards import ShardReader
from tokenizer import Encoder

LENGTH = 32


@pytest.fixture(scope="module")
def encoders(model_path: Path) -> list[Encoder]:
    """Two vocabularies: with the dummy prefix and without (so that counts differ)."""
    return [Encoder(model_path), Encoder(model_path, prefix=False)]


@pytest.fixture(scope="module")
def documents(rows_of: Callable) -> list[HeldOutDocument]:
    rows = rows_of(3, {("zh", "law"): (12, 80), ("en", "books"): (12, 80), ("zh", "qa"): (12, 30)})
    names = ("id", "category", "language", "prompt", "text")
    return [HeldOutDocument(**{name: row[name] for name in names}) for row in rows]


def count(encoder: Encoder, document: HeldOutDocument, text: str) -> int:
    return sum(len(encoder.encode([part])[0]) for part in (document.prompt, text)) + 2


def test_cut_at_the_last_character_that_fits(
    documents: list[HeldOutDocument], encoders: list[Encoder]
) -> None:
    cut = {document.id: document.text for document in cut_documents(documents, encoders, LENGTH)}
    shortened = 0
    for document in documents:
        text = cut[document.id]
        assert text and document.text.startswith(text)
        assert all(count(encoder, document, text) <= LENGTH for encoder in encoders)
        if text != document.text:
            shortened += 1
            longer = document.text[: len(text) + 1]
            assert any(count(encoder, document, longer) > LENGTH for encoder in encoders)
    assert shortened > 5


def test_prompt_that_fills_the_sequence_is_left_out(encoders: list[Encoder]) -> None:
    long = HeldOutDocument("a" * 32, "qa", "zh", "天地玄黄" * 40, "宇宙")
    kept = HeldOutDocument("b" * 32, "qa", "zh", "天地", "宇宙")
    assert cut_documents([long, kept], encoders, LENGTH) == [kept]


def test_loss_on_the_text_alone(
    documents: list[HeldOutDocument], encoders: list[Encoder], tmp_path: Path
) -> None:
    cut = cut_documents(documents, encoders, LENGTH)
    for number, encoder in enumerate(encoders):
        prefix = tmp_path / str(number)
        learned = write_held_out(prefix, cut, encoder, LENGTH)
        reader = ShardReader(prefix)
        assert (reader.num_sequences, reader.sequence_length) == (len(cut), LENGTH)
        for index, document in enumerate(cut):
            packed = reader.read(index)
            ids = encoder.encode([document.text])[0]
            learned -= len(ids)
            assert np.array_equal(packed.tokens[packed.learn], ids)
            assert encoder.decode(packed.tokens[packed.learn]) == document.text
            assert packed.tokens[0] == encoder.bos and packed.opens.tolist()[0]
            assert packed.opens.sum() == 1 and not (packed.learn & packed.padding).any()
            assert (~packed.padding).sum() == count(encoder, document, document.text)
            assert packed.tokens[~packed.padding][-1] == encoder.eos
        assert learned == 0
