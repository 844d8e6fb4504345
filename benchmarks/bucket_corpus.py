"""A run folder of any size that is ready for its buckets, for the measurements of buckets.

    python benchmarks/bucket_corpus.py FOLDER --text zh/*.jsonl.zst --model tokenizer.model \\
        --megabytes 1000 --shapes 4096x80

The text goes through the corpus steps once (`FOLDER/base`).  What is kept is written again as the
documents of a second run: as often as the size asks for, each copy with ids, origins and a first
token of its own; of the last copy the documents whose hash says so, so that every file gives an
even share.  The vocabulary is the model given: nothing is learned.  A recipe for each shape (tokens
of a sequence x buckets) has one stage that uses every document once.  The last line of the output
is a JSON object with the sizes and paths.

The price of copies: no near duplicate of a copy is removed, which nothing in the buckets looks at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import choose_held_out, read_kept
from corpus.dedup.findings import DUPLICATES
from corpus.documents import DOCUMENTS, ShardWriter
from tokenizer import Encoder
from tokenizer.export import write_tokenizer
from tokenizer.model import load_model
from tongwen.pipeline import required_steps, run_steps, step_inputs
from tongwen.recipe import Recipe, load_recipe
from tongwen.record import Counts, produce
from tongwen.run import RunFolder
from tongwen.steps import list_steps

STAGE = "all"
HELD_OUT = 1
_TEXTS = ("id", "prompt", "text")
_RECIPE = """
[run]
folder = {folder}
workers = {workers}
memory = "2GB"
[corpus]
[[corpus.inputs]]
paths = {paths}
[tokenizer]
base = {model}
size = {size}
[buckets]
sequence_length = {sequence_length}
held_out_documents = {held_out}
small_categories = "merge"
[[stages]]
name = "{stage}"
tokens = {tokens}
buckets = {buckets}
[[stages.mixture]]
{share}
[model]
num_layers = 1
hidden_size = 8
ffn_hidden_size = 8
num_attention_heads = 1
num_query_groups = 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="JSON lines, .zst too")
    parser.add_argument("--model", type=Path, required=True, help="SentencePiece .model")
    parser.add_argument("--megabytes", type=float, default=0, help="of kept text; 0: as it is")
    parser.add_argument("--shapes", nargs="+", default=["4096x8"], help="sequence length x buckets")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--lines", action="store_true", help="the same documents as JSON lines too")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(make_run(options)))


def make_run(options: argparse.Namespace) -> dict[str, Any]:
    """The run of the size wanted; returns its sizes and paths."""
    base = load_recipe(write_recipe(options, "base", (4096, 8), 1))
    run_steps(base, required_steps(list_steps(base), "corpus/duplicates"))
    name = f"run-{options.megabytes:g}" if options.megabytes else "run"
    recipe = load_recipe(write_recipe(options, name, (4096, 8), 1))
    run = RunFolder(recipe.folder)
    make_output(recipe, "corpus/documents", partial(repeat, RunFolder(base.folder), options))
    make_output(recipe, "corpus/duplicates", write_no_duplicates)
    make_output(recipe, "tokenizer/vocabulary", partial(give_vocabulary, options.model))
    told = count(run, options.workers)
    shapes = [tuple(map(int, shape.split("x"))) for shape in options.shapes]
    told["recipes"] = {
        f"{length}x{buckets}": str(write_recipe(options, name, (length, buckets), told["tokens"]))
        for length, buckets in shapes
    }
    told["tokenizer"] = str(run.path("tokenizer/vocabulary"))
    if options.lines:
        told["lines"] = write_lines(run, options.folder / f"{name}.lines")
    return told


def write_recipe(
    options: argparse.Namespace, name: str, shape: tuple[int, int], tokens: int
) -> Path:
    """The recipe of a run folder below `options.folder`."""
    path = options.folder / f"{name}-{shape[0]}x{shape[1]}.toml"
    text = _RECIPE.format(
        folder=json.dumps(name),
        workers=options.workers,
        paths=json.dumps([str(each.resolve()) for each in options.text]),
        model=json.dumps(str(options.model.resolve())),
        size=len(load_model(options.model).pieces),
        sequence_length=shape[0],
        buckets=shape[1],
        held_out=HELD_OUT,
        stage=name_stage(shape),
        tokens=tokens,
        share="share = 1.0",
    )
    path.write_text(text, encoding="utf-8")
    return path


def name_stage(shape: tuple[int, int]) -> str:
    """The stage of a shape; those of one run folder lie beside each other."""
    return f"{STAGE}_{shape[0]}x{shape[1]}"


