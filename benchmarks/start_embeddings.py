"""Rows for new pieces: the memory it takes for a 7B-shaped model, and what each start is worth.

    python benchmarks/start_embeddings.py memory --vocabulary RUN/tokenizer/vocabulary
    python benchmarks/start_embeddings.py table --tokenizer llama2/tokenizer.model \\
        --zh data/zh/*.jsonl.zst --en data/en/*.jsonl.zst

`memory` writes a model of LLaMA-2-7B's shape with random weights, extends it in a process of its
own, compares what was copied, and removes both.  `table` trains small models with the base's
vocabulary (`small_llama.py`), learns larger ones from the Chinese files, and measures every start
on documents that neither has seen.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=["memory", "table", "extend"])
    parser.add_argument("--folder", type=Path, default=Path("runs/bench/start"), help="scratch")
    parser.add_argument("--vocabulary", type=Path, help="of 69,104 pieces, for `memory`")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--method", default="late/prior", help="of `memory`: INPUT/OUTPUT")
    parser.add_argument("--characters", type=int, default=60_000, help="of each language")
    parser.add_argument("--tokenizer", type=Path, help="the base's .model, for `table`")
    parser.add_argument("--zh", type=Path, nargs="+")
    parser.add_argument("--en", type=Path, nargs="+")
    parser.add_argument("--sizes", type=int, nargs="+", default=[44_000, 69_104])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--iterations", type=int, default=900)
    parser.add_argument("--starts", nargs="*", default=[])
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    parser.add_argument("--print", action="store_true", help="write no section of the results")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.what == "extend":
        print(json.dumps(extend(options)))
        return
    measure, title = {
        "memory": (measure_memory, "A 7B-shaped model, extended to 69,104 pieces"),
        "table": (measure_table, "Bits per character at step 0"),
    }[options.what]
    body = measure(options)
    if options.print:
        print(body)
    else:
        harness.write_section(options.results, f"start-{options.what}", title, body)


def measure_memory(options: argparse.Namespace) -> str:
    """Extend the big model by each method, compare what was copied; in words."""
    from big_llama import write_big_llama

    source, out = options.folder / "big", options.folder / "extended"
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    total = write_big_llama(source, options.layers)
    room = shutil.disk_usage(options.folder).free
    if room < total * 1.1:
        raise SystemExit(f"the copy needs {total / 1e9:.0f} GB of disk, {room / 1e9:.0f} are free")
    command = [sys.executable, str(HERE / "start_embeddings.py"), "extend"]
    for name in ("folder", "vocabulary", "method"):
        command += [f"--{name}", str(getattr(options, name))]
    cost = harness.run_once(command, options.folder / "extend.log")
    same = count_same(source, out)
    for folder in (source, out):
        shutil.rmtree(folder)
    told = cost.told
    return (
        f"{options.layers} layers, hidden size 4,096, bfloat16, {total / 1e9:.1f} GB in shards, "
        f"32,000 to {told['rows']:,} rows, `{options.method}`: peak "
        f"{cost.memory / 1e9:.2f} GB resident, {cost.cpu:.0f} CPU s, {cost.wall:.0f} s. "
        f"{told['identical']} identical rows ({told['moved']} moved). "
        f"{same[0]} of {same[1]} tensors of the base have their bits."
    )


def extend(options: argparse.Namespace) -> dict[str, Any]:
    """The work of `memory`, in a process of its own."""
    from tokenizer.starting.embeddings import extend_model
    from tokenizer.starting.write import parse_methods

    (settings,) = parse_methods([options.method], 0.1, False)
    out = options.folder / "extended"
    counts = extend_model(options.folder / "big", options.vocabulary, out, settings)
    moved = sum(int(counts[f"{side}_rows_moved"]) for side in ("input", "output"))
    return {"rows": counts["rows"], "moved": moved, "identical": counts["identical_rows"]}


def count_same(source: Path, out: Path) -> tuple[int, int]:
    """Tensors of the base whose bytes the extended model begins with, and all tensors."""
    same, everything = 0, 0
    for (_, before), (_, after) in zip(_list(source), _list(out), strict=True):
        everything += 1
        chunks = zip(before.read_chunks(), after.read_chunks(), strict=False)
        same += before.name == after.name and all(one == other[: len(one)] for one, other in chunks)
    return same, everything


def _list(folder: Path) -> Iterator[tuple[str, Any]]:
    from tokenizer.starting.folder import list_weights

    for name, group in list_weights(folder).items():
        for tensor in group:
            yield name, tensor


def measure_table(options: argparse.Namespace) -> str:
    """The table over seeds and sizes."""
    head = ["seed", "pieces", "start", "zh", "en", "input norm", "output norm", "rows moved"]
    rows: list[list[str]] = []
    for seed in options.seeds:
        model = train_model(options, seed)
        for size in options.sizes:
            vocabulary = learn_vocabulary(options, model, size)
            rows += [[str(seed), f"{size:,}", *row] for row in compare(options, model, vocabulary)]
    return harness.make_table(head, rows)


def train_model(options: argparse.Namespace, seed: int) -> Path:
    """A small LLaMA of a seed, unless it is there."""
    folder = options.folder / f"llama-{seed}-{options.iterations}"
    if not (folder / "config.json").exists():
        command = [sys.executable, str(HERE / "small_llama.py"), str(folder)]
        command += ["--tokenizer", str(options.tokenizer), "--seed", str(seed)]
        command += ["--iterations", str(options.iterations)]
        command += ["--zh", *map(str, options.zh), "--en", *map(str, options.en)]
        harness.run_once(command, options.folder / f"train-{seed}.log")
    return folder


def learn_vocabulary(options: argparse.Namespace, model: Path, size: int) -> Path:
    """A vocabulary of a size from the Chinese documents that were not held out."""
    from tongwen.pipeline import list_steps, required_steps, run_steps
    from tongwen.recipe import parse_recipe

    paths = [str((model / "others.jsonl").absolute())]
    table: dict[str, Any] = {
        "run": {"folder": str((model / f"vocabulary-{size}").absolute())},
        "corpus": {"inputs": [{"paths": paths, "language": "zh"}]},
        "tokenizer": {"base": str(options.tokenizer.absolute()), "size": size},
        "buckets": {"held_out_documents": 1},  # of the run itself
        "stages": [{"name": "learn", "mixture": [{"share": 1.0}]}],
        "model": dict.fromkeys(("hidden_size", "ffn_hidden_size"), 16)
        | dict.fromkeys(("num_layers", "num_attention_heads", "num_query_groups"), 1),
    }
    recipe = parse_recipe(table, home=options.folder)
    run_steps(recipe, required_steps(list_steps(recipe), "tokenizer/vocabulary"))
    return recipe.folder / "tokenizer" / "vocabulary"


def compare(options: argparse.Namespace, model: Path, vocabulary: Path) -> list[list[str]]:
    """Rows of the table for a model and a vocabulary."""
    from make_input import read_lines

    from tokenizer.starting.parts import count_tokens
    from tokenizer.starting.table import compare_starts
    from tokenizer.starting.texts import sample_texts
    from tokenizer.starting.write import parse_methods
    from train.step_zero import StepZero

    texts = sample_texts([model / "held_out.jsonl"], options.characters)
    counts = count_tokens(
        ([line["text"]] for line in read_lines([model / "others.jsonl"])), vocabulary
    )
    opened, found = StepZero(model), {}
    for matched in (False, True):
        starts = parse_methods(options.starts, 0.1, matched)
        table = compare_starts(opened, model, vocabulary, texts, starts, token_counts=counts)
        for row in table["rows"]:
            base = row["method"] == "base"
            name = f"{row['method']}{', norm matched' if matched and not base else ''}"
            cells = found.setdefault(name, [name, *[""] * 5])
            cells[1 if row["language"] == "zh" else 2] = f"{row['bits_per_character']:.3f}"
            if not base:
                norms = [f"{row[f'{side}_norm']:.2f}" for side in ("input", "output")]
                moved = sum(row[f"{side}_rows_moved"] for side in ("input", "output"))
                cells[3:] = [*norms, str(moved)]
    return list(found.values())


if __name__ == "__main__":
    main()
