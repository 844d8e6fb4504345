"""`forgotten.jsonl` of a run: documents that were taken down, which no build may bring back.

One line a document, never removed.  It is written before anything is taken out of the shards, so
that a takedown that is killed is finished by asking for it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tongwen.errors import TongwenError
from tongwen.record import write_text
from tongwen.run import RunFolder

FORGOTTEN = "forgotten.jsonl"


def read_forgotten(run: RunFolder) -> pa.Array:
    """The ids of a run's forgotten documents, sorted, each once (strings; maybe none).

    Raises:
        TongwenError: the file cannot be read.
    """
    ids = {line["id"] for line in _read_lines(run.root / FORGOTTEN)}
    return pa.array(sorted(ids), pa.string())


def add_forgotten(run: RunFolder, lines: Sequence[dict[str, Any]]) -> int:
    """Add those that are not there yet, at once or not at all; returns how many."""
    path = run.root / FORGOTTEN
    before = _read_lines(path)
    known = {line["id"] for line in before}
    new = [line for line in lines if line["id"] not in known]
    if new:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [*before, *new])
        write_text(path, text)
    return len(new)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not all(isinstance(line["id"], str) for line in lines):
            raise ValueError("an id that is no text")
        return lines
    except (ValueError, KeyError, TypeError) as error:
        raise TongwenError(
            f"the list of forgotten documents cannot be read: {error}",
            where=str(path),
            expected='lines such as {"id": "5d9c...", "date": ...}',
            do="correct the line; a document that is missing there may come back in a build",
        ) from None
