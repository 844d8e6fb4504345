"""Sentences to show cut into pieces, and the proof that other languages are cut as before.

Both look at documents while they go by: a few sentences are kept, and of the lines in languages
that nothing was learned for only their number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from tokenizer.encoding.encoder import Encoder
from tokenizer.learning.characters import is_cjk_only

_END = re.compile(r"(?<=[。！？；])|(?<=[.!?])\s+|\n")
_TEXT = ("language", "prompt", "text")


class SentencePicker:
    """Keeps sentences to show: one of each category first, then more of them.

    Args:
        languages: in the order shown.
    """

    def __init__(self, languages: Sequence[str], per_language: int = 6) -> None:
        self._per_language = per_language
        self._found: dict[str, dict[tuple[int, str], str]] = {each: {} for each in languages}

    def add(self, batch: pa.RecordBatch) -> None:
        """Look at the columns text, category and language of a batch."""
        for row in batch.select(["text", "category", "language"]).to_pylist():
            if row["language"] in self._found:
                self._add_sentence(self._found[row["language"]], row["category"], row["text"])

    def list_sentences(self) -> list[tuple[str, str]]:
        """(language, sentence)."""
        return [
            (language, sentence)
            for language, found in self._found.items()
            for _, sentence in sorted(found.items())[: self._per_language]
        ]

    def _add_sentence(self, found: dict[tuple[int, str], str], category: str, text: str) -> None:
        """Keep a sentence under its turn in the category, unless there are enough of that."""
        turn = sum(name == category for _, name in found)
        if turn >= self._per_language:
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


def choose_sentences(
    batches: Iterable[pa.RecordBatch], languages: tuple[str, ...], per_language: int = 6
) -> list[tuple[str, str]]:
    """Sentences to show, as (language, text): one of each category first, then more of them."""
    picker = SentencePicker(languages, per_language)
    for batch in batches:
        picker.add(batch)
    return picker.list_sentences()


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


class ChangeCounter:
    """Counts the lines that the extended vocabulary encodes differently.

    Args:
        learned: languages that pieces were learned for; their documents are passed over.
    """

    def __init__(self, base: Encoder, extended: Encoder, learned: Sequence[str]) -> None:
        self._base, self._extended = base, extended
        self._learned = frozenset(learned)
        self._counts: dict[str, Counter[str]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Compare the lines of the columns prompt and text, by language."""
        texts: dict[str, list[str]] = {}
        columns = (batch.column(name).to_pylist() for name in _TEXT)
        for language, prompt, text in zip(*columns, strict=True):
            if language not in self._learned:
                texts.setdefault(language, []).extend((prompt, text))
        for language, found in texts.items():
            self._counts.setdefault(language, Counter()).update(self._compare(found))

    def list_changes(self) -> list[dict[str, str | int]]:
        """By language: lines compared, those that changed, and those left out as Chinese."""
        names = ("lines", "changed", "with_chinese")
        return [
            {"language": language, **{name: self._counts[language][name] for name in names}}
            for language in sorted(self._counts)
        ]

    def _compare(self, texts: list[str]) -> dict[str, int]:
        lines = [line for text in texts for line in (text or "").split("\n") if line]
        plain = [line for line in lines if line.isascii() or not any(map(is_cjk_only, line))]
        ids, offsets = self._base.encode(plain)
        others, other_offsets = self._extended.encode(plain)
        same = np.array_equal(ids, others) and np.array_equal(offsets, other_offsets)
        bounds = (pairwise(each.tolist()) for each in (offsets, other_offsets))
        changed = (
            not np.array_equal(ids[slice(*one)], others[slice(*other)])
            for one, other in zip(*bounds, strict=True)
        )
        num_changed = 0 if same else sum(changed)
        left_out = len(lines) - len(plain)
        return {"lines": len(plain), "changed": num_changed, "with_chinese": left_out}
