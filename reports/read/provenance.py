"""How every output came to be, from the records; what depends on the machine is kept apart."""

from __future__ import annotations

import math
from statistics import median

from reports.numbers import finite
from reports.read.files import Row, read_lines
from tongwen.recipe import Recipe
from tongwen.record import Record
from tongwen.run import RunFolder

_WORKBENCH = ("tokenizer/sweep", "tokenizer/lint", "tokenizer/start")
"""What a recipe's run may have and does not need."""


def _present(run: RunFolder, name: str) -> list[str]:
    return [name] if run.record(name) else []


def list_outputs(recipe: Recipe, run: RunFolder) -> list[str]:
    """The outputs of a run in the order in which they are made."""
    extended = _present(run, "train/extended")
    trained: list[str] = []
    for stage in recipe.trained_stages:
        if stage.vocabulary == "extended":
            trained += extended
            extended = []
        trained.append(f"train/{stage.name}")
    return [
        "corpus/documents",
        "corpus/duplicates",
        "corpus/statistics",
        *_present(run, "corpus/audit"),
        "tokenizer/vocabulary",
        "tokenizer/comparison",
        *(name for output in _WORKBENCH for name in _present(run, output)),
        "buckets/held_out",
        *(f"buckets/{stage.name}" for stage in recipe.trained_stages),
        *trained,
    ]


def read_provenance(recipe: Recipe, run: RunFolder) -> Row:
    """Fingerprint, content, counts, settings and inputs of every output that is finished."""
    names = list_outputs(recipe, run)
    records = {name: run.record(name) for name in names}
    return {
        "missing": [name for name in names if records[name] is None],
        "outputs": [_describe(name, record) for name, record in records.items() if record],
    }


def _describe(name: str, record: Record) -> Row:
    hashed = [entry.bytes for entry in record.files.values() if entry.sha256]
    return {
        "name": name,
        "fingerprint": record.fingerprint,
        "content": record.content,
        "files": len(hashed),
        "bytes": sum(hashed),
        "counts": dict(sorted(record.counts.items())),
        "config": record.config,
        "inputs": dict(sorted(record.inputs.items())),
    }


def read_machine(recipe: Recipe, run: RunFolder) -> Row:
    """Seconds, peak memory and versions: everything that differs between two equal runs.

    Returns:
        A dict with `outputs` (name -> seconds, peak_memory_bytes), `seconds` of all of them,
        `peak_memory_bytes` of the largest, `tokens_per_second` (median) by trained stage,
        `versions` (of every package all that were used).
    """
    records = {name: run.record(name) for name in list_outputs(recipe, run)}
    present = {name: record for name, record in records.items() if record}
    versions: dict[str, set[str]] = {}
    for record in present.values():
        for package, version in record.versions.items():
            versions.setdefault(package, set()).add(version)
    return {
        "outputs": {
            name: {"seconds": record.seconds, "peak_memory_bytes": record.peak_memory_bytes}
            for name, record in present.items()
        },
        "seconds": math.fsum(record.seconds for record in present.values()) if present else None,
        "peak_memory_bytes": max((r.peak_memory_bytes for r in present.values()), default=None),
        "tokens_per_second": {
            stage.name: _median_speed(run, stage.name) for stage in recipe.trained_stages
        },
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
    }


def _median_speed(run: RunFolder, stage: str) -> float | None:
    record = run.record(f"train/{stage}")
    if record is None or "timings.jsonl" not in record.files:
        return None
    rows = read_lines(run, f"train/{stage}", "timings.jsonl")
    speeds = [speed for row in rows if (speed := finite(row.get("tokens_per_second"))) is not None]
    return median(speeds) if speeds else None
