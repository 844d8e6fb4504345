"""Texts with planted copies, and folders of shards made of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus.documents import ShardWriter
from corpus.reading.records import Document, hash_document

HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]


def make_text(source: random.Random, language: str, length: int = 200) -> list[str]:
    """Tokens at random: Han characters, or words of five letters."""
    if language == "zh":
        return [source.choice(HAN) for _ in range(length)]
    return ["".join(source.choices("abcdefghij", k=5)) for _ in range(length)]


def edit(source: random.Random, tokens: list[str], num_edits: int) -> list[str]:
    """Replace some tokens that lie apart, each of which breaks five shingles."""
    edited = list(tokens)
    for place in source.sample(range(0, len(tokens) - 5, 6), num_edits):
        edited[place] = edited[place + 1]
    return edited


def join(tokens: list[str]) -> str:
    """The text of some tokens."""
    return ("" if tokens[0] in HAN else " ").join(tokens)


def plant(seed: int, originals: int = 60) -> list[str]:
    """Originals, exact copies, close and distant variants, shuffled."""
    source, texts = random.Random(seed), []
    for number in range(originals):
        tokens = make_text(source, "zh" if number % 2 else "en", source.randint(60, 300))
        texts.append(join(tokens))
        for num_edits in source.sample([0, 1, 2, 3, 8, 9], number % 4):
            texts.append(join(edit(source, tokens, num_edits)))
    source.shuffle(texts)
    return texts


def make_documents(texts: Sequence[str], file: str = "f.jsonl") -> list[Document]:
    """Documents with the lines of one file as their origin, and sources a, b, c in turn."""
    return [
        Document(hash_document("", text), text, "", "c", "zh", "abc"[line % 3], f"{file}:{line}")
        for line, text in enumerate(texts, 1)
    ]


def write_documents(folder: Path, documents: Sequence[Document], **sizes: Any) -> Path:
    """A folder of shards."""
    folder.mkdir(parents=True)
    with ShardWriter(folder, **sizes) as writer:
        for document in documents:
            writer.write(document)
    return folder
