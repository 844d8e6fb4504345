"""The documents of files of any kind that the corpus stage reads, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from corpus.sources import Source, open_folder
from corpus.steps import build_documents
from tongwen.recipe import parse_corpus_recipe
from tongwen.run import RunFolder


@contextmanager
def open_texts(paths: Sequence[str], languages: Sequence[str] = ()) -> Iterator[Iterator[str]]:
    """Prompts and texts of the documents, read into a temporary folder as a run reads them.

    Args:
        languages: of these documents only; empty: of all.

    Raises:
        TongwenError: a file cannot be read, or there is no document.
    """
    with tempfile.TemporaryDirectory(prefix="tongwen-lint-") as name:
        folder = Path(name)
        files = [path if "://" in path else str(Path(path).absolute()) for path in paths]
        table = {"run": {"folder": name}, "corpus": {"inputs": [{"paths": files}]}}
        build_documents(parse_corpus_recipe(table, home=folder), RunFolder(folder), folder)
        yield _read(open_folder(folder), frozenset(languages))


def _read(documents: Source, languages: frozenset[str]) -> Iterator[str]:
    names = ("language", "prompt", "text")
    for chunk in documents.read(names):
        columns = (chunk.batch.column(name).to_pylist() for name in names)
        for language, prompt, text in zip(*columns, strict=True):
            if not languages or language in languages:
                yield prompt
                yield text
