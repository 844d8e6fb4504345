"""Deduplication as one call, for people who curate corpora with scripts and need no recipe.

    from tongwen import deduplicate
    curated = deduplicate(["my/*.jsonl.zst"], "out", keep="longest")
    curated.kept                    # a folder of Parquet shards without duplicates

It is the corpus stage of a recipe that is made on the way: the same outputs with the same records,
so a killed call goes on where it stopped and a finished one returns at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tongwen.recipe import parse_corpus_recipe

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Curated:
    """Where the outputs lie, and what was counted.

    Attributes:
        documents: every document (`part-*.parquet`) and `rejects.parquet`.
        duplicates: `duplicates.parquet`, one row for every document that went.
        kept: the others (`part-*.parquet`).
        counts: documents, rejected, exact, normalized, near, known, kept, ...
    """

    documents: Path
    duplicates: Path
    kept: Path
    counts: dict[str, int | float | str]

    def read(self, columns: Sequence[str] = ("text",)) -> Iterator[pa.RecordBatch]:
        """The kept documents, about 2 MB of text at a time.

        Args:
            columns: of id, text, prompt, category, language, source, origin.
        """
        import pyarrow.parquet as pq

        for path in sorted(self.kept.glob("part-*.parquet")):
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
    engine: str = "local",
    address: str = "",
    sketch: bool = False,
    **rules: Any,
) -> Curated:
    """Read files, find exact, normalised and near duplicates, write what stays.

    Args:
        paths: files and globs of JSON lines, Parquet or text, plain, .gz or .zst; local or remote
            (`s3://`, `hf://`).  A relative one starts at the working folder.
        out: a folder for the outputs; made where it is not there.
        against: sketches of earlier calls (`OUT/corpus/sketch`): what they know is removed.
        columns: names of the fields, e.g. {"text": "content"}.
        workers: threads (or CPUs of a local Ray cluster); all cores by default.
        memory: that out-of-core steps keep to, approximately.
        engine, address: "ray", and where its cluster is; see `[corpus.engine]`.
        sketch: also make `OUT/corpus/sketch`, which later calls compare with.
        rules: keys of `[corpus.duplicates]`: threshold, num_perm, ngram, normalized, keep,
            priority, order, paragraphs, ...

    Raises:
        TongwenError: a rule is not known, a file cannot be found, or `out` holds the outputs of
            another call.
    """
    from tongwen.pipeline import list_all_steps, required_steps, run_steps

    given: dict[str, Any] = {"paths": [_from_here(path) for path in paths]}
    if columns:
        given["columns"] = dict(columns)
    table = {
        "run": {"folder": str(out), "workers": workers or os.cpu_count() or 1, "memory": memory},
        "corpus": {
            "inputs": [given],
            "engine": {"kind": engine, "address": address},
            "duplicates": {"against": [str(Path(path).absolute()) for path in against], **rules},
        },
    }
    recipe = parse_corpus_recipe(table, home=Path.cwd(), where="deduplicate()")
    steps, names = list_all_steps(recipe), ["corpus/kept"] + ["corpus/sketch"] * sketch
    wanted = {step.name for name in names for step in required_steps(steps, name)}
    done = run_steps(recipe, tuple(step for step in steps if step.name in wanted))
    counts = {key: value for _, record, _ in done for key, value in record.counts.items()}
    folders = (recipe.folder / "corpus" / name for name in ("documents", "duplicates", "kept"))
    return Curated(*folders, counts)


def _from_here(path: str | Path) -> str:
    return str(path) if "://" in str(path) else str(Path(path).absolute())
