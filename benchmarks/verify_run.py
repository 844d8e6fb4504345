"""Hold a finished run to its promises, on its own data.

    python benchmarks/verify_run.py recipe.toml

Checks, each against an independent oracle: no added piece is unreachable; English tokenises to the
same ids as with the base model; `tokenizer.json` (Hugging Face) and `tokenizer.model`
(sentencepiece) give the same ids; Megatron's own reader finds in the shards the tokens of the
documents that the plan says; the exported model loads in transformers; the losses of
(TP, PP, DP) = (1, 1, 1) and (2, 2, 1) agree.  Exit status 1 if one does not hold.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import sentencepiece

from corpus import read_kept
from tokenizer import Encoder
from tokenizer.files import resolve_model
from tokenizer.model import SPACE, load_model
from tongwen.recipe import Recipe, Train, load_recipe
from tongwen.run import RunFolder

CJK = [(0x2E80, 0x9FFF), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF)]
CJK += [(0x20000, 0x3FFFF)]
NUM_DOCUMENTS, NUM_PLACES = 20_000, 2_000
INSIDE = (("\n", "\n"), ("Python", "(x)"), ("2024", "!\n"))
"""What no Chinese piece joins with, around a piece."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("runs/verify"), help="scratch space")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    run = RunFolder(recipe.folder)
    checks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("unreachable added pieces", lambda: check_reachable(run)),
        ("English unchanged", lambda: check_english(recipe, run)),
        ("tokenizer.json = tokenizer.model", lambda: check_json(run)),
        ("Megatron reads the plan's documents", lambda: check_shards(recipe, run)),
        ("transformers loads the export", lambda: check_export(recipe, run)),
        ("parity (1,1,1) = (2,2,1)", lambda: check_parity(recipe, run, options.folder)),
    ]
    held = True
    for name, check in checks:
        ok, text = check()
        held &= ok
        print(f"{'holds' if ok else 'FAILS'}  {name}: {text}", flush=True)
    sys.exit(0 if held else 1)


def check_reachable(run: RunFolder) -> tuple[bool, str]:
    """Every added piece is what sentencepiece makes of its text, alone and inside other text."""
    folder = run.finished("tokenizer/vocabulary")
    table = pq.read_table(folder / "pieces.parquet")
    model = load_model(folder / "tokenizer.model")
    model.normalizer_spec.add_dummy_prefix = False
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    ids = table.column("id").to_pylist()
    texts = [piece.replace(SPACE, " ") for piece in table.column("piece").to_pylist()]
    alone = sum(found != [id] for id, found in zip(ids, processor.encode(texts), strict=True))
    inside = 0
    for left, right in INSIDE:
        found = processor.encode([f"{left}{text}{right}" for text in texts])
        inside += sum(id not in each for id, each in zip(ids, found, strict=True))
    text = f"alone {alone}, inside other text {inside} of {len(texts):,} are not produced"
    return alone + inside == 0, text


def has_cjk(text: str) -> bool:
    return any(low <= ord(character) <= high for character in text for low, high in CJK)


def check_english(recipe: Recipe, run: RunFolder) -> tuple[bool, str]:
    base = Encoder(resolve_model(recipe, recipe.tokenizer.base))
    extended = Encoder(run.finished("tokenizer/vocabulary") / "tokenizer.model")
    documents = tokens = different = 0
    for batch in read_kept(run, ["text", "language"]):
        rows = zip(*(batch.column(name).to_pylist() for name in ("text", "language")), strict=True)
        texts = [text for text, language in rows if language == "en" and not has_cjk(text)]
        (one, ends), (other, other_ends) = base.encode(texts), extended.encode(texts)
        documents, tokens = documents + len(texts), tokens + len(one)
        same = np.array_equal(one, other) and np.array_equal(ends, other_ends)
        different += 0 if same else 1
    text = f"{documents:,} documents without CJK characters, {tokens:,} tokens"
    return different == 0, f"{text}, {different} batches differ"


