"""Text to signature: ours beside the peers, on real text, one core, 128 permutations.

    python benchmarks/signatures.py --zh data/zh/*.jsonl.zst --en data/en/*.jsonl.zst

Every contender reads a prefix of the same shuffled sample: slow ones a shorter one.  Then, in the
same run, ours is compared with datasketch to the bit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import harness
from contenders import CONTENDERS, NUM_PERM
from harness import Cost, Worker

HERE = Path(__file__).resolve().parent
LANGUAGES = {"en": "English, shingles of 5 words", "zh": "Chinese, shingles of 5 characters"}
OURS = ("ours-fast", "ours-xxh32", "ours-sha1")
NOTES = """
MB are 10^6 bytes of UTF-8 text, seconds are CPU seconds of one core. "x ours, fast" is how many
times as fast ours with the fast hash is, in the same round: median [least-most]; "x ours, same
hash" is the same for ours with the peer's own hash. Python shingling counts for peers that take
tokens, except in the rows "shingles ready". daft gets Chinese with a space after every character,
put there before the clock starts; raw Chinese it takes for a few long words. gaoya has no call for
the signature alone. text-dedup and datatrove normalise first; text-dedup's `\\W` makes clauses of
Chinese, not characters (few shingles, hence fast); datatrove cuts it into words with jieba
(`cmn_Hani`). Ours folds case and width and drops punctuation, the peers that take tokens do not.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--zh", type=Path, nargs="+", default=[], help="JSON lines, plain or .zst")
    parser.add_argument("--en", type=Path, nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the samples' sizes")
    parser.add_argument("--only", nargs="+", default=list(CONTENDERS), metavar="CONTENDER")
    parser.add_argument("--identical", type=int, default=2600, help="documents a language")
    parser.add_argument("--env", type=Path, default=harness.ENVIRONMENTS)
    parser.add_argument("--folder", type=Path, default=Path("runs/bench"), help="scratch space")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin_to_one_core()
    options.folder.mkdir(parents=True, exist_ok=True)
    parts: list[str] = []
    for language, title in LANGUAGES.items():
        if texts := getattr(options, language):
            sample = options.folder / f"sample.{language}"
            write_sample(options.env, texts, sample, options.scale)
            parts += [f"### {title}", measure(options, language, sample)]
            parts.append(check_identity(options, language, sample))
    parts += [NOTES, list_versions(options.env, options.only)]
    title = f"Text to signature, {NUM_PERM} permutations"
    harness.write_section(options.results, "signatures", title, "\n\n".join(parts))


def write_sample(environments: Path, texts: Sequence[Path], sample: Path, scale: float) -> None:
    size = 1e6 * scale * max(contender.megabytes for contender in CONTENDERS.values())
    python = environments / "ours" / "bin" / "python"
    command = [python, HERE / "make_input.py", *texts, "--sample", sample, "--bytes", str(size)]
    subprocess.run(command, check=True)


def measure(options: argparse.Namespace, language: str, sample: Path) -> str:
    """The table of one language."""
    workers = start_workers(options, language, sample)
    turns = {each.name: each.run for each in workers}
    costs = harness.interleave(turns, options.rounds, warm_up=0)
    rates = {
        each.name: [each.told["bytes"] / 1e6 / cost.cpu for cost in costs[each.name]]
        for each in workers
    }
    rows = [make_row(each, rates, costs[each.name]) for each in workers]
    for worker in workers:
        worker.stop()
    head = ["", "MB/s", "docs/s", "x ours, fast", "x ours, same hash", "wall / CPU", "sample"]
    return harness.make_table(head, rows)


def start_workers(options: argparse.Namespace, language: str, sample: Path) -> list[Worker]:
    """The contenders that can be run: input loaded, and run once to warm up and to find out."""
    workers: list[Worker] = []
    for name in options.only:
        contender = CONTENDERS[name]
        size = str(1e6 * options.scale * contender.megabytes)
        python = options.env / contender.environment / "bin" / "python"
        command = [str(python), str(HERE / "contenders.py"), name, language, str(sample), size]
        worker = Worker(name, command)
        try:
            worker.start()
            worker.run()
        except RuntimeError as error:
            print(f"not run: {error}", file=sys.stderr)
        else:
            workers.append(worker)
    return workers


def make_row(worker: Worker, rates: dict[str, list[float]], costs: list[Cost]) -> list[str]:
    """A line of the table; a ratio below 1 would mean that the peer is faster."""
    rate, told = median(rates[worker.name]), worker.told
    same = worker.name.replace("datasketch", "ours").removesuffix("-kernel")
    ratios = [
        harness.format_ratios(rates[ours], rates[worker.name])
        if ours in rates and ours in OURS and worker.name not in OURS
        else ""
        for ours in ("ours-fast", same)
    ]
    documents = rate * told["documents"] / told["bytes"] * 1e6
    wall = median(cost.wall / cost.cpu for cost in costs)
    sample = f"{told['bytes'] / 1e6:.1f} MB, {told['documents']:,} documents"
    label = CONTENDERS[worker.name].label
    return [label, f"{rate:,.3g}", f"{documents:,.0f}", *ratios, f"{wall:.2f}", sample]


def check_identity(options: argparse.Namespace, language: str, sample: Path) -> str:
    """Whether ours and datasketch make the same signatures, in words."""
    python = options.env / "ours" / "bin" / "python"
    command = [python, HERE / "check_identity.py", sample, str(options.identical)]
    log = options.folder / f"identity.{language}.log"
    found = harness.run_once([str(each) for each in command], log).told
    mismatches = ", ".join(f"{name} {number}" for name, number in found["mismatches"].items())
    return f"Signatures that differ from datasketch's, of {found['documents']:,}: {mismatches}."


def list_versions(environments: Path, names: Sequence[str]) -> str:
    """Versions of all that took part, by environment."""
    wanted: dict[str, set[str]] = {}
    for name in names:
        wanted.setdefault(CONTENDERS[name].environment, set()).update(CONTENDERS[name].packages)
    lines: list[str] = []
    for environment, packages in wanted.items():
        python = environments / environment / "bin" / "python"
        found = harness.find_versions(python, sorted(packages))
        lines.append(
            f"{environment}: {', '.join(f'{name} {each}' for name, each in found.items())}"
        )
    return "Versions. " + "; ".join(lines) + "."


if __name__ == "__main__":
    main()
