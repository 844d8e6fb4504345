"""The pieces that were added, all of them, and those that were left out.

All pieces go into the page, where a reader searches them, so they are kept as compact as text is:
one string a column, its values separated by spaces.  A piece holds no space (SentencePiece writes
`▁` for it), so 37,104 pieces with their figures take about a megabyte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from reports.read.files import Row, find_optional, read_batches, read_rows
from tongwen.run import RunFolder

_PIECES = ("id", "piece", "count", "characters", "kind", "reachable")
_SAMPLE, _LONGEST = 60, 20
_EXAMPLES = 12
MAX_SEARCHED = 1_200_000
"""Bytes of all pieces; the rarest of a vocabulary beyond it are left to the Parquet file."""


def read_pieces(run: RunFolder, base_size: int | None) -> Row | None:
    """Counts of the pieces that were added, by kind and length, and the pieces.

    Returns:
        `added`, `unreachable`, `unused` (never a token of the text they were learned from; None
        where that was not counted), `absent` (do not occur in it), `by_kind`, `by_length`,
        `frequent`, `longest`, and `search` (see `_make_columns`).
    """
    rows = read_rows(run, "tokenizer/vocabulary", "pieces.parquet", _PIECES, ("uses",))
    if rows is None:
        return None
    new = [row for row in rows if base_size is None or row["id"] >= base_size]
    counted = bool(new) and all(row["uses"] is not None for row in new)
    by = "uses" if counted else "count"
    lengths = Counter(row["characters"] or 0 for row in new)
    kinds = Counter(row["kind"] or "" for row in new)
    return {
        "added": len(new),
        "unreachable": sum(row["reachable"] is False for row in new),
        "unused": sum(not row["uses"] for row in new) if counted else None,
        "absent": sum(not row["count"] for row in new),
        "by_kind": dict(sorted(kinds.items())),
        "by_length": dict(sorted(lengths.items())),
        "frequent": _sample_pieces(new, lambda row: (-(row[by] or 0), row["id"]), _SAMPLE),
        "longest": _sample_pieces(
            new, lambda row: (-(row["characters"] or 0), row["id"]), _LONGEST
        ),
        "search": _make_columns(new, by),
    }


def _sample_pieces(rows: list[Row], key: Any, limit: int) -> list[Row]:
    merges = (row for row in rows if (row["characters"] or 0) > 1)
    return [
        {name: row[name] for name in ("piece", "count", "uses", "characters")}
        for row in sorted(merges, key=key)[:limit]
    ]


def _make_columns(rows: list[Row], by: str) -> Row:
    """All pieces, the most frequent first, as columns of text.

    Returns:
        `shown` pieces; `by` ("uses" or "count"), what they are ordered by; `kinds`; and strings
        with a value for each piece between spaces: `pieces`, `ids`, `numbers` (of `by`), `places`
        (of the kind in `kinds`).
    """
    ordered = sorted(rows, key=lambda row: (-(row[by] or 0), row["id"]))
    kinds = sorted({row["kind"] or "" for row in ordered})
    chosen = ordered[: _count_fitting(ordered)]
    return {
        "shown": len(chosen),
        "by": by,
        "kinds": kinds,
        "pieces": _join(_show_spaces(row["piece"]) for row in chosen),
        "ids": _join(row["id"] for row in chosen),
        "numbers": _join(row[by] or 0 for row in chosen),
        "places": _join(kinds.index(row["kind"] or "") for row in chosen),
    }


def _count_fitting(rows: list[Row]) -> int:
    used = 0
    for number, row in enumerate(rows):
        used += len((row["piece"] or "").encode("utf-8")) + 18
        if used > MAX_SEARCHED:
            return number
    return len(rows)


def _show_spaces(piece: str | None) -> str:
    return (piece or "").replace(" ", "▁")


def _join(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def read_left_out(run: RunFolder) -> Row | None:
    """What a filter or a list's check took out; None where that is not known.

    Returns:
        `pieces` and `rules`: of each rule `pieces` (how many), `count` (how often they occur),
        `reason` (of the most frequent) and `examples` (pieces with their counts, the most frequent
        first).
    """
    path = find_optional(run, "tokenizer/vocabulary", "left_out.parquet")
    if path is None:
        return None
    rules: dict[str, Row] = {}
    for batch in read_batches(path, ("piece", "count", "rule", "reason")):
        for row in batch.to_pylist():
            _add_left_out(rules, row)
    table = [_finish_rule(name, found) for name, found in rules.items()]
    ordered = sorted(table, key=lambda row: (-row["pieces"], row["rule"]))
    return {"pieces": sum(row["pieces"] for row in ordered), "rules": ordered}


def _add_left_out(rules: dict[str, Row], row: Row) -> None:
    found = rules.setdefault(row["rule"] or "", {"pieces": 0, "count": 0, "examples": []})
    found["pieces"] += 1
    found["count"] += row["count"] or 0
    found["examples"].append((-(row["count"] or 0), row["piece"] or "", row["reason"] or ""))
    if len(found["examples"]) > 50 * _EXAMPLES:
        found["examples"] = sorted(found["examples"])[:_EXAMPLES]


def _finish_rule(name: str, found: Row) -> Row:
    examples = sorted(found["examples"])[:_EXAMPLES]
    return {
        "rule": name,
        "pieces": found["pieces"],
        "count": found["count"],
        "reason": examples[0][2],
        "examples": [{"piece": piece, "count": -minus} for minus, piece, _ in examples if piece],
    }
