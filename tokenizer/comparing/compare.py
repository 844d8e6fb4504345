"""Tokens per character of the new vocabulary beside others, on documents it has not seen.

Published rates come from unknown sentences; here every tokenizer reads the same held-out
documents, by category and language, and a few sentences show what the pieces look like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tokenizer.comparing.counters import Counter
from tokenizer.encoding.encoder import Encoder

pc: Any = pyarrow.compute  # its functions are made at import: a checker cannot see them

COMPARISON = pa.schema(
    {
        "tokenizer": pa.string(),
        "size": pa.int32(),
        "category": pa.string(),
        "language": pa.string(),
        "documents": pa.int64(),
        "characters": pa.int64(),
        "bytes": pa.int64(),
        "tokens": pa.int64(),
    }
)
_END = re.compile(r"(?<=[。！？；])|(?<=[.!?])\s+|\n")


@dataclass
class _Row:
    documents: int = 0
    characters: int = 0
    bytes: int = 0
    tokens: int = 0


def compare_tokenizers(
    counters: Mapping[str, Counter], batches: Iterable[pa.RecordBatch]
) -> pa.Table:
    """Documents, characters, bytes and tokens of each tokenizer by category and language.

    Args:
        counters: tokenizers by name, in the order of the result.
        batches: columns text, prompt, category, language; a prompt is encoded by itself.
    """
    rows: dict[tuple[str, str, str], _Row] = {}
    for batch in batches:
        for name, counter in counters.items():
            _add_batch(rows, name, counter, batch)
    names = list(counters)
    ordered = sorted(rows, key=lambda key: (names.index(key[0]), *key[1:]))
    return pa.Table.from_pylist(
        [
            {
                "tokenizer": name,
                "size": counters[name].size,
                "category": category,
                "language": language,
                **vars(rows[name, category, language]),
            }
            for name, category, language in ordered
        ],
        schema=COMPARISON,
    )


def _add_batch(
    rows: dict[tuple[str, str, str], _Row], name: str, counter: Counter, batch: pa.RecordBatch
) -> None:
    texts, prompts = batch.column("text").to_pylist(), batch.column("prompt").to_pylist()
    tokens = counter.count(texts)
    asked = [number for number, prompt in enumerate(prompts) if prompt]
    tokens[asked] += counter.count([prompts[number] for number in asked])
    groups = zip(
        batch.column("category").to_pylist(), batch.column("language").to_pylist(), strict=True
    )
    for number, (category, language) in enumerate(groups):
        row = rows.setdefault((name, category, language), _Row())
        row.documents += 1
        row.characters += len(texts[number]) + len(prompts[number])
        row.bytes += len(texts[number].encode()) + len(prompts[number].encode())
        row.tokens += int(tokens[number])


def measure_rate(table: pa.Table, name: str, language: str) -> float | None:
    """Tokens per character of a tokenizer in a language; None where it has no text."""
    chosen = table.filter(
        pc.and_(pc.equal(table["tokenizer"], name), pc.equal(table["language"], language))
    )
    characters = sum(chosen["characters"].to_pylist())
    return sum(chosen["tokens"].to_pylist()) / characters if characters else None


def choose_sentences(
    batches: Iterable[pa.RecordBatch], languages: tuple[str, ...], per_language: int = 6
) -> list[tuple[str, str]]:
    """Sentences to show, as (language, text): one of each category first, then more of them."""
    found: dict[str, dict[tuple[int, str], str]] = {language: {} for language in languages}
    for batch in batches:
        for row in batch.select(["text", "category", "language"]).to_pylist():
            if row["language"] in found:
                _add_sentence(found[row["language"]], row["category"], row["text"], per_language)
    chosen: list[tuple[str, str]] = []
    for language in languages:
        ordered = sorted(found[language].items())[:per_language]
        chosen += [(language, sentence) for _, sentence in ordered]
    return chosen


def _add_sentence(
    found: dict[tuple[int, str], str], category: str, text: str, per_language: int
) -> None:
    """Keep a sentence under its turn in the category, unless there are enough of that."""
    turn = sum(name == category for _, name in found)
    if turn >= per_language:
        return
    sentence = next(_split_sentences(text), None)
    if sentence is not None:
        found[turn, category] = sentence


def _split_sentences(text: str) -> Iterator[str]:
    """Sentences of a length that can be shown."""
    for part in _END.split(text[:20_000]):
        sentence = part.strip()
        if 12 <= len(sentence) <= 90 and np.mean([c.isalpha() for c in sentence]) > 0.6:
            yield sentence


def show_segmentation(
    sentences: Iterable[tuple[str, str]], base: Encoder, extended: Encoder
) -> list[dict[str, object]]:
    """The pieces of each sentence before and after."""
    return [
        {
            "language": language,
            "text": text,
            "base": base.split(text),
            "extended": extended.split(text),
        }
        for language, text in sentences
    ]
