"""Deduplication as one call, for people who curate corpora with scripts and need no recipe.

    from corpus import deduplicate
    curated = deduplicate(["my/*.jsonl.zst"], "out", keep="longest")
    curated.folder                  # part-*.parquet without duplicates; what went, and why

The output has a record: a killed call goes on where it stopped, a finished one returns at once, and
one with other files or rules is an error that names what changed.  The documents are kept beside it
while it works, as large as the text, and removed at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.dedup.search import forget_search, write_search
from corpus.dedup.sketch import list_identity, write_sketch
from corpus.documents import ARROW
from corpus.engine import Engine, open_engine
from corpus.kept import write_kept
from corpus.reading.files import list_inputs
from corpus.sources import list_shards
from corpus.steps import open_against, read_inputs
from tongwen.heap import keep_freed_memory
from tongwen.progress import progress
from tongwen.recipe import CorpusRecipe, parse_bytes, parse_corpus_recipe
from tongwen.record import Counts, identify_file, produce

_DOCUMENTS = ".documents"
_REJECTS = "rejects.parquet"


@dataclass(frozen=True)
class Curated:
    """A folder of what stays (`part-*.parquet`), and of what does not.

    Attributes:
        folder: also holds `duplicates.parquet` (a row for every document that went),
            `rejects.parquet`, `paragraphs.parquet` and `cuts.parquet` (boilerplate),
            `examples.parquet`, `parameters.json` and, where asked for, `sketch/`.
        counts: documents, rejected, exact, normalized, near, known, boilerplate, kept, ...
    """

    folder: Path
    counts: Counts

    def read(self, columns: Sequence[str] = ("text",)) -> Iterator[pa.RecordBatch]:
        """What stays, about 2 MB of text at a time.

        Args:
            columns: of id, text, prompt, category, language, source, origin.
        """
        for path in list_shards(self.folder):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    yield from file.read_row_group(group, list(columns)).to_batches()


def deduplicate(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    against: Sequence[str | Path] = (),
    columns: Mapping[str, str] | None = None,
    workers: int | None = None,
    memory: str = "1GB",
    compression: Literal["none", "lz4", "zstd"] = "lz4",
    engine: str = "local",
    address: str = "",
    sketch: bool = False,
    **rules: Any,
) -> Curated:
    """Read files, find exact, normalised and near duplicates, write what stays.

    Args:
        paths: files and globs of JSON lines, Parquet or text, plain, .gz or .zst; local or remote
            (`s3://`, `hf://`).  A relative one starts at the working folder.
        out: a folder that is made for the output.
        against: sketches of earlier calls (`OUT/sketch`): what they know is removed.
        columns: names of the fields, e.g. {"text": "content"}.
        workers: threads (or CPUs of a local Ray cluster); all cores by default.
        memory: that out-of-core steps keep to, approximately.
        compression: of what is written, from the fastest to the smallest.
        engine, address: "ray", and where its cluster is; see `[corpus.engine]`.
        sketch: also make `OUT/sketch`, which later calls compare with.
        rules: keys of `[corpus.duplicates]`: threshold, num_perm, ngram, normalized, keep,
            priority, order, paragraphs, ...

    Raises:
        TongwenError: a rule is not known, a file cannot be found, or `out` holds the output of
            another call.
    """
    given: dict[str, Any] = {"paths": [_from_here(path) for path in paths]}
    if columns:
        given["columns"] = dict(columns)
    table = {
        "run": {"folder": str(out), "workers": workers or os.cpu_count() or 1, "memory": memory},
        "corpus": {
            "inputs": [given],
            "compression": compression,
            "engine": {"kind": engine, "address": address},
            "duplicates": {"against": [str(Path(path).absolute()) for path in against], **rules},
        },
    }
    recipe = parse_corpus_recipe(table, home=Path.cwd(), where="deduplicate()")
    keep_freed_memory()
    recipe.folder.parent.mkdir(parents=True, exist_ok=True)
    record, _ = produce(
        recipe.folder,
        kind="deduplicate",
        config={
            "inputs": given,
            "duplicates": recipe.corpus.duplicates.model_dump(mode="json"),
            "sketch": sketch,
        },
        inputs=_identify_inputs(recipe),
        build=partial(_curate, recipe, sketch),
        resumable=True,
    )
    return Curated(recipe.folder, record.counts)


def _from_here(path: str | Path) -> str:
    return str(path) if "://" in str(path) else str(Path(path).absolute())


def _identify_inputs(recipe: CorpusRecipe) -> dict[str, str]:
    """Name -> identity of every file that is read."""
    paths = [file.path for file in list_inputs(recipe)]
    paths += [path for folder in recipe.corpus.duplicates.against for path in list_identity(folder)]
    return {
        f"{number}:{path.name}": identify_file(path) if isinstance(path, Path) else path.identity
        for number, path in enumerate(paths)
    }


def _curate(recipe: CorpusRecipe, sketch: bool, work: Path) -> Counts:
    settings, memory = recipe.corpus.duplicates, parse_bytes(recipe.run.memory)
    documents = work / _DOCUMENTS
    with open_engine(recipe.corpus.engine, recipe.run.workers) as engine:
        _read_once(recipe, engine, documents)
        found = write_search(
            documents,
            settings,
            work,
            engine=engine,
            memory=memory,
            against=open_against(recipe),
        )
        kept = found.find_kept()
        for path in work.glob("part-*.parquet"):
            path.unlink()
        with progress("writing", total=float(kept.sum()), unit="documents") as advance:
            write_kept(documents, work, work, advance, kept, recipe.corpus.compression)
        if sketch:
            target = work / "sketch"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            write_sketch(documents, kept, settings, engine, memory, target)
    forget_search(work)
    rejects = pq.read_metadata(documents / _REJECTS).num_rows
    (documents / _REJECTS).rename(work / _REJECTS)
    shutil.rmtree(documents)
    return {"rejected": rejects, **found.describe()}


def _read_once(recipe: CorpusRecipe, engine: Engine, documents: Path) -> None:
    """Read the documents, unless a killed call has left them whole."""
    if documents.exists():
        return
    partial_folder = documents.with_name(f"{documents.name}.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir()
    read_inputs(recipe, engine, partial_folder, ARROW)
    partial_folder.rename(documents)
