"""What was not made a piece, and why: one row each, so that nothing goes silently.

Whatever takes a piece out (the filter, a user's list that holds it twice, a full vocabulary) hands
over a `LeftOut`; the rows end in `left_out.parquet`, and their counts in the terminal.  The
price is a row of four fields for every piece that is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    {"piece": pa.string(), "count": pa.int64(), "rule": pa.string(), "reason": pa.string()}
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A piece that is not in the vocabulary.

    Attributes:
        piece: its text; "" where the row stands for several.
        count: how often it occurs, or how many the row stands for.
        rule: what took it out: `shape:phone`, `advertising`, `list:duplicate`, ...
        reason: one sentence for a person.
    """

    piece: str
    count: int
    rule: str
    reason: str


def write_left_out(rows: Iterable[LeftOut], path: Path) -> None:
    """Write `left_out.parquet`: by rule, the most frequent first; the same bytes in any order.

    Half a surrogate pair, which a JSON line can hold and UTF-8 cannot, is written as `\\ud800`.
    """
    ordered = sorted(rows, key=lambda row: (row.rule, -row.count, row.piece, row.reason))
    columns = [
        [_make_storable(row.piece) for row in ordered],
        [row.count for row in ordered],
        [row.rule for row in ordered],
        [_make_storable(row.reason) for row in ordered],
    ]
    table = pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA)
    pq.write_table(table, path, compression="zstd")


def count_left_out(rows: Iterable[LeftOut]) -> dict[str, int]:
    """Rows of each rule, the rules in alphabetical order."""
    return dict(sorted(Counter(row.rule for row in rows).items()))


def describe_left_out(rows: Sequence[LeftOut], examples: int = 3) -> list[str]:
    """For each rule a line for the terminal: `advertising: 12 left out (点击下载, ...)`."""
    lines: list[str] = []
    for rule, number in count_left_out(rows).items():
        found = sorted((row for row in rows if row.rule == rule), key=lambda row: -row.count)
        shown = [_show(row.piece) for row in found[:examples] if row.piece]
        more = ", ..." if number > len(shown) else ""
        names = f" ({', '.join(shown)}{more})" if shown else ""
        lines.append(f"{rule}: {number:,} left out{names}")
    return lines


def _make_storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _show(piece: str) -> str:
    """A piece in one line: what a terminal would obey is escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in piece)
