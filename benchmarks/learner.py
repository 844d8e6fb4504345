"""Learning byte-pair merges: ours beside Hugging Face's BpeTrainer, on the same runs, one core.

    python benchmarks/learner.py --text data/zh/*.jsonl.zst data/qa/*zh*.jsonl.zst

Both get the distinct runs of Chinese (a run is a word, nothing splits it further), each once, and
learn the same number of merges; the merges are compared by their hash.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import harness
from harness import Cost

SCRIPT = Path(__file__).with_name("learn_pieces.py")
LABELS = {"ours": "ours", "hf": "tokenizers BpeTrainer"}
PACKAGES = ("tongwen", "numba", "numpy", "tokenizers")
NOTES = """
From runs in memory (ours: code points; theirs: a list of strings) to the list of merges. Reading,
making the runs and the imports are not in the time; the memory is the peak of the process with all
of that. "x" is their CPU time over ours in the same round: median [least-most]. Where the text has
fewer characters than asked for, the first half of a run and the second half of another make new
ones: {real}. Merges are the same where their hash is.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="JSON lines, or .zst")
    parser.add_argument("--characters", type=float, nargs="+", default=[1e8])
    parser.add_argument("--pieces", type=int, default=37_104)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=list(LABELS), choices=LABELS)
    parser.add_argument("--env", type=Path, default=harness.ENVIRONMENTS)
    parser.add_argument("--folder", type=Path, default=Path("runs/bench"), help="scratch space")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin_to_one_core()
    options.folder.mkdir(parents=True, exist_ok=True)
    rows: list[list[str]] = []
    real: list[str] = []
    for wanted in map(int, options.characters):
        about = prepare(options, wanted)
        real.append(
            f"{about['real'] / 1e6:.1f} of {about['characters'] / 1e6:.1f} million are real"
        )
        rows += measure(options, wanted, about)
    head = ["characters", "runs", "", "CPU s", "wall s", "characters/s", "x", "memory, MB"]
    body = [harness.make_table([*head, "merges", "hash"], rows)]
    body.append(NOTES.format(real="; ".join(real)))
    versions = harness.find_versions(find_python(options), PACKAGES)
    body.append("Versions: " + ", ".join(f"{name} {each}" for name, each in versions.items()) + ".")
    title = "Learning byte-pair merges"
    harness.write_section(options.results, "learner", title, "\n\n".join(body))


def find_python(options: argparse.Namespace) -> Path:
    return options.env / "ours" / "bin" / "python"


def prepare(options: argparse.Namespace, size: int) -> dict[str, Any]:
    """Make the runs; what they are."""
    log = options.folder / "make.log"
    arguments = ["make", options.folder / f"runs-{size}.npz", size, *options.text]
    return harness.run_once(command(options, *arguments), log).told


def command(options: argparse.Namespace, *arguments: object) -> list[str]:
    return [str(each) for each in (find_python(options), SCRIPT, *arguments)]


def measure(options: argparse.Namespace, size: int, about: dict[str, Any]) -> list[list[str]]:
    """A row for each contender."""

    def run(name: str) -> Cost:
        path = options.folder / f"runs-{size}.npz"
        cost = harness.run_once(
            command(options, name, path, options.pieces), options.folder / f"{name}.log"
        )
        told = cost.told
        print(f"{name} {size:,}: {told}", file=sys.stderr, flush=True)
        return Cost(told["cpu"], told["wall"], cost.memory, cost.held, told)

    warm = [command(options, "ours", options.folder / f"runs-{size}.npz", 10)]
    subprocess.run(warm[0], check=True, stdout=subprocess.DEVNULL)
    contenders = {name: (lambda name=name: run(name)) for name in options.only}
    costs = harness.interleave(contenders, options.rounds, warm_up=0)
    return [make_row(name, about, costs) for name in contenders]


def make_row(name: str, about: dict[str, Any], costs: dict[str, list[Cost]]) -> list[str]:
    runs = costs[name]
    cpu = median(cost.cpu for cost in runs)
    rates = [1 / cost.cpu for cost in runs]
    ours = [1 / cost.cpu for cost in costs.get("ours", runs)]
    return [
        *(f"{about['characters']:,}", f"{about['runs']:,}", LABELS[name], f"{cpu:.1f}"),
        f"{median(cost.wall for cost in runs):.1f}",
        f"{about['characters'] / cpu:,.0f}",
        "" if name == "ours" else harness.format_ratios(ours, rates),
        f"{max(cost.memory for cost in runs) / 1e6:,.0f}",
        *(f"{runs[0].told['merges']:,}", str(runs[0].told["sha256"])),
    ]


if __name__ == "__main__":
    main()
