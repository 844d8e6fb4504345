"""Texts to measure a start on: of some files, a sample of documents for each language.

The files are read as a run reads them, in a temporary folder.  Documents are chosen by their id,
which is a hash: the sample is the same whatever the order of the files.  They are cut into short
segments, so that the base and the extended tokenizer see the same text before each character.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from corpus.alone import open_files

SEGMENT = 512
"""Characters that are seen at once."""
_COLUMNS = ("id", "language", "prompt", "text")


def sample_texts(files: Sequence[Path], characters: int) -> dict[str, list[str]]:
    """Segments of documents by language, about so many characters of each.

    Raises:
        TongwenError: a file cannot be read, or there is no document in any.
    """
    with open_files(files) as documents:
        batches = (chunk.batch for chunk in documents.read(_COLUMNS))
        return choose_segments(batches, characters)


def choose_segments(batches: Iterator[pa.RecordBatch], characters: int) -> dict[str, list[str]]:
    """The documents with the least ids up to `characters` of each language, cut into segments."""
    chosen: dict[str, list[tuple[str, str]]] = {}
    for batch in batches:
        for number, language, prompt, text in zip(
            *(batch.column(name).to_pylist() for name in _COLUMNS), strict=True
        ):
            # No document is worth more than all that is asked for.
            chosen.setdefault(language, []).append((number, (prompt + text)[:characters]))
        chosen = {name: _keep_first(found, characters) for name, found in chosen.items()}
    return {
        name: [text[at : at + SEGMENT] for _, text in found for at in range(0, len(text), SEGMENT)]
        for name, found in sorted(chosen.items())
    }


def _keep_first(found: list[tuple[str, str]], characters: int) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    for number, text in sorted(found):
        if characters <= 0:
            break
        kept.append((number, text[:characters]))
        characters -= len(text)
    return kept
