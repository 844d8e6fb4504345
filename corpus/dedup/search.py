"""A search written to a folder: what goes, what is cut, and how it was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from corpus.dedup.duplicates import find_duplicates
from corpus.dedup.examples import write_examples
from corpus.dedup.findings import (
    DUPLICATES,
    Findings,
    add_boilerplate,
    load_findings,
    save_findings,
)
from corpus.dedup.paragraphs import cut_paragraphs
from corpus.dedup.scratch import remove_scratch
from corpus.dedup.sketch import Sketch
from corpus.documents import open_writer
from corpus.engine import Engine
from corpus.sources import open_folder
from tongwen.recipe import Duplicates
from tongwen.record import write_text

_FOUND = ".found.npz"


def write_search(
    documents: Path,
    settings: Duplicates,
    out: Path,
    *,
    engine: Engine,
    memory: int,
    against: Sequence[Sketch] = (),
) -> Findings:
    """Write duplicates, paragraphs, cuts and examples (.parquet) and parameters.json.

    A killed search goes on with what it left in `out`, until `forget_search`.

    Args:
        documents: a folder of document shards.
        out: an existing folder.
        memory, engine, against: see `find_duplicates`.
    """
    path = out / _FOUND
    if path.exists():
        found = load_findings(path, open_folder(documents))
    else:
        found = find_duplicates(
            documents, settings, memory=memory, engine=engine, scratch=out, against=against
        )
        save_findings(found, path)
    boilerplate = cut_paragraphs(found.source, found.find_kept(), settings, engine, memory, out)
    found = add_boilerplate(found, boilerplate.rows, boilerplate.counts)
    with open_writer(out / "duplicates.parquet", DUPLICATES) as writer:
        for batch in found.to_batches():
            writer.write_batch(batch)
    write_examples(found, out / "examples.parquet")
    text = json.dumps(found.parameters, indent=1, sort_keys=True) + "\n"
    write_text(out / "parameters.json", text)
    return found


def forget_search(out: Path) -> None:
    """Remove what a killed search would go on with; the folder's other work is done too."""
    (out / _FOUND).unlink(missing_ok=True)
    remove_scratch(out)
