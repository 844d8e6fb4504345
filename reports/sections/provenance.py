"""Section 6: how every output came to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.blocks import Block, Missing, Section, Table, Text, make_table
from reports.numbers import count, duration, plain, short, size
from reports.sections.common import Row

_SHORT = 12


def describe_provenance(data: Row, machine: Row) -> Section:
    """Fingerprints, sizes, times, versions and the recipe's settings."""
    outputs, missing = data["provenance"]["outputs"], data["provenance"]["missing"]
    waiting = [Missing("Outputs not finished:", tuple(missing))] if missing else []
    blocks: list[Block] = [
        *waiting,
        Text(
            "The fingerprint identifies the settings and inputs of an output, the content its "
            "files. Equal recipes and inputs give equal values on any machine with the same "
            "versions."
        ),
        _table_outputs(outputs, machine),
        *_table_speeds(machine),
        _table_counts(outputs),
        _table_settings(outputs),
        _table_inputs(outputs),
        _table_versions(machine),
    ]
    return Section("provenance", "Provenance", tuple(blocks))


def _table_outputs(outputs: Sequence[Row], machine: Row) -> Table:
    rows = [
        (
            output["name"],
            output["fingerprint"][:_SHORT],
            output["content"][:_SHORT],
            _count_rows(output),
            count(output["files"]),
            size(output["bytes"]),
            duration(machine["outputs"].get(output["name"], {}).get("seconds")),
            size(machine["outputs"].get(output["name"], {}).get("peak_memory_bytes")),
        )
        for output in outputs
    ]
    columns = (
        "output", "fingerprint", "content", "rows", "files", "size", "time", "peak memory",
    )  # fmt: skip
    note = (
        "Rows: how much the output holds; all its counts are below. Peak memory is that of the "
        "process, earlier outputs of the same process included."
    )
    return make_table("Outputs", columns, rows, num_labels=3, note=note)


def _count_rows(output: Row) -> str:
    """The count that says how much an output holds: its rows, documents, tokens or iterations."""
    counts = output["counts"]
    known = ("rows", "documents", "duplicates", "pieces", "size", "sequences", "tokens")
    names = [name for name in (*known, "iterations") if isinstance(counts.get(name), int)]
    return f"{count(counts[names[0]])} {names[0]}" if names else "-"


def _table_speeds(machine: Row) -> list[Block]:
    rows = [(stage, short(v)) for stage, v in machine["tokens_per_second"].items() if v is not None]
    columns = ("stage", "tokens per second, median")
    return [make_table("Training speed", columns, rows)] if rows else []


def _table_counts(outputs: Sequence[Row]) -> Table:
    rows = [
        (output["name"], key.replace("_", " "), plain(value))
        for output in outputs
        for key, value in output["counts"].items()
    ]
    return make_table("All counts", ("output", "count", "value"), rows, num_labels=2, folded=True)


def _table_settings(outputs: Sequence[Row]) -> Table:
    rows = [
        (output["name"], key, value)
        for output in outputs
        for key, value in flatten(output["config"])
    ]
    columns = ("output", "setting", "value")
    return make_table("Settings of the recipe", columns, rows, num_labels=3, folded=True)


def flatten(value: Any, key: str = "") -> list[tuple[str, str]]:
    """The leaves of nested settings with their dotted keys."""
    if isinstance(value, Mapping) and value:
        return [
            leaf
            for name in sorted(value)
            for leaf in flatten(value[name], f"{key}.{name}".removeprefix("."))
        ]
    if isinstance(value, list) and any(isinstance(inner, Mapping | list) for inner in value):
        return [leaf for i, inner in enumerate(value) for leaf in flatten(inner, f"{key}.{i}")]
    if isinstance(value, list | Mapping):
        return [(key, ", ".join(plain(inner) for inner in value) or "-")]
    return [(key, plain(value))]


def _table_inputs(outputs: Sequence[Row]) -> Table:
    rows = [
        (output["name"], name, identity[:_SHORT])
        for output in outputs
        for name, identity in output["inputs"].items()
    ]
    return make_table("Inputs", ("output", "input", "identity"), rows, num_labels=3, folded=True)


def _table_versions(machine: Row) -> Table:
    rows = list(machine["versions"].items())
    return make_table("Versions", ("package", "version"), rows, num_labels=2, folded=True)
