"""The three outputs of the corpus stage, each built from the recipe and the outputs before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.recipe import CorpusRecipe, parse_bytes
from tongwen.record import Counts, write_text
from tongwen.run import RunFolder

if TYPE_CHECKING:
    from corpus.engine import Engine
    from corpus.findings import Findings
    from corpus.parsing import Categorizer
    from corpus.records import Reject
    from corpus.sketch import Sketch

_FOUND = ".found.npz"


def build_documents(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/documents`: the shards and rejects.parquet.

    Raises:
        TongwenError: an input names no file, or one that cannot be opened or changes meanwhile.
    """
    from corpus.engine import open_engine
    from corpus.files import list_inputs
    from corpus.paths import measure
    from corpus.reading import read_documents

    files, corpus = list_inputs(recipe), recipe.corpus
    longest = corpus.max_document_characters

    def categorize() -> Categorizer | None:
        if not corpus.categories.rules and not corpus.categories.classifier:
            return None
        from corpus.categories import open_categorizer

        return open_categorizer(corpus.categories, files, longest, out)

    total = sum(measure(file.path) for file in files)
    with (
        open_engine(corpus.engine, recipe.run.workers) as engine,
        progress("reading documents", total=total, unit="B") as advance,
    ):
        found = read_documents(files, out, longest, engine, advance, categorize)
    if not found.documents:
        raise _no_documents(found.first, found.rejected.total(), len(files))
    by_reason = {f"rejected_{reason}": count for reason, count in sorted(found.rejected.items())}
    return {
        "files": len(files),
        "documents": found.documents,
        "shards": found.shards,
        "rejected": found.rejected.total(),
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


def build_duplicates(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/duplicates`: duplicates, paragraphs, cuts, examples (.parquet); parameters.json."""
    from corpus.documents import open_writer
    from corpus.engine import open_engine
    from corpus.examples import write_examples
    from corpus.findings import DUPLICATES, KINDS, add_boilerplate
    from corpus.paragraphs import COUNTS, cut_paragraphs

    settings, memory = recipe.corpus.duplicates, parse_bytes(recipe.run.memory)
    with open_engine(recipe.corpus.engine, recipe.run.workers) as engine:
        found = _find_again(recipe, run, out, engine)
        kept = found.find_kept()
        boilerplate = cut_paragraphs(found.source, kept, settings, engine, memory, out)
    found = add_boilerplate(found, boilerplate.rows, boilerplate.counts)
    with open_writer(out / "duplicates.parquet", DUPLICATES) as writer:
        for batch in found.to_batches():
            writer.write_batch(batch)
    write_examples(found, out / "examples.parquet")
    text = json.dumps(found.parameters, indent=1, sort_keys=True) + "\n"
    write_text(out / "parameters.json", text)
    (out / _FOUND).unlink()
    measured = ("candidate_pairs", "verified_pairs", *COUNTS)
    return {
        "documents": found.source.num_rows,
        **{kind: found.count(number) for number, kind in enumerate(KINDS)},
        "kept": found.source.num_rows - len(found.rows),
        **{name: found.parameters[name] for name in measured},
    }


def _find_again(recipe: CorpusRecipe, run: RunFolder, out: Path, engine: Engine) -> Findings:
    """What `find_duplicates` finds, or what a killed run has left of it."""
    from corpus.duplicates import find_duplicates
    from corpus.findings import load_findings, save_findings
    from corpus.sources import open_folder

    documents, path = run.finished("corpus/documents"), out / _FOUND
    if path.exists():
        return load_findings(path, open_folder(documents))
    found = find_duplicates(
        documents,
        recipe.corpus.duplicates,
        memory=parse_bytes(recipe.run.memory),
        engine=engine,
        scratch=out,
        against=open_against(recipe),
    )
    save_findings(found, path)
    return found


def build_statistics(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/statistics`: stats.duckdb, and the sums of it as Parquet."""
    from corpus.statistics import write_statistics

    return write_statistics(
        documents=run.finished("corpus/documents"),
        duplicates=run.finished("corpus/duplicates"),
        out=out,
        memory=parse_bytes(recipe.run.memory),
        workers=recipe.run.workers,
    )


def build_audit(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/audit`: audit.parquet and audit.json.

    Raises:
        TongwenError: no document is long enough to be edited, or too many are alike.
    """
    from corpus.audit_tables import write_audit

    corpus = recipe.corpus
    return write_audit(
        documents=run.finished("corpus/documents"),
        out=out,
        settings=corpus.duplicates,
        audit=corpus.audit,
        seed=recipe.run.seed,
        memory=parse_bytes(recipe.run.memory),
        workers=recipe.run.workers,
    )


def open_against(recipe: CorpusRecipe) -> list[Sketch]:
    """The sketches that `[corpus.duplicates] against` names.

    Raises:
        TongwenError: one is not there, or was made with other parameters.
    """
    from corpus.sketch import open_sketch

    settings = recipe.corpus.duplicates
    return [
        open_sketch(recipe.resolve(path), settings, f"corpus.duplicates.against = {path!r}")
        for path in settings.against
    ]


def build_sketch(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/sketch`: what later runs, and `tongwen corpus query`, need of the kept documents."""
    from corpus.engine import open_engine
    from corpus.kept import find_kept
    from corpus.sketch import write_sketch

    documents = run.finished("corpus/documents")
    kept = find_kept(documents, run.finished("corpus/duplicates"))
    memory = parse_bytes(recipe.run.memory)
    with open_engine(recipe.corpus.engine, recipe.run.workers) as engine:
        num = write_sketch(documents, kept, recipe.corpus.duplicates, engine, memory, out)
    return {"documents": num}


def build_kept(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/kept`: the documents without the duplicates, as shards of their own."""
    from corpus.kept import write_kept

    documents, duplicates = (run.finished(f"corpus/{name}") for name in ("documents", "duplicates"))
    record = run.record("corpus/duplicates")
    total = record.counts["kept"] if record else None
    with progress("writing", total=float(total or 0), unit="documents") as advance:
        num = write_kept(documents, duplicates, out, advance)
    return {"documents": num, "shards": len(list(out.glob("part-*.parquet")))}
