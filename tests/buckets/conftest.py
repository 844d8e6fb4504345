"""A small real SentencePiece model, and documents in the form that the corpus leaves."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import sentencepiece

Row = dict[str, str]
ENGLISH = "the quick brown fox jumps over a lazy dog while rain falls on far hills"
CHINESE = "天地 玄黄 宇宙 洪荒 日月 盈昃 辰宿 列张 寒来 暑往 秋收 冬藏"
WORDS = {"en": ENGLISH.split(), "zh": CHINESE.split()}


def make_text(seed: object, language: str, num_words: int) -> str:
    chance = random.Random(str(seed))
    words = [chance.choice(WORDS[language]) for _ in range(num_words)]
    return (" " if language == "en" else "").join(words)


def make_row(
    seed: object, language: str, category: str, num_words: int, prompt_words: int = 0
) -> Row:
    text = make_text(seed, language, num_words)
    prompt = make_text(("prompt", seed), language, prompt_words)
    name = hashlib.blake2b(f"{prompt}\0{text}\0{seed}".encode(), digest_size=16).hexdigest()
    return {
        "id": name,
        "text": text,
        "prompt": prompt,
        "category": category,
        "language": language,
        "source": "made",
        "origin": f"made:{seed}",
    }


def make_rows(seed: int, sizes: dict[tuple[str, str], tuple[int, int]]) -> list[Row]:
    """Documents of each (language, category): how many, and at most how many words."""
    chance = random.Random(seed)
    rows = [
        make_row((seed, language, category, i), language, category, chance.randint(1, most), asked)
        for (language, category), (count, most) in sizes.items()
        for i in range(count)
        for asked in [chance.randint(1, 8) if category == "qa" else 0]
    ]
    chance.shuffle(rows)
    return rows


def make_batches(rows: list[Row], size: int = 37) -> list[pa.RecordBatch]:
    columns = ("id", "text", "prompt", "category", "language")
    schema = pa.schema([(name, pa.string()) for name in columns])
    return pa.Table.from_pylist(rows, schema=schema).to_batches(max_chunksize=size)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece BPE model with byte pieces, as LLaMA's is."""
    lines = [make_text(i, language, 20) for i in range(200) for language in WORDS]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., list[Row]]:
    return make_rows


@pytest.fixture(scope="session")
def batches_of() -> Callable[..., list[pa.RecordBatch]]:
    return make_batches
