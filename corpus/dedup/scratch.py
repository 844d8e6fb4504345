"""Folders for the files of tasks, found again after a kill."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_scratch(name: str, mark: bytes, folder: Path | None) -> Iterator[Path]:
    """A folder for the tasks of one call; it goes at the end and stays where the call is killed.

    Args:
        name: of the kind of work.
        mark: what the files depend on, by which the next call finds the folder; empty where they
            are of no use to another call.
        folder: where it is made; the system's place for such by default.
    """
    if folder is None or not mark:
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as own:
            yield Path(own)
        return
    work = folder / f".{name}.{hashlib.blake2b(mark, digest_size=8).hexdigest()}"
    work.mkdir(exist_ok=True)
    yield work
    shutil.rmtree(work, ignore_errors=True)


def remove_scratch(folder: Path) -> None:
    """Remove what killed calls with other marks have left."""
    for path in folder.glob(".*"):
        if path.is_dir() and path.name.startswith((".duplicates.", ".paragraphs.")):
            shutil.rmtree(path)
