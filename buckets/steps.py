"""The steps of this stage of a run: `buckets/held_out` and the buckets of each training stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from buckets.building import build_buckets, load_encoder
from buckets.held_out import HeldOutDocument, cut_documents, write_held_out
from buckets.lineage.tables import write_held_out_table
from corpus import choose_held_out, read_kept
from corpus.kept import HELD_OUT_SHARE
from tongwen.errors import TongwenError
from tongwen.recipe import Recipe
from tongwen.record import Counts
from tongwen.run import RunFolder

COLUMNS = ("id", "text", "prompt", "category", "language")


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
    return build_buckets(recipe, run, out, chosen)


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
