"""The three outputs of the corpus stage, each built from the recipe and the outputs before it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.recipe import CorpusRecipe, parse_bytes
from tongwen.record import Counts
from tongwen.run import RunFolder

if TYPE_CHECKING:
    from corpus.dedup.sketch import Sketch
    from corpus.engine import Engine
    from corpus.reading.parsing import Categorizer
    from corpus.reading.records import Reject


def build_documents(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/documents`: the shards and rejects.parquet.

    Raises:
        TongwenError: an input names no file, or one that cannot be opened or changes meanwhile.
    """
    from corpus.engine import open_engine

    with open_engine(recipe.corpus.engine, recipe.run.workers) as engine:
        return read_inputs(recipe, engine, out)


def read_inputs(recipe: CorpusRecipe, engine: Engine, out: Path, compression: str = "") -> Counts:
    """Read the inputs of a recipe into an existing folder.

    Args:
        compression: of the shards; the recipe's by default.

    Raises:
        TongwenError: as `build_documents`; or not one document is found.
    """
    from corpus.reading.files import list_inputs
    from corpus.reading.parts import read_documents
    from corpus.reading.paths import measure

    files, corpus = list_inputs(recipe), recipe.corpus
    longest = corpus.max_document_characters

    def categorize() -> Categorizer | None:
        if not corpus.categories.rules and not corpus.categories.classifier:
            return None
        from corpus.categories.categorizer import open_categorizer

        return open_categorizer(corpus.categories, files, longest, out)

    total = sum(measure(file.path) for file in files)
    with progress("reading documents", total=total, unit="B") as advance:
        found = read_documents(
            files, out, longest, engine, advance, categorize, compression or corpus.compression
        )
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
    from corpus.dedup.search import forget_search, write_search
    from corpus.engine import open_engine

    with open_engine(recipe.corpus.engine, recipe.run.workers) as engine:
        found = write_search(
            run.finished("corpus/documents"),
            recipe.corpus.duplicates,
            out,
            engine=engine,
            memory=parse_bytes(recipe.run.memory),
            against=open_against(recipe),
        )
    forget_search(out)
    return found.describe()


def build_statistics(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/statistics`: stats.duckdb, and the sums of it as Parquet."""
    from corpus.counting.statistics import write_statistics

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
    from corpus.audit.tables import write_audit

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
    from corpus.dedup.sketch import open_sketch

    settings = recipe.corpus.duplicates
    return [
        open_sketch(recipe.resolve(path), settings, f"corpus.duplicates.against = {path!r}")
        for path in settings.against
    ]


def build_sketch(recipe: CorpusRecipe, run: RunFolder, out: Path) -> Counts:
    """`corpus/sketch`: what later runs, and `tongwen corpus query`, need of the kept documents."""
    from corpus.dedup.sketch import write_sketch
    from corpus.engine import open_engine
    from corpus.kept import find_kept

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
    return {"kept": num, "kept_shards": len(list(out.glob("part-*.parquet")))}
