"""Rows of an answer on standard output: a table for people, CSV or JSON for programs.

CSV and JSON are written batch by batch, whatever their number; a table is cut to a few rows and its
cells to a line, and what a terminal would obey in them is replaced.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from tongwen.progress import say

CELL = 60
"""Characters of a cell of a table."""

_UNBOUNDED = 10_000


def print_table(names: Sequence[str], rows: Iterable[Sequence[Any]], limit: int) -> None:
    """The first rows, aligned; a line on standard error says if there are more."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = list(islice(rows, limit + 1))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(names):
        numbers = all(_is_number(row[place]) for row in shown)
        table.add_column(Text(clean(name)), justify="right" if numbers and shown else "left")
    for row in shown[:limit]:
        table.add_row(*(Text(_show(value)) for value in row))
    width = None if sys.stdout.isatty() else _UNBOUNDED
    Console(width=width, highlight=False).print(table)
    if len(shown) > limit:
        say(f"the first {limit:,} rows; --limit gives more, --csv and --json all")


def print_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A line of names, then the rows; NULL is an empty field."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow(["" if value is None else _to_field(value) for value in row])


def print_json(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """An array of objects, one on each line."""
    before = "[\n"
    for row in rows:
        table = {name: _to_json(value) for name, value in zip(names, row, strict=True)}
        sys.stdout.write(before + json.dumps(table, ensure_ascii=False, allow_nan=False))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def print_names(entries: Iterable[tuple[str, str, Sequence[tuple[str, str, str]]]]) -> None:
    """For each entry its name, what it says, and its columns with types and remarks."""
    for name, comment, columns in entries:
        print(f"{name}: {comment}")
        widths = [max(len(column[place]) for column in columns) for place in (0, 1)]
        for column, kind, remark in columns:
            print(f"    {column:{widths[0]}}  {kind.lower():{widths[1]}}  {remark}".rstrip())
        print()


def clean(words: str) -> str:
    """One line: white space as blanks, control characters and the like as a dot."""
    letters = (" " if letter.isspace() else letter for letter in words)
    return "".join(letter if letter.isprintable() else "·" for letter in letters)


def list_rows(batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of Arrow record batches as Python values."""
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return number or value is None


def _show(value: Any) -> str:
    value = _to_json(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return clean(words if len(words) <= CELL else words[: CELL - 1] + "…")


def _to_field(value: Any) -> str | int | float:
    plain = _to_json(value)
    if isinstance(plain, bool):
        return str(plain).lower()
    if plain is None or isinstance(plain, str | int | float):
        return "" if plain is None else plain
    return json.dumps(plain, ensure_ascii=False)


def _to_json(value: Any) -> Any:
    """A value that JSON can hold; whole decimals become integers, what is no number null."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict):
        return {str(name): _to_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(inner) for inner in value]
    return value.hex() if isinstance(value, bytes) else str(value)
