"""JSON lines in, Parquet without duplicates out: ours beside the peers' scripts, on the same file.

    python benchmarks/end_to_end.py --make --text data/zh/*.jsonl.zst data/en/*.jsonl.zst
    python benchmarks/end_to_end.py

`--make` writes the input (see `make_input.py`): 1.05 GB and its first half.  Every run is a process
of its own on one core, from its start to its end, imports and compiled code loaded from the cache
included.  Slow peers get the first lines of the file only, and their rates are compared.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import harness
from harness import Cost

PEERS = Path(__file__).resolve().parent / "peers"


class Script(NamedTuple):
    """A contender.

    Attributes:
        part: share of the whole file that it gets; the first half of it lies beside it.
        every: whether it runs in every round, or in the first one only.
    """

    label: str
    file: str
    environment: str
    part: float
    every: bool
    packages: tuple[str, ...]
    arguments: tuple[str, ...] = ()


SCRIPTS = {
    "ours": Script(
        "ours, Parquet uncompressed",
        "with_tongwen.py",
        "ours",
        1,
        True,
        ("tongwen", "pyarrow", "numba"),
        ("none",),
    ),
    "ours-half": Script(
        "ours, half the input", "with_tongwen.py", "ours", 0.5, True, (), ("none",)
    ),
    "ours-lz4": Script("ours, Parquet lz4", "with_tongwen.py", "ours", 1, True, (), ("lz4",)),
    "daft": Script("daft, raw text", "with_daft.py", "peers", 1, True, ("daft",)),
    "daft-han": Script(
        "daft, a space after each Han character", "with_daft.py", "peers", 0.25, True, (), ("han",)
    ),
    "rensa": Script("rensa", "with_rensa.py", "peers", 0.25, True, ("rensa",)),
    "datasketch": Script(
        "datasketch, xxh32", "with_datasketch.py", "peers", 0.1, False, ("datasketch", "xxhash")
    ),
    "text-dedup": Script(
        "text-dedup", "with_text_dedup.py", "peers", 0.05, False, ("text-dedup", "datasets")
    ),
    "datatrove": Script(
        "datatrove", "with_datatrove.py", "datatrove", 0.01, False, ("datatrove", "xxhash")
    ),
}
NOTES = """
MB are 10^6 bytes of the input file, seconds are CPU seconds (user and system, children included) on
one core; "x" is how many times the rate of ours is, in the same round: median [least-most].
"Memory" is the resident set of the largest process at its peak, mapped files included; "held" is
what no file backs, of all processes. All with 128 permutations of which 18 bands of 7 are used, as
ours does by default (rensa: 16 of 8, its bands must divide them). Only ours compares candidate
pairs exactly; rensa compares the estimates of signatures, the others take equal bands for likeness,
so that they also remove documents that are not alike. "Near found": the share of planted near
duplicates (Jaccard similarity 0.8 to 1) that is not in the output beside its source. daft on raw
text and text-dedup and datatrove (English tokenizer) make few, long shingles of Chinese, which is
fast and misses Chinese duplicates.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--make", action="store_true", help="write the input first")
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="what it is made of")
    parser.add_argument("--bytes", type=float, default=1.05e9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(SCRIPTS), choices=list(SCRIPTS))
    parser.add_argument("--limit", type=float, default=150, help="seconds for one run")
    parser.add_argument("--env", type=Path, default=harness.ENVIRONMENTS)
    parser.add_argument("--folder", type=Path, default=Path("runs/bench"), help="of the input")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.make:
        make_input(options)
        return
    harness.pin_to_one_core()
    inputs = {name: cut_input(options.folder, SCRIPTS[name].part) for name in options.only}
    found: dict[str, dict[str, float]] = {}
    costs = run_all(options, inputs, found)
    title = "JSON lines to Parquet without duplicates"
    body = [describe_input(options.folder), make_rows(inputs, costs, found), NOTES]
    harness.write_section(
        options.results, "end_to_end", title, "\n\n".join([*body, list_versions(options)])
    )


def make_input(options: argparse.Namespace) -> None:
    """`whole.jsonl`, `half.jsonl` and what they are in `input.txt`."""
    assert options.text, "--text FILES: real text that the input is made of"
    whole, half = options.folder / "whole.jsonl", options.folder / "half.jsonl"
    command = [
        *(options.env / "ours" / "bin" / "python", Path(__file__).with_name("make_input.py")),
        *(*options.text, "--whole", whole, "--half", half),
        *("--bytes", options.bytes, "--seed", options.seed),
    ]
    made = subprocess.run([str(each) for each in command], check=True, capture_output=True)
    (options.folder / "input.txt").write_bytes(made.stdout)
    print(made.stdout.decode(), end="")


def describe_input(folder: Path) -> str:
    made = (folder / "input.txt").read_text(encoding="utf-8").strip()
    return f"Input: {made}, recombined from the sentences of real Chinese and English text."


