"""Text to Megatron shards on two cores: ours beside our encoder alone, Megatron-LM and datatrove.

    python benchmarks/throughput.py --text zh/*.jsonl.zst en/*.jsonl.zst --model tokenizer.model

Two tables.  The first holds the whole step `buckets/STAGE` against the encoder alone, on text that
is long enough for what is constant not to matter.  The second holds it against the peers, on less
text, because they are slow; all read the same documents and give the same vocabulary's ids.  Every
run is a process of its own, with two cores; contenders take turns.  The corpus steps come before
and are not timed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import harness
from harness import Cost

HERE = Path(__file__).resolve().parent
SHAPE = "4096x{buckets}"
BUCKET_MEGABYTES = 12.5
LABELS = {
    "ours": "ours: balanced, packed, traceable buckets",
    "encoder": "our encoder alone, texts in memory, ids thrown away",
    "megatron": "Megatron-LM's preprocess_data.py, 2 workers",
    "megatron-one": "the same in one process",
    "datatrove": "datatrove's DocumentTokenizer, 2 tasks",
}
PACKAGES = ("numba", "numpy", "pyarrow", "duckdb", "megatron-core", "tokenizers", "transformers")
NOTES = """
MB are 10^6 bytes of UTF-8 text (prompts included). Seconds are those of the work after imports, the
loading of the tokenizer included (not the encoder alone's); CPU seconds are user and system time of
the process, its threads and its children; "process" is the CPU of the whole process with its
imports. "x" is how many times the CPU seconds of ours the contender takes, in the same round:
median [least-most]. "Memory" is the resident set of the largest process at its peak, mapped files
included; "held" what no file backs, of all processes.

What each does beyond ids in a file. Ours reads the run's Parquet documents and leaves out
duplicates and held-out documents; chooses, balances and packs them into sequences of 4,096; writes
loss masks and boundaries, where every token came from and where every document went; and records
the SHA-256 of every file, flushed to the disk. Megatron's tool reads JSON lines and writes
documents end to end in the order of the lines with an index: what is a sequence, and of what
mixture, is decided when training starts. datatrove reads JSON lines, writes documents with an index
and shuffles them inside each task's file. Neither balances, packs, masks prompts, hashes or keeps
the documents' names. Their tokens differ from ours by BOS (datatrove writes none) and where a
prompt and its text are encoded as one.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="JSON lines, .zst too")
    parser.add_argument("--model", type=Path, required=True, help="SentencePiece .model")
    parser.add_argument("--megabytes", type=float, default=500, help="of text, beside the encoder")
    parser.add_argument("--peer-megabytes", type=float, default=40, help="of text, beside peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=2)
    parser.add_argument("--env", type=Path, default=harness.ENVIRONMENTS)
    parser.add_argument("--only", nargs="+", default=list(LABELS), choices=list(LABELS))
    parser.add_argument("--folder", type=Path, help="scratch; by default a temporary folder")
    parser.add_argument("--results", type=Path, help="the file to write a section of")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        options.folder = options.folder or Path(folder)
        options.folder.mkdir(parents=True, exist_ok=True)
        body = measure(options)
    if options.results:
        harness.write_section(options.results, "throughput", "Text to shards", body)
    else:
        print(body)


def measure(options: argparse.Namespace) -> str:
    parts: list[str] = []
    pairs = [
        (options.megabytes, options.rounds, ("ours", "encoder")),
        (options.peer_megabytes, options.peer_rounds, ("ours", *list(LABELS)[2:])),
    ]
    for megabytes, rounds, names in pairs:
        chosen = [name for name in names if name in options.only]
        if rounds and len(chosen) > 1:
            about = prepare(options, megabytes)
            runs = {name: partial(run, options, name, about) for name in chosen}
            costs = harness.interleave(runs, rounds, warm_up="encoder" in chosen)
            parts.append(f"{make_title(about)}\n\n{make_table(about, costs)}")
            parts += [compare(costs)] if "encoder" in chosen else []
    return "\n\n".join([*parts, NOTES.strip(), list_versions(options)])


def prepare(options: argparse.Namespace, megabytes: float) -> dict[str, Any]:
    """A run folder with so much text; buckets hold the same whatever the size."""
    shape = SHAPE.format(buckets=max(2, round(megabytes / BUCKET_MEGABYTES)))
    command = [
        *(sys.executable, HERE / "bucket_corpus.py", options.folder, "--text", *options.text),
        *("--model", options.model, "--megabytes", megabytes, "--shapes", shape, "--lines"),
    ]
    made = subprocess.run([str(each) for each in command], check=True, stdout=subprocess.PIPE)
    return json.loads(made.stdout.splitlines()[-1]) | {"shape": shape}


def run(options: argparse.Namespace, name: str, about: dict[str, Any]) -> Cost:
    """One run of a contender; what it writes is removed."""
    recipe, out = about["recipes"][about["shape"]], options.folder / "out"
    lines, halves = about["lines"]
    ours, megatron = "with_tongwen_buckets.py", "with_preprocess_data.py"
    commands: dict[str, Sequence[object]] = {
        "ours": (ours, "build", recipe),
        "encoder": (ours, "encode", recipe),
        "megatron": (megatron, lines, out, about["tokenizer"], 2),
        "megatron-one": (megatron, lines, out, about["tokenizer"], 0),
        "datatrove": ("with_datatrove_tokens.py", halves, out, about["tokenizer"], 2),
    }
    python = sys.executable
    if name == "datatrove":
        python = str(options.env / "datatrove" / "bin" / "python")
    script, *arguments = commands[name]
    command = [python, str(HERE / "peers" / str(script)), *map(str, arguments)]
    cost = harness.run_once(command, options.folder / f"{name}.log")
    shutil.rmtree(out, ignore_errors=True)
    print(f"{name}: {cost}", file=sys.stderr, flush=True)
    return cost


def make_title(about: dict[str, Any]) -> str:
    buckets = about["shape"].split("x")[1]
    return (
        f"### {about['bytes'] / 1e6:,.0f} MB, {about['documents']:,} documents, "
        f"{about['tokens']:,} tokens, {buckets} buckets"
    )


def make_table(about: dict[str, Any], costs: dict[str, list[Cost]]) -> str:
    size = about["bytes"] / 1e6
    rows: list[list[str]] = []
    for name, runs in costs.items():
        cpu = [cost.told["cpu"] for cost in runs]
        wall = [cost.told["wall"] for cost in runs]
        ours = [cost.told["cpu"] for cost in costs["ours"]]
        rows.append(
            [
                LABELS[name],
                *(f"{median(cpu):.2f}", f"{median(wall):.2f}"),
                *(f"{size / median(cpu):,.3g}", f"{size / median(wall):,.3g}"),
                "" if name == "ours" else harness.format_ratios(cpu, ours),
                f"{median(cost.cpu for cost in runs):.2f}",
                f"{max(cost.memory for cost in runs) / 1e6:,.0f}",
                f"{max(cost.held for cost in runs) / 1e6:,.0f}",
                f"{count_tokens(runs[0]):,}",
            ]
        )
    head = ["", "CPU s", "wall s", "MB/CPU s", "MB/s, wall", "x", "process, CPU s", "memory, MB"]
    return harness.make_table([*head, "held", "tokens"], rows)


def count_tokens(cost: Cost) -> int:
    told = cost.told
    return told["counts"]["tokens"] if "counts" in told else told["tokens"]


def compare(costs: dict[str, list[Cost]]) -> str:
    """What share of the encoder's throughput the whole step has."""
    found: dict[str, list[float]] = {}
    kinds: dict[str, Callable[[Cost], float]] = {
        "wall": lambda cost: cost.told["wall"],
        "CPU seconds": lambda cost: cost.told["cpu"],
    }
    for name, take in kinds.items():
        pairs = zip(costs["encoder"], costs["ours"], strict=True)
        found[name] = [take(encoder) / take(ours) for encoder, ours in pairs]
    shares = ", ".join(
        f"{median(each):.0%} [{min(each):.0%}-{max(each):.0%}] by {name}"
        for name, each in found.items()
    )
    return f"The step's throughput as a share of the encoder's: {shares}."


def list_versions(options: argparse.Namespace) -> str:
    found = harness.find_versions(Path(sys.executable), PACKAGES)
    trove = options.env / "datatrove" / "bin" / "python"
    if "datatrove" in options.only and trove.exists():
        theirs = harness.find_versions(trove, ("datatrove", "tokenizers"))
        found |= {f"{name} (datatrove's)": theirs[name] for name in ("datatrove", "tokenizers")}
    return f"Versions. {', '.join(f'{name} {version}' for name, version in found.items())}."


if __name__ == "__main__":
    main()
