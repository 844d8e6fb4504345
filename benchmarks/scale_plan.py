"""The arithmetic of docs/scale.md: its constants in, its derived tables out.

    python benchmarks/scale_plan.py            rewrites the tables of the page
    python benchmarks/scale_plan.py --check    exit status 1 where the page is not up to date

The page's tables between `constants` marks are the only place where a number is written; replace
one there and run this.  Imports the standard library only.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from scale_model import Constants, count_parts, measure_size, plan_steps, time_step

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
MACHINES = ("one", "cluster")

_CONSTANTS = re.compile(r"<!-- constants -->(.*?)<!-- /constants -->", re.DOTALL)
_ROW = re.compile(r"^\| `([a-z_]+)` \| ([0-9.,]+) \|", re.MULTILINE)
_DERIVED = re.compile(r"(<!-- derived: (\w+) -->\n).*?(<!-- /derived -->)", re.DOTALL)


def show_size(c: Constants) -> str:
    """Markdown: what each step meets, and the largest files."""
    size = measure_size(c)
    steps = {step.name: step for step in plan_steps(c)}
    keys, sets = steps["sketch"].writes, steps["sets"].writes
    packed = size.text * c["compressed"]
    segments = count_parts(c) * steps["bands"].tasks
    scratch = max(steps["ids"].writes + keys, steps["ids"].writes + sets)
    serial = size.candidates * 8 + size.documents / 8
    rows = [
        ("documents read", _billions(size.documents)),
        ("different ids", _billions(size.distinct)),
        ("different normalised texts", _billions(size.left)),
        ("candidates", _billions(size.candidates)),
        ("candidate pairs", _billions(size.pairs)),
        ("removed in all", _billions(size.removed)),
        ("documents, on disk", _tb(packed)),
        ("keys of all kinds", _tb(keys)),
        ("shingle sets of the candidates", _tb(sets)),
        ("most scratch at a time", _tb(scratch)),
        ("documents and scratch", _tb(packed + scratch)),
        ("scratch per document", f"{scratch / size.documents:.0f} B"),
        ("mean read of a segment of the bands", f"{steps['bands'].reads / segments / 1e3:.0f} kB"),
        (
            "memory of the one serial step",
            f"{serial / 1e9:.1f} GB",
        ),
    ]
    return _table(("", ""), rows)


def show_steps(c: Constants) -> str:
    """Markdown: each step's work, whatever the machine."""
    steps = plan_steps(c)
    rows = [
        (
            step.name,
            f"{step.cpu / 3600:.1f}",
            f"{step.reads / 1e12:.2f}",
            f"{step.writes / 1e12:.2f}",
            f"{step.tasks:,}",
            f"{step.memory / 1e9:.1f}",
            f"{step.serial / 60:.0f}" if step.serial else "",
        )
        for step in steps
    ]
    total = [sum(getattr(step, name) for step in steps) for name in ("cpu", "reads", "writes")]
    sums = (f"**{total[0] / 3600:.0f}**", *(f"**{each / 1e12:.1f}**" for each in total[1:]))
    head = ("step", "core hours", "reads, TB", "writes, TB", "tasks", "GB a worker", "serial, min")
    return _table(head, [*rows, ("all", *sums, "", "", "")])


def show_walls(c: Constants) -> str:
    """Markdown: how long each step takes on each machine, why, and what it costs."""
    rows = []
    totals = dict.fromkeys(MACHINES, 0.0)
    for step in plan_steps(c):
        cells = [step.name]
        for machine in MACHINES:
            seconds, bound = time_step(c, step, machine)
            totals[machine] += seconds
            cells += [f"{seconds / 60:.0f}", bound]
        rows.append(tuple(cells))
    whole, prices = ["all"], ["price, USD"]
    for machine in MACHINES:
        hours = totals[machine] / 3600
        whole += [f"**{hours:.1f} h**", ""]
        prices += [f"**{hours * c[f'{machine}_usd_hour']:.0f}**", ""]
    head = ("step", "one machine, min", "bound by", "32 nodes, min", "bound by")
    return _table(head, [*rows, tuple(whole), tuple(prices)])


def show_peers(c: Constants) -> str:
    """Markdown: published figures, scaled to this corpus beside ours."""
    size = measure_size(c)
    steps = {step.name: step for step in plan_steps(c)}
    ours = steps["ids"].cpu + steps["sketch"].cpu
    trove = c["datatrove_tb"] * 1e12 / (c["datatrove_tasks"] * c["datatrove_minutes"] * 60) / 1e6
    rows = [
        ("text to keys, MB/s a core", f"{c['sketch_mbs']:.0f}", f"{trove:.1f} (datatrove)"),
        (
            "text to keys, core hours",
            f"{ours / 3600:.0f}",
            f"{size.text / trove / 3.6e9:,.0f} (datatrove)",
        ),
        (
            "keys on disk, TB",
            f"{steps['sketch'].writes / 1e12:.1f}",
            f"{size.documents * c['datatrove_signature'] / 1e12:.1f} (datatrove)",
        ),
        (
            "memory of the largest process, GB",
            f"{(size.candidates * 8 + size.documents / 8) / 1e9:.0f}",
            f"{size.documents / 1e6 * c['datasketch_gb']:,.0f} (datasketch), "
            f"{size.documents / 1e6 * c['text_dedup_gb']:,.0f} (text-dedup)",
        ),
    ]
    return _table(("", "this plan", "peer, carried over in proportion"), rows)


def _billions(number: float) -> str:
    return f"{number / 1e9:.2f} billion"


def _tb(number: float) -> str:
    return f"{number / 1e12:.2f} TB"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


SHOWS: dict[str, Callable[[Constants], str]] = {
    "size": show_size,
    "steps": show_steps,
    "walls": show_walls,
    "peers": show_peers,
}


def read_constants(page: str) -> Constants:
    """The constants of the page by their keys."""
    tables = "".join(_CONSTANTS.findall(page))
    return {key: float(value.replace(",", "")) for key, value in _ROW.findall(tables)}


def write_derived(page: str) -> str:
    """The page with its derived tables made anew."""
    constants = read_constants(page)
    return _DERIVED.sub(lambda match: match[1] + SHOWS[match[2]](constants) + match[3], page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    made = write_derived(page)
    if check and made != page:
        sys.exit("docs/scale.md is not up to date: run python benchmarks/scale_plan.py")
    if not check:
        PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
