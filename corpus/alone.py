"""The documents of some files, read as a run reads them, without a recipe or a run."""

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
def open_files(paths: Sequence[str | Path]) -> Iterator[Source]:
    """The documents of files of any kind, to be read as often as wanted.

    They are laid out in a temporary folder, which takes as much room as the text.

    Args:
        paths: files, globs or URLs.

    Raises:
        TongwenError: a file cannot be read, or there is no document.
    """
    with tempfile.TemporaryDirectory(prefix="tongwen-texts-") as name:
        folder = Path(name)
        files = [str(path) if "://" in str(path) else str(Path(path).absolute()) for path in paths]
        table = {"run": {"folder": name}, "corpus": {"inputs": [{"paths": files}]}}
        build_documents(parse_corpus_recipe(table, home=folder), RunFolder(folder), folder)
        yield open_folder(folder)