def check_json(run: RunFolder) -> tuple[bool, str]:
    from tokenizers import Tokenizer

    folder = run.finished("tokenizer/vocabulary")
    fast = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # A "<s>" that stands in a text is text, as it is to sentencepiece.
    fast.encode_special_tokens = True
    encoder = Encoder(folder / "tokenizer.model")
    documents = different = 0
    for batch in read_kept(run, ["text"]):
        texts = batch.column("text").to_pylist()[:: max(1, batch.num_rows // 200)]
        ids, offsets = encoder.encode(texts)
        for index, each in enumerate(fast.encode_batch(texts, add_special_tokens=False)):
            different += each.ids != ids[offsets[index] : offsets[index + 1]].tolist()
        documents += len(texts)
        if documents >= NUM_DOCUMENTS:
            break
    return different == 0, f"{different} of {documents:,} documents differ"


def check_shards(recipe: Recipe, run: RunFolder) -> tuple[bool, str]:
    """Random rows of every plan: the tokens there, read by Megatron, decode to the document."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    places = wrong = 0
    for stage in recipe.trained_stages:
        folder = run.finished(f"buckets/{stage.name}")
        plan = pq.read_table(folder / "plan")
        whole = plan.filter(np.asarray(plan.column("start")) == 0)
        chosen = np.random.default_rng(0).permutation(whole.num_rows)[:NUM_PLACES]
        rows = whole.take(np.sort(chosen)).to_pylist()
        wanted = expected_tokens(recipe, run, stage.vocabulary, {row["id"] for row in rows})
        shards: dict[int, IndexedDataset] = {}
        for row in rows:
            bucket = row["bucket"]
            if bucket not in shards:
                prefix = folder / f"bucket-{bucket:05d}"
                shards[bucket] = IndexedDataset(str(prefix), multimodal=True)
            found = read_place(shards[bucket], row)
            places += 1
            wrong += not np.array_equal(found, wanted[row["id"]][: row["length"]])
    return wrong == 0, f"{wrong} of {places:,} places differ"


def expected_tokens(
    recipe: Recipe, run: RunFolder, vocabulary: str, ids: set[str]
) -> dict[str, np.ndarray]:
    """BOS, prompt, text, EOS of documents, encoded anew."""
    path = run.finished("tokenizer/vocabulary") / "tokenizer.model"
    if vocabulary == "base":
        path = resolve_model(recipe, recipe.tokenizer.base)
    encoder = Encoder(path)
    found: dict[str, np.ndarray] = {}
    for batch in read_kept(run, ["id", "prompt", "text"]):
        for row in batch.to_pylist():
            if row["id"] in ids:
                parts = [encoder.encode([row[name]])[0] for name in ("prompt", "text") if row[name]]
                found[row["id"]] = np.concatenate([[encoder.bos], *parts, [encoder.eos]])
    return found


def read_place(shard, row: dict[str, int]) -> np.ndarray:
    first, last = shard.document_indices[row["sequence"] : row["sequence"] + 2]
    tokens = np.concatenate([shard[index][0] for index in range(first, last)])
    return tokens[row["offset"] : row["offset"] + row["length"]]


def check_export(recipe: Recipe, run: RunFolder) -> tuple[bool, str]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = run.finished(f"train/{recipe.trained_stages[-1].name}") / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    batch = tokenizer("今天天气很好。 The weather is fine.", return_tensors="pt")
    with torch.no_grad():
        logits_BSV = model(**batch).logits
    ok = logits_BSV.shape[-1] == len(tokenizer) and bool(torch.isfinite(logits_BSV).all())
    count = sum(parameter.numel() for parameter in model.parameters())
    return ok, f"{type(model).__name__}, {count:,} parameters, {len(tokenizer):,} pieces"


def check_parity(recipe: Recipe, run: RunFolder, folder: Path) -> tuple[bool, str]:
    """The first bucket of the second stage, trained in fp32 under both layouts."""
    losses = [train_bucket(recipe, run, folder, layout) for layout in ((1, 1), (2, 2))]
    assert len(losses[0]) == len(losses[1])
    worst = max(abs(one - other) for one, other in zip(*losses, strict=True))
    text = f"{len(losses[0])} iterations, largest difference {worst:.2e} at a loss of"
    return worst <= 1e-5, f"{text} {losses[0][0]:.3f} ... {losses[0][-1]:.3f}"


def train_bucket(
    recipe: Recipe, run: RunFolder, folder: Path, layout: tuple[int, int]
) -> list[float]:
    from train.launch import run_job
    from train.steps import make_job

    tensor, pipeline = layout
    changed = Train.model_validate(
        {
            **recipe.train.model_dump(),
            "precision": "fp32",
            "num_processes": tensor * pipeline,
            "tensor_parallel": tensor,
            "pipeline_parallel": pipeline,
            "evaluate_every": 1_000_000,
            "checkpoint_every": 1_000_000,
        }
    )
    stage = next(stage for stage in recipe.trained_stages if stage.vocabulary == "extended")
    out = (folder / f"tp{tensor}pp{pipeline}").resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    before = "train/extended" if (run.root / "train" / "extended").exists() else ""
    job = make_job(
        recipe.model_copy(update={"train": changed}), run, out, stage=stage, before=before
    )
    run_job(replace(job, shards=job.shards[:1]))
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    table = [json.loads(line) for line in lines]
    return [line["loss"] for line in table if line["event"] == "train"]


if __name__ == "__main__":
    main()
