"""Progress of anything that takes more than two seconds, with an estimate of the time left.

On a terminal a bar is drawn; elsewhere (a log file, CI) a line is printed now and then.  Both go
to standard error, so that standard output stays for results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[float], None]
_FIRST_LINE, _NEXT_LINE = 2.0, 10.0
_FORESEEABLE = 0.02
"""Share of the work after which the time left is worth saying; compiling comes before it."""


@contextmanager
def progress(label: str, *, total: float | None = None, unit: str = "") -> Iterator[Advance]:
    """Show the progress of a block; the block calls the function it gets with what was done.

    Args:
        label: what is being done, e.g. "reading documents".
        total: how much there is to do in `unit`; None where that is not known.
        unit: "B" for bytes (shown as MB), otherwise a plural noun such as "documents".
    """
    show = _bar if sys.stderr.isatty() else _lines
    with show(label, total, unit) as advance:
        yield advance


def say(text: str) -> None:
    """One line for the person who watches."""
    print(text, file=sys.stderr, flush=True)


def format_count(value: float, unit: str) -> str:
    """`value` as a person reads it: 12.3 MB, 45,678 documents."""
    if unit == "B":
        return f"{value / 1e6:,.1f} MB"
    return f"{value:,.0f} {unit}".rstrip()


def format_seconds(seconds: float) -> str:
    """`75` as 1:15."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


@contextmanager
def _bar(label: str, total: float | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[done]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, done="")
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done
            done += amount
            bar.update(task, completed=done, done=format_count(done, unit))

        yield advance


@contextmanager
def _lines(label: str, total: float | None, unit: str) -> Iterator[Advance]:
    started = time.monotonic()
    due, done = started + _FIRST_LINE, 0.0

    def advance(amount: float) -> None:
        nonlocal due, done
        done += amount
        now = time.monotonic()
        if now < due:
            return
        due = now + _NEXT_LINE
        text = f"  {label}: {format_count(done, unit)}"
        if total:
            text += f" of {format_count(total, unit)}"
        if total and done > total * _FORESEEABLE:
            left = (now - started) * max(0.0, total - done) / done
            text += f", {format_seconds(left)} left"
        say(text)

    yield advance
