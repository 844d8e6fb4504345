"""The documents of files of any kind that the corpus stage reads, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from corpus.alone import open_files
from corpus.sources import Source


@contextmanager
def open_texts(paths: Sequence[str], languages: Sequence[str] = ()) -> Iterator[Iterator[str]]:
    """Prompts and texts of the documents, read into a temporary folder as a run reads them.

    Args:
        languages: of these documents only; empty: of all.

    Raises:
        TongwenError: a file cannot be read, or there is no document.
    """
    with open_files(paths) as documents:
        yield _read(documents, frozenset(languages))


def _read(documents: Source, languages: frozenset[str]) -> Iterator[str]:
    names = ("language", "prompt", "text")
    for chunk in documents.read(names):
        columns = (chunk.batch.column(name).to_pylist() for name in names)
        for language, prompt, text in zip(*columns, strict=True):
            if not languages or language in languages:
                yield prompt
                yield text
