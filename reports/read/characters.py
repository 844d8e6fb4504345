"""What kept text is written in, by language and category."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from reports.read.files import Row, read_rows
from tongwen.run import RunFolder

CLASSES = ("han", "kana_hangul", "latin", "digits", "punctuation", "space", "other")
SCRIPTS = ("simplified", "traditional")

_SUMS = ("documents", "characters", *CLASSES, *SCRIPTS)


def read_characters(run: RunFolder) -> Row | None:
    """Counts of characters of kept text by class and script; None while they are not there.

    Returns:
        `by_language` and `by_group` (category x language), most characters first.
    """
    columns = ("category", "language", *_SUMS)
    rows = read_rows(run, "corpus/statistics", "characters.parquet", columns)
    if rows is None:
        return None
    languages: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        languages[row["language"]].append(row)
    by_language = [{"language": name, **_sum(rows)} for name, rows in languages.items()]
    return {"by_language": _sort(by_language), "by_group": _sort(rows)}


def _sum(rows: Iterable[Row]) -> dict[str, int]:
    total: dict[str, int] = dict.fromkeys(_SUMS, 0)
    for row in rows:
        for name in _SUMS:
            total[name] += row[name] or 0
    return total


def _sort(rows: list[Row]) -> list[Row]:
    def key(row: Row) -> Any:
        return -(row["characters"] or 0), row["language"], row.get("category", "")

    return sorted(rows, key=key)
