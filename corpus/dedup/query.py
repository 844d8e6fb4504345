"""Which documents of a sketch are some texts like?  The old text is not touched.

A pair is found as in the duplicate search, by equal bands, and its similarity is exact.  So at the
similarity where the search finds one pair in ten (`corpus.dedup.lsh`), a query does too: an empty
answer says that nothing is very similar, not that nothing is somewhat similar.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from corpus.dedup.known import find_likenesses
from corpus.dedup.sketch import PARAMETERS, open_sketch
from corpus.dedup.tasks import number_documents, open_left, open_workshop, sketch_all
from corpus.engine import LocalEngine
from corpus.sources import open_folder, open_table
from tongwen.recipe import Duplicates

_MEMORY = 1_000_000_000


def query_sketch(
    folder: Path, texts: Path | pa.Table, *, threshold: float = 0.5, workers: int = 1
) -> pa.Table:
    """The documents of a sketch that some texts resemble.

    Args:
        folder: of the sketch.
        texts: a folder of document shards, or a table with `text` (and `prompt`, `origin`).
        threshold: exact Jaccard similarity from which a pair is told.

    Returns:
        asked (the origin of the text), jaccard, id, origin, category, language, source; most
        similar first for each text, in the order of the texts.

    Raises:
        TongwenError: there is no sketch, or the table has no `text`.
    """
    settings = read_settings(folder)
    sketch, engine = open_sketch(folder, settings), LocalEngine(workers)
    source = open_folder(texts) if isinstance(texts, Path) else open_table(texts)
    parts = source.cut()
    with open_workshop(source, settings, _MEMORY // workers, None) as shop:
        number_documents(shop, engine, parts)
        open_left(shop)
        sketch_all(shop, engine, parts)
        pairs, similarity = find_likenesses(shop, engine, parts, sketch, threshold)
    origins = pa.concat_arrays(
        [pa.array([], pa.string()), *(c.batch.column("origin") for c in source.read(("origin",)))]
    )
    found = sketch.describe(pairs[:, 1])
    found = found.add_column(0, "asked", origins.take(pa.array(pairs[:, 0])))
    found = found.add_column(1, "jaccard", pa.array(similarity)).append_column(
        "row", pa.array(pairs[:, 0])
    )
    order = [("row", "ascending"), ("jaccard", "descending"), ("id", "ascending")]
    return found.sort_by(order).drop_columns("row")


def read_settings(folder: Path) -> Duplicates:
    """The settings that a sketch was made with.

    Raises:
        TongwenError: there is no sketch.
    """
    path = folder / PARAMETERS
    if not path.exists():
        open_sketch(folder, Duplicates())
    found = json.loads(path.read_text(encoding="utf-8"))
    names = ("threshold", "num_perm", "ngram")
    return Duplicates(**{name: found[name] for name in names if name in found})