def make_output(recipe: Recipe, name: str, build: Any) -> None:
    """An output of a run that is not made by its own step but stands in its place."""
    run = RunFolder(recipe.folder)
    step = required_steps(list_steps(recipe), name)[-1]
    run.path(name).parent.mkdir(parents=True, exist_ok=True)
    produce(
        run.path(name),
        kind=name,
        config=step.config,
        inputs=step_inputs(run, step),
        build=build,
    )


def repeat(base: RunFolder, options: argparse.Namespace, out: Path) -> Counts:
    """Write the kept documents of a run again and again until there is as much text as wanted."""
    size = sum(map(measure, read_kept(base, _TEXTS)))
    wanted = (options.megabytes * 1e6 / size) if options.megabytes else 1.0
    with ShardWriter(out) as writer:
        for copy in range(int(np.ceil(wanted))):
            for batch in read_kept(base, DOCUMENTS.names):
                chosen = batch.filter(choose(batch["id"], wanted - copy))
                writer.write_batch(salt(chosen, copy) if copy else chosen)
    return {"documents": writer.num_rows}


def measure(batch: pa.RecordBatch) -> int:
    """Bytes of text and prompt."""
    return sum(
        pc.call_function("sum", [pc.call_function("binary_length", [batch[name]])]).as_py() or 0
        for name in ("prompt", "text")
    )


def choose(ids: pa.Array, share: float) -> pa.Array:
    """Which documents belong to a share of all, by their hash."""
    return pa.array([int(each[:8], 16) < share * 2**32 for each in ids.to_pylist()], pa.bool_())


def salt(batch: pa.RecordBatch, copy: int) -> pa.RecordBatch:
    """The same documents under other names."""
    columns: dict[str, Any] = {name: batch[name] for name in batch.schema.names}
    ids = [hashlib.blake2b(f"{copy} {each}".encode(), digest_size=16) for each in _list(batch)]
    columns["id"] = pa.array([each.hexdigest() for each in ids], pa.string())
    columns["text"] = _join(pa.scalar(f"{copy} "), batch["text"])
    columns["origin"] = _join(batch["origin"], pa.scalar(f"#{copy}"))
    return pa.record_batch(columns, schema=batch.schema)


def _list(batch: pa.RecordBatch) -> list[str]:
    return batch["id"].to_pylist()


def _join(*parts: Any) -> pa.Array:
    return pc.call_function("binary_join_element_wise", [*parts, pa.scalar("")])


def write_no_duplicates(out: Path) -> Counts:
    """`duplicates.parquet` without a row."""
    pq.write_table(DUPLICATES.empty_table(), out / "duplicates.parquet")
    return {"duplicates": 0}


def give_vocabulary(model: Path, out: Path) -> Counts:
    """`tokenizer/vocabulary`, of a model that is there already."""
    loaded = load_model(model)
    write_tokenizer(loaded, out)
    return {"pieces": len(loaded.pieces)}


def read_used(run: RunFolder) -> Iterator[pa.RecordBatch]:
    """What the stage is made of: kept, and not held out."""
    held_out = pa.array(choose_held_out(run, HELD_OUT).column("id").to_pylist(), pa.string())
    options = pc.SetLookupOptions(held_out)
    for batch in read_kept(run, _TEXTS):
        found = pc.call_function("is_in", [batch["id"]], options)
        yield batch.filter(pc.call_function("invert", [found]))


def count(run: RunFolder, workers: int) -> dict[str, Any]:
    """Bytes of text, documents and tokens of the stage, BOS and EOS included."""
    encoder = Encoder(run.path("tokenizer/vocabulary") / "tokenizer.model", num_threads=workers)
    told = {"bytes": 0, "documents": 0, "tokens": 0}
    for batch in read_used(run):
        told["bytes"] += measure(batch)
        told["documents"] += batch.num_rows
        told["tokens"] += 2 * batch.num_rows
        told["tokens"] += sum(len(encoder.encode(batch[name])[0]) for name in ("prompt", "text"))
    return told


def write_lines(run: RunFolder, folder: Path) -> list[str]:
    """The documents as lines {"text": prompt and text}: all, and two halves for two tasks."""
    folder.mkdir(exist_ok=True)
    paths = [folder / name for name in ("all.jsonl", "halves/0.jsonl", "halves/1.jsonl")]
    paths[1].parent.mkdir(exist_ok=True)
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("w", encoding="utf-8")) for path in paths]
        number = 0
        for batch in read_used(run):
            for row in batch.to_pylist():
                table = {"id": row["id"], "text": row["prompt"] + row["text"]}
                line = json.dumps(table, ensure_ascii=False) + "\n"
                files[0].write(line)
                files[1 + number % 2].write(line)
                number += 1
    return [str(paths[0]), str(paths[1].parent)]


if __name__ == "__main__":
    sys.exit(main())
