"""How well duplicates were found on planted copies, where that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.numbers import divide
from reports.read.files import Row, read_json
from tongwen.errors import TongwenError
from tongwen.run import RunFolder

_TABLES = ("parameters", "totals", "by_perturbation", "by_language", "by_range", "s_curve")
_SUMS = (
    "pairs", "expected", "found", "missed", "below", "left_alone", "removed", "false_removals",
)  # fmt: skip


def read_audit(run: RunFolder) -> Row | None:
    """The tables of `corpus/audit`; None where duplicates were not audited.

    Returns:
        A dict with the tables of audit.json, and `by_kind`: one row for each perturbation, all its
        strengths together.

    Raises:
        TongwenError: the file is gone, is no JSON or lacks a table.
    """
    tables: Any = read_json(run, "corpus/audit", "audit.json")
    if tables is None:
        return None
    lacking = [name for name in _TABLES if name not in tables]
    if lacking:
        raise TongwenError(
            f"audit.json has no {', '.join(lacking)}",
            where=str(run.path("corpus/audit")),
            do="remove the folder and run the audit again",
        )
    chosen = {name: tables[name] for name in _TABLES}
    return {**chosen, "by_kind": _join_strengths(tables["by_perturbation"])}


def _join_strengths(rows: Sequence[Row]) -> list[Row]:
    """One row for each perturbation, in the order of the table."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["perturbation"], []).append(row)
    return [{"perturbation": name, **_join(group)} for name, group in groups.items()]


def _join(rows: Sequence[Row]) -> Row:
    total = {name: sum(row[name] for row in rows) for name in _SUMS}
    recall = divide(total["found"], total["expected"])
    precision = divide(total["removed"] - total["false_removals"], total["removed"])
    medians = [row["median_jaccard"] for row in rows if row["median_jaccard"] is not None]
    return {
        **total,
        "jaccard_low": min(medians, default=None),
        "jaccard_high": max(medians, default=None),
        "recall": recall,
        "precision": precision,
        "f1": divide(2 * (recall or 0) * (precision or 0), (recall or 0) + (precision or 0)),
    }
