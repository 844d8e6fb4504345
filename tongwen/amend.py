"""Finished outputs changed afterwards: whole before or whole after, and the change on record.

A takedown or a new mixture changes shards that a training may be reading already.  The output's
files are linked into a folder beside it, changed there, recorded and put in its place; its identity
(`Record.content`) stays, so that what was begun with it goes on.

The price: a file that is changed is written anew, never in place, and between two renames the
output is absent; `recover` (called when a record is looked for) then puts the new one there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tongwen.errors import TongwenError
from tongwen.record import (
    RECORD,
    Counts,
    Record,
    fingerprint,
    list_files,
    publish,
    read_record,
)


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
        TongwenError: there is no finished output.
    """
    recover(folder)
    record = read_record(folder)
    if record is None:
        raise TongwenError(
            "there is no finished output to change",
            where=str(folder),
            expected="a folder with a record.json",
            do="build it first: tongwen run RECIPE",
        )
    work = _partial(folder)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder, work, copy_function=_link, ignore=shutil.ignore_patterns(RECORD))
    counts = edit(work)
    settings = dict(record.config if config is None else config)
    amended = replace(
        record,
        config=settings,
        fingerprint=fingerprint(record.kind, settings, record.inputs),
        files=list_files(work),
        counts=counts,
        identity=record.content,
        changes=[*record.changes, dict(change)],
    )
    ready = _ready(folder)
    shutil.rmtree(ready, ignore_errors=True)
    publish(work, ready, amended)
    recover(folder)
    return amended


def recover(folder: Path) -> None:
    """Put an amended output that is ready in the place of the old one."""
    ready = _ready(folder)
    if (ready / RECORD).exists():
        if folder.exists():
            shutil.rmtree(folder)
        ready.rename(folder)


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.amending")


def _ready(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.amended")
