"""How far a stage's training is, and with which layout, from the files that it leaves.

Nothing is asked of the training: a finished one has a record, an unfinished one checkpoints and a
log of its steps.  The price: when something was trained is the time of the file that says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from buckets.schedule import Layout
from tongwen.recipe import Recipe, Train
from tongwen.run import RunFolder

Fate = Literal["trained", "seen", "ahead"]


@dataclass(frozen=True)
class Training:
    """How far a stage's training is.

    Attributes:
        state: `none`, `unfinished` or `finished`.
        layout: how sequences are dealt out.
        saved: iterations that the finished model or the newest checkpoint has.
        seen: iterations that were done, saved or not.
        when: UTC time of the file that says so; "" where there is none.
    """

    state: Literal["none", "unfinished", "finished"]
    layout: Layout
    saved: int
    seen: int
    when: str

    def judge(self, iteration: int) -> Fate:
        """What became of an iteration (from 1): `seen` ones are in no checkpoint yet."""
        if self.state == "finished" or iteration <= self.saved:
            return "trained"
        return "seen" if iteration <= self.seen else "ahead"


def read_training(recipe: Recipe, run: RunFolder, stage: str) -> Training:
    """How far the training of a stage is."""
    folder = run.path(f"train/{stage}")
    record = run.record(f"train/{stage}")
    if record is not None:
        layout = _read_layout(record.config, recipe)
        done = int(record.counts.get("iterations", 0))
        return Training("finished", layout, done, done, tell_time(folder / "record.json"))
    work = folder.with_name(f".{folder.name}.partial")
    job = work / "logs" / "job.json"
    if not job.exists():
        return Training("none", Layout.from_section(recipe.train), 0, 0, "")
    layout = _read_layout(json.loads(job.read_text(encoding="utf-8")), recipe)
    saved, when = _find_saved(work)
    return Training("unfinished", layout, saved, max(saved, _find_seen(work)), when)


def _read_layout(table: dict[str, Any], recipe: Recipe) -> Layout:
    section = table.get("train")
    return Layout.from_section(Train.model_validate(section) if section else recipe.train)


def _find_saved(work: Path) -> tuple[int, str]:
    found = sorted((work / "checkpoints").glob("iteration-*/state.json"))
    if not found:
        return 0, ""
    state = json.loads(found[-1].read_text(encoding="utf-8"))
    return int(state["iteration"]), tell_time(found[-1])


def _find_seen(work: Path) -> int:
    """The last iteration in the log of steps; a line that is not whole yet does not count."""
    path = work / "logs" / "progress.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    whole = [line for line in lines if line.endswith("}")]
    return int(json.loads(whole[-1])["iteration"]) if whole else 0


def tell_time(path: Path) -> str:
    """When a file was written: UTC, to the second."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
