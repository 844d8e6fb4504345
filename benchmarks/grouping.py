"""Grouping the band keys of ten million documents in a gigabyte: ours beside what one would use.

    python benchmarks/grouping.py

The keys are synthetic: 16 bands, one document in ten a near copy of an earlier one.  datasketch
holds its index in Python dictionaries and gets fewer documents; its rate is carried over.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import median

import harness
from harness import Cost

SCRIPT = Path(__file__).with_name("group_keys.py")
LABELS = {
    "ours": "ours, memory = 1 GB",
    "duckdb": "DuckDB group by, memory_limit 1 GB, one band at a time",
    "numpy": "numpy argsort and scipy components",
    "datasketch": "datasketch MinHashLSH, query and insert",
}
PACKAGES = ("tongwen", "numba", "duckdb", "numpy", "scipy", "datasketch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--documents", type=float, default=1e7)
    parser.add_argument("--few", type=float, default=2e5, help="documents for datasketch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--env", type=Path, default=harness.ENVIRONMENTS)
    parser.add_argument("--folder", type=Path, default=Path("runs/bench"), help="scratch space")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin_to_one_core()
    many, few = int(options.documents), int(options.few)
    costs: dict[tuple[str, int], list[Cost]] = {}
    for num in (few, many):
        prepare(options, num)
    for number in range(options.rounds):
        for method, num in turns(many, few):
            if not number or (method, num) in (("ours", many), ("duckdb", many)):
                costs.setdefault((method, num), []).append(run(options, method, num))
    rows = [make_row(method, num, costs) for method, num in turns(many, few)]
    head = ["", "documents", "CPU s", "wall s", "documents/s", "x", "memory, MB"]
    body = [harness.make_table([*head, "groups", "members", "stay"], rows), NOTES]
    versions = harness.find_versions(options.env / "ours" / "bin" / "python", PACKAGES)
    body.append("Versions: " + ", ".join(f"{name} {each}" for name, each in versions.items()) + ".")
    title = "Grouping band keys"
    harness.write_section(options.results, "grouping", title, "\n\n".join(body))


NOTES = """
From keys on disk to connected sets; imports are not in the time and are in the memory. "x" is how
many times as many documents ours does in a CPU second (the same number of documents, the same
round: median [least-most]). Methods agree where groups, members and the documents that stay (one of
every connected set) are equal.
"""


def turns(many: int, few: int) -> list[tuple[str, int]]:
    """In the order of a round."""
    large = [(method, many) for method in LABELS if method != "datasketch"]
    return [*large, ("ours", few), ("datasketch", few)]


def prepare(options: argparse.Namespace, num: int) -> None:
    """The keys of `num` documents, where they are not there yet; and compiled code in its cache."""
    folder = options.folder / f"keys-{num}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(command(options, "make", num), check=True)
        (folder / "done").touch()
    if num == int(options.few):
        run(options, "ours", num)


def command(options: argparse.Namespace, method: str, num: int) -> list[str]:
    python = options.env / "ours" / "bin" / "python"
    return [str(each) for each in (python, SCRIPT, method, options.folder / f"keys-{num}", num)]


def run(options: argparse.Namespace, method: str, num: int) -> Cost:
    cost = harness.run_once(command(options, method, num), options.folder / f"{method}.log")
    told = cost.told
    print(f"{method} {num:,}: {cost}", file=sys.stderr, flush=True)
    return Cost(told["cpu"], told["wall"], cost.memory, cost.held, told)


def make_row(method: str, num: int, costs: dict[tuple[str, int], list[Cost]]) -> list[str]:
    runs = costs[method, num]
    rates = [num / cost.cpu for cost in runs]
    ours = [num / cost.cpu for cost in costs["ours", num]][: len(rates)]
    told = runs[0].told
    return [
        *(LABELS[method], f"{num:,}", f"{median(cost.cpu for cost in runs):.1f}"),
        *(f"{median(cost.wall for cost in runs):.1f}", f"{median(rates):,.0f}"),
        "" if method == "ours" else harness.format_ratios(ours, rates),
        f"{max(cost.memory for cost in runs) / 1e6:,.0f}",
        *(f"{told[name]:,}" for name in ("groups", "members", "kept")),
    ]


if __name__ == "__main__":
    main()
