"""Finished outputs changed afterwards: whole before or whole after, and the change on record.

A takedown or a new mixture changes shards that a training may be reading already.  The output's
files are linked into a folder beside it, changed there, recorded and put in its place; its identity
(`Record.content`) stays, so that what was begun with it goes on.

    .NAME.amending   the links, while they are being changed; of no worth after a kill
    .NAME.amended    whole, with its record; `recover` puts it in the place of NAME
    .NAME.replaced   what stood in its place, on its way out

The price: a file that is changed is written anew, never in place, and between two renames the
output is absent; `recover` (called when a record is looked for) then puts the new one there.  Only
files that were written anew are hashed, so a change costs what it changes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tongwen.errors import TongwenError
from tongwen.lock import hold
from tongwen.record import (
    RECORD,
    TIMED,
    Counts,
    FileEntry,
    Record,
    fingerprint,
    hash_file,
    publish,
    read_record,
)

_Marks = dict[str, tuple[int, int, int]]
"""Name -> inode, size and time of the last change of a file."""


def amend_output(
    folder: Path,
    edit: Callable[[Path], Counts],
    *,
    change: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
) -> Record:
    """Change a finished output.

    Args:
        folder: the output.
        edit: is given a folder with every file of the output (hard links) and returns the counts
            to record.  It writes a changed file under another name and renames it (or removes the
            link first): what it wrote into directly would change in the output too.
        change: what is done, for `Record.changes` (JSON values).
        config: the configuration that the output is made with from now on; None: as before.

    Raises:
        TongwenError: there is no finished output, a file of it has not the recorded size, or
            somebody else is changing it or (a training) reads it.
        ValueError: `edit` wrote into a file of the output.
    """
    recover(folder)
    with _own(folder):
        record = _read_whole(folder)
        work = _partial(folder)
        shutil.rmtree(work, ignore_errors=True)
        try:
            amended = _edit(folder, work, record, edit, change, config)
        except Exception:
            shutil.rmtree(work, ignore_errors=True)
            raise
        publish(work, _ready(folder), amended)
        recover(folder)
    return amended


def recover(folder: Path) -> None:
    """Put an amended output that is ready in the place of the old one.

    Several processes may call this at once: one of them does it and the others wait for that.
    """
    ready, old = _ready(folder), _replaced(folder)
    if (ready / RECORD).exists():
        # Another process may have moved it by now, or while this one waited for the lock.
        with suppress(FileNotFoundError), hold(ready, wait=True):
            if (ready / RECORD).exists():
                _exchange(folder, ready, old)
    if old.exists() and folder.exists():
        shutil.rmtree(old, ignore_errors=True)


def _exchange(folder: Path, ready: Path, old: Path) -> None:
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    ready.rename(folder)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """Nobody else changes the output meanwhile."""
    if read_record(folder) is None:
        raise TongwenError(
            "there is no finished output to change",
            where=str(folder),
            expected="a folder with a record.json",
            do="build it first: tongwen run RECIPE",
        )
    inode = folder.stat().st_ino
    with hold(folder) as free:
        if not free or folder.stat().st_ino != inode:
            raise TongwenError(
                "another command is changing the output, or a training reads it",
                where=str(folder),
                expected="an output that nobody else uses while it is changed",
                do="wait for the other command, or stop the training: it goes on from its newest "
                "checkpoint",
            )
        yield


def _read_whole(folder: Path) -> Record:
    """The record, after a look at the sizes of the files that it names."""
    record = read_record(folder)
    assert record is not None
    for name, entry in record.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != entry.bytes:
            raise TongwenError(
                f"{name} was changed after the output was recorded: "
                + (f"{size:,} bytes" if size is not None else "it is not there"),
                where=str(folder),
                expected=f"{entry.bytes:,} bytes, as record.json says",
                do=f"build it again: tongwen run RECIPE --redo {'/'.join(folder.parts[-2:])}",
            )
    return record


def _edit(
    folder: Path,
    work: Path,
    record: Record,
    edit: Callable[[Path], Counts],
    change: Mapping[str, Any],
    config: Mapping[str, Any] | None,
) -> Record:
    shutil.copytree(folder, work, copy_function=_link, ignore=shutil.ignore_patterns(RECORD))
    before = _mark_files(work)
    counts = edit(work)
    _check_untouched(folder, before)
    settings = dict(record.config if config is None else config)
    return replace(
        record,
        config=settings,
        fingerprint=fingerprint(record.kind, settings, record.inputs),
        files=_list_files(work, before, record.files),
        counts=counts,
        identity=record.content,
        changes=[*record.changes, dict(change)],
    )


def _link(source: str, target: str) -> None:
    """A file system without hard links has copies."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def _check_untouched(folder: Path, before: _Marks) -> None:
    """The output itself is as it was: its files are those that were linked, not changed since."""
    for name, mark in _mark_files(folder).items():
        linked = before.get(name, mark)
        if linked[0] == mark[0] and linked != mark:
            raise ValueError(f"{name} was written into, and with it the output that it belongs to")


def _mark_files(work: Path) -> _Marks:
    found: _Marks = {}
    for path in sorted(path for path in work.rglob("*") if path.is_file()):
        state = path.stat()
        name = path.relative_to(work).as_posix()
        found[name] = (state.st_ino, state.st_size, state.st_mtime_ns)
    return found


def _list_files(
    work: Path, before: _Marks, recorded: Mapping[str, FileEntry]
) -> dict[str, FileEntry]:
    """What is recorded of files that stayed; new ones are flushed to disk and identified."""
    return {
        name: recorded[name]
        if name in recorded and before.get(name) == mark
        else _identify(work / name, name)
        for name, mark in _mark_files(work).items()
    }


def _identify(path: Path, name: str) -> FileEntry:
    timed = any(part in TIMED for part in Path(name).parts)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return FileEntry(path.stat().st_size, None if timed else hash_file(path))


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.amending")


def _ready(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.amended")


def _replaced(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")