def cut_input(folder: Path, part: float) -> Path:
    """The file with the first lines of the whole one; written where it is not there yet."""
    names = {1: "whole", 0.5: "half"}
    path = folder / f"{names.get(part, f'part-{part:g}')}.jsonl"
    whole = folder / "whole.jsonl"
    if not path.exists() or path.stat().st_mtime < whole.stat().st_mtime - 60:
        wanted = part * whole.stat().st_size
        with whole.open("rb") as file, path.open("wb") as target:
            while target.tell() < wanted:
                target.writelines(islice(file, 100))
    return path


def run_all(
    options: argparse.Namespace, inputs: dict[str, Path], found: dict[str, dict[str, float]]
) -> dict[str, list[Cost]]:
    """Rounds in turn; before them the quick ones once on little, so that caches are warm.

    `found` gets the shares of planted duplicates that each removed.
    """
    small = cut_input(options.folder, 0.01)
    for name in options.only:
        if SCRIPTS[name].every:
            run_script(options, name, small)
    remove(options.folder / "out")
    costs: dict[str, list[Cost]] = {name: [] for name in options.only}
    for number in range(options.rounds):
        turns: dict[str, Callable[[], Cost]] = {
            name: partial(run_script, options, name, inputs[name])
            for name in options.only
            if SCRIPTS[name].every or not number
        }
        for name, run in turns.items():
            try:
                costs[name].append(run())
                if name not in found:
                    found[name] = count_found(options, inputs[name])
            except RuntimeError as error:
                print(f"{name}: {error}", file=sys.stderr)
            remove(options.folder / "out")
    return costs


def run_script(options: argparse.Namespace, name: str, source: Path) -> Cost:
    """One run; its input is read into the page cache before."""
    script, target = SCRIPTS[name], options.folder / "out"
    remove(target)
    count_lines(source)
    python = options.env / script.environment / "bin" / "python"
    command = [str(python), str(PEERS / script.file), str(source), str(target), *script.arguments]
    log = options.folder / f"{name}.log"
    try:
        cost = harness.run_once(command, log, options.limit)
    except RuntimeError as error:
        # daft sometimes crashes when it ends.
        print(f"{name} runs again: {error}", file=sys.stderr)
        remove(target)
        cost = harness.run_once(command, log, options.limit)
    print(f"{name} {source.name}: {cost}", file=sys.stderr, flush=True)
    return cost


def count_found(options: argparse.Namespace, source: Path) -> dict[str, float]:
    """Shares of the planted duplicates that were found, by kind and language."""
    command = [
        *(options.env / "ours" / "bin" / "python", Path(__file__).with_name("count_found.py")),
        *(options.folder / "out", options.folder / "whole.planted", count_lines(source)),
    ]
    log = options.folder / "found.log"
    told = harness.run_once([str(each) for each in command], log).told
    return {**told["shares"], "kept": told["kept"]}


def count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, 1 << 24), b""))


def remove(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)


def make_rows(
    inputs: dict[str, Path], costs: dict[str, list[Cost]], found: dict[str, dict[str, float]]
) -> str:
    """The table."""
    rates = {
        name: [inputs[name].stat().st_size / 1e6 / cost.cpu for cost in runs]
        for name, runs in costs.items()
    }
    rows: list[list[str]] = []
    for name, runs in costs.items():
        size = inputs[name].stat().st_size / 1e6
        if not runs or name not in found:
            rows.append([SCRIPTS[name].label, f"{size:,.0f}", "failed", *[""] * 9])
            continue
        same = rates.get("ours", [])[: len(runs)]
        ratio = harness.format_ratios(same, rates[name]) if same and name[:4] != "ours" else ""
        shares = (f"{found[name].get(f'near {each}', 0):.3f}" for each in ("en", "zh"))
        rows.append(
            [
                *(SCRIPTS[name].label, f"{size:,.0f}", f"{median(rates[name]):.3g}"),
                *(ratio, f"{median(cost.cpu for cost in runs):.1f}"),
                *(f"{median(cost.wall for cost in runs):.1f}", str(len(runs))),
                f"{max(cost.memory for cost in runs) / 1e6:,.0f}",
                f"{max(cost.held for cost in runs) / 1e6:,.0f}",
                *(f"{found[name]['kept']:,} of {count_lines(inputs[name]):,}", *shares),
            ]
        )
    head = ["", "input, MB", "MB/s", "x", "CPU s", "wall s", "runs", "memory, MB", "held"]
    return harness.make_table([*head, "kept", "near found, en", "zh"], rows)


def list_versions(options: argparse.Namespace) -> str:
    """Versions of all that took part."""
    found: list[str] = []
    for name in options.only:
        script = SCRIPTS[name]
        python = options.env / script.environment / "bin" / "python"
        versions = harness.find_versions(python, script.packages)
        found += [f"{each} {version}" for each, version in versions.items() if each != "Python"]
    return f"Versions: {', '.join(found)}."


if __name__ == "__main__":
    main()
