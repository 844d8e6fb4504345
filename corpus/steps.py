"""The three outputs of the corpus stage, each built from the recipe and the outputs before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.recipe import Recipe, parse_bytes
from tongwen.record import Counts, write_text
from tongwen.run import RunFolder

if TYPE_CHECKING:
    from corpus.records import Reject


def build_documents(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/documents`: the shards and rejects.parquet.

    Raises:
        TongwenError: an input names no file, or one that cannot be opened.
    """
    from corpus.documents import RejectWriter, ShardWriter, read_documents
    from corpus.files import list_inputs

    files = list_inputs(recipe)
    total = sum(file.path.stat().st_size for file in files)
    longest = recipe.corpus.max_document_characters
    with (
        ShardWriter(out) as documents,
        RejectWriter(out / "rejects.parquet") as rejects,
        progress("reading documents", total=total, unit="B") as advance,
    ):
        read_documents(files, documents, rejects, longest, advance)
    if not documents.num_rows:
        raise _no_documents(rejects.first, rejects.counts.total(), len(files))
    by_reason = {f"rejected_{reason}": count for reason, count in sorted(rejects.counts.items())}
    return {
        "files": len(files),
        "documents": documents.num_rows,
        "shards": documents.num_shards,
        "rejected": rejects.counts.total(),
        **by_reason,
    }


def _no_documents(first: Reject | None, num_rejects: int, num_files: int) -> TongwenError:
    what = f"none of the {num_rejects} lines of {num_files} files could be used"
    if first is None:
        return TongwenError(what, where="corpus.inputs", do="give files that are not empty")
    return TongwenError(
        f"{what}; the first: {first.reason}, {first.detail}: {first.excerpt}",
        where=f"{first.file}:{first.line}",
        expected="lines with a field `text`, or `source` and `target`",
        do="correct the files, or name the fields in [corpus.inputs.columns]",
    )


def build_duplicates(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/duplicates`: duplicates.parquet, parameters.json and examples.parquet."""
    from corpus.documents import open_writer
    from corpus.duplicates import DUPLICATES, find_duplicates
    from corpus.examples import write_examples

    settings, workers = recipe.corpus.duplicates, recipe.run.workers
    documents = run.finished("corpus/documents")
    found = find_duplicates(documents, settings, workers=workers, scratch=out)
    with open_writer(out / "duplicates.parquet", DUPLICATES) as writer:
        for batch in found.to_batches():
            writer.write_batch(batch)
    write_examples(found, out / "examples.parquet")
    text = json.dumps(found.parameters, indent=1, sort_keys=True) + "\n"
    write_text(out / "parameters.json", text)
    num_exact = int(found.exact.sum())
    return {
        "documents": found.source.num_rows,
        "exact": num_exact,
        "near": len(found.rows) - num_exact,
        "kept": found.source.num_rows - len(found.rows),
        "candidate_pairs": found.parameters["candidate_pairs"],
        "verified_pairs": found.parameters["verified_pairs"],
    }


def build_statistics(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/statistics`: statistics.parquet and rejects_by_reason.parquet."""
    from corpus.statistics import write_statistics

    return write_statistics(
        documents=run.finished("corpus/documents"),
        duplicates=run.finished("corpus/duplicates"),
        out=out,
        memory=parse_bytes(recipe.run.memory),
        workers=recipe.run.workers,
    )
