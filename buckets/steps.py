"""The steps of this stage of a run: `buckets/held_out` and the buckets of each training stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.candidates import COLUMNS, Candidates, find_candidates
from buckets.held_out import HeldOutDocument, cut_documents, write_held_out
from buckets.mixture import Selection, choose_documents
from buckets.plan import StagePlan, plan_stage
from buckets.tables import write_balance, write_held_out_table, write_mixture
from buckets.tokens import TokenStore, encode_documents
from buckets.writing import BucketSize, write_buckets
from corpus import choose_held_out, read_kept
from corpus.kept import HELD_OUT_SHARE
from tokenizer import Encoder
from tokenizer.files import resolve_model
from tongwen.errors import TongwenError
from tongwen.recipe import Recipe, Stage
from tongwen.record import Counts
from tongwen.run import RunFolder


def build_held_out(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """`buckets/held_out`: the documents of the evaluation, in both vocabularies.

    Raises:
        TongwenError: no group has enough documents to hold one out.
    """
    length = recipe.buckets.sequence_length
    encoders = {name: load_encoder(recipe, run, name) for name in ("base", "extended")}
    found = list(_read_held_out(recipe, run))
    documents = cut_documents(found, list(encoders.values()), length)
    if not documents:
        raise _no_held_out(recipe, len(found))
    tokens = {
        f"{name}_tokens": write_held_out(out / name, documents, encoder, length)
        for name, encoder in encoders.items()
    }
    write_held_out_table(out / "held_out.parquet", documents)
    characters = sum(len(document.text) for document in documents)
    skipped = len(found) - len(documents)
    return {"documents": len(documents), "characters": characters, **tokens, "left_out": skipped}


def build_stage(recipe: Recipe, run: RunFolder, out: Path, *, stage: str) -> Counts:
    """`buckets/STAGE`: balanced, packed shards of a stage's documents.

    Raises:
        TongwenError: the mixture asks for documents that are not there, a group is too small for
            the buckets, or a document is longer than one.
    """
    chosen = next(each for each in recipe.stages if each.name == stage)
    encoder = load_encoder(recipe, run, chosen.vocabulary)
    held_out = choose_held_out(run, recipe.buckets.held_out_documents).column("id").to_pylist()
    candidates = find_candidates(read_kept(run, COLUMNS), chosen, held_out)
    store = TokenStore(out / "tokens.partial", len(candidates), encoder.size)

    def encode(documents: NDArray) -> None:
        encode_documents(read_kept(run, COLUMNS), candidates, documents, encoder, store)

    try:
        selection = choose_documents(chosen, candidates, store, encode, recipe.run.seed)
        return _write_stage(recipe, chosen, out, candidates, selection, store, encoder)
    finally:
        store.remove()


def load_encoder(recipe: Recipe, run: RunFolder, vocabulary: str) -> Encoder:
    """The encoder of a vocabulary, `base` or `extended`."""
    if vocabulary == "base":
        path = resolve_model(recipe, recipe.tokenizer.base)
    else:
        path = run.finished("tokenizer/vocabulary") / "tokenizer.model"
    return Encoder(path, num_threads=recipe.run.workers)


def _write_stage(
    recipe: Recipe,
    stage: Stage,
    out: Path,
    candidates: Candidates,
    selection: Selection,
    store: TokenStore,
    encoder: Encoder,
) -> Counts:
    section = recipe.buckets
    plan = plan_stage(
        stage,
        candidates,
        selection,
        store,
        section.small_categories,
        section.sequence_length,
    )
    sizes = write_buckets(
        out,
        plan,
        candidates,
        store,
        sequence_length=section.sequence_length,
        num_pieces=encoder.size,
        padding=encoder.eos,
        key=("sequences", recipe.run.seed, stage.name),
    )
    write_balance(out / "balance.parquet", plan.balance)
    write_mixture(out / "mixture.parquet", stage, selection)
    length_D = store.length_N[selection.document_U]
    return _count(plan, sizes, length_D, section.sequence_length)


def _count(
    plan: StagePlan, sizes: Sequence[BucketSize], length_D: NDArray[np.int32], sequence_length: int
) -> Counts:
    sequences = sum(size.sequences for size in sizes)
    tokens = sum(size.tokens for size in sizes)
    points, group = plan.balance.largest_deviation
    return {
        "documents": len(length_D),
        "sequences": sequences,
        "tokens": tokens,
        "fill": round(tokens / (sequences * sequence_length), 6),
        "buckets": len(sizes),
        "bins": len(plan.bins),
        "split_documents": int(np.count_nonzero(length_D > sequence_length)),
        "largest_deviation_points": round(points, 6),
        "largest_deviation_bin": group.bin,
    }


def _read_held_out(recipe: Recipe, run: RunFolder) -> Iterator[HeldOutDocument]:
    """The held-out documents in the order of `choose_held_out`."""
    wanted: list[str] = (
        choose_held_out(run, recipe.buckets.held_out_documents).column("id").to_pylist()
    )
    ids, found = set(wanted), dict[str, HeldOutDocument]()
    for batch in read_kept(run, COLUMNS):
        found.update({document.id: document for document in _take_documents(ids, batch)})
    yield from (found[name] for name in wanted)


def _take_documents(ids: set[str], batch: pa.RecordBatch) -> list[HeldOutDocument]:
    rows = [row for row, name in enumerate(batch.column("id").to_pylist()) if name in ids]
    return [HeldOutDocument(**row) for row in batch.take(pa.array(rows, pa.int64())).to_pylist()]


def _no_held_out(recipe: Recipe, found: int) -> TongwenError:
    if found:
        return TongwenError(
            f"none of the {found} held-out documents has a prompt that leaves room for text",
            where=f"buckets.sequence_length = {recipe.buckets.sequence_length}",
            expected="sequences that hold a prompt and some of its answer",
            do="raise buckets.sequence_length",
        )
    return TongwenError(
        "no document can be held out for the evaluation",
        where=f"buckets.held_out_documents = {recipe.buckets.held_out_documents}",
        expected=f"a category x language with at least {HELD_OUT_SHARE} kept documents",
        do="add documents to [[corpus.inputs]], or give more of them the same category",
    )
