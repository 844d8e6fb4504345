"""Exact and near duplicates of a corpus: MinHash LSH, then exact Jaccard similarity.

    ids      the ids of all parts             -> groups of exact copies: the best of each stays
    sketch   what is left, once               -> keys of the bands and of the normalised text
    copies   equal normalised texts           -> the best of each group stays
    pairs    equal band keys, a partition at a time
    sets     the candidates, read once more   -> exact similarity of every pair
    decide   the best first                   -> a document similar to a kept one goes

Each step is tasks over parts or partitions (`corpus.engine`) that leave files in one folder; a run
that was killed goes on with the files that are whole.  Held in memory: one partition for each
worker, a byte for every document, some 50 bytes for every document that has a likeness.  On disk:
the text is never copied; 30 bytes a document for ids, 24 + 16 x bands for keys, 8 a shingle of the
candidates.

What stays is decided by the documents alone (`corpus.dedup.keepers`), so the result depends neither
on the order nor on the sizes of the shards, nor on the workers, nor on the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.dedup.decide import Removals, decide
from corpus.dedup.findings import EXACT, NEAR, NORMALIZED, Findings, Known, Ledger
from corpus.dedup.grouping import find_components
from corpus.dedup.keepers import rank_rows
from corpus.dedup.known import find_known_copies, find_known_near
from corpus.dedup.lsh import group_copies
from corpus.dedup.sketch import Sketch
from corpus.dedup.sketches import SEED, Workshop
from corpus.dedup.tasks import (
    collect_all,
    find_pairs,
    number_documents,
    open_left,
    open_workshop,
    sketch_all,
)
from corpus.engine import Engine, LocalEngine
from corpus.sources import Source, open_folder, open_table
from tongwen.recipe import Duplicates

Rows = NDArray[np.int64]

DEFAULT_MEMORY = 4_000_000_000


def find_duplicates(
    documents: Path | pa.Table,
    settings: Duplicates | None = None,
    *,
    workers: int = 1,
    memory: int = DEFAULT_MEMORY,
    engine: Engine | None = None,
    scratch: Path | None = None,
    against: Sequence[Sketch] = (),
) -> Findings:
    """Find the documents that another, better one makes superfluous.

    Args:
        documents: a folder of document shards, or a table with `text` (and `prompt`, `origin`,
            `category`, `language`, `source`).
        settings: of `[corpus.duplicates]`; those of an empty recipe by default.
        workers: threads, where no engine is given.
        memory: bytes that all workers together use for their partitions, approximately.
        engine: what runs the tasks (`corpus.engine`).
        scratch: an existing folder for temporary files; one of a killed search is gone on with.
        against: opened sketches of earlier runs; what they know goes (`settings.against`, which
            names folders, is the recipe's and not read here).

    Raises:
        TongwenError: there are no documents, the table has no `text`, or `settings.order` is no
            expression.
    """
    settings = settings or Duplicates()
    source = open_folder(documents) if isinstance(documents, Path) else open_table(documents)
    engine = engine or LocalEngine(workers)
    # What is left, and so what the tasks leave, depends on the sketches.
    settings = settings.model_copy(update={"against": tuple(str(each.folder) for each in against)})
    with open_workshop(source, settings, memory // engine.workers, scratch) as shop:
        return _Search(shop, settings, engine, against).run()


class _Search:
    """The steps of one search; each takes rows out of `left`."""

    def __init__(
        self, shop: Workshop, settings: Duplicates, engine: Engine, against: Sequence[Sketch]
    ) -> None:
        self.shop, self.settings, self.engine, self.against = shop, settings, engine, against
        self.parts = shop.source.cut()
        self.numbers = [part.number for part in self.parts]
        self.ledger = Ledger()
        number_documents(shop, engine, self.parts)
        self.left = open_left(shop)

    def run(self) -> Findings:
        """Every step in its turn."""
        self._drop_copies("id-entries", EXACT)
        self._drop_known_copies("id-entries")
        sketch_all(self.shop, self.engine, self.parts)
        if self.settings.normalized:
            self._drop_copies("copies", NORMALIZED)
            self._drop_known_copies("copies")
        for sketch in self.against:
            known = find_known_near(
                self.shop, self.engine, self.parts, sketch, self.settings.threshold
            )
            self._drop_known(known)
        parameters = self._describe(*self._drop_near())
        return self.ledger.close(self.shop.source, self.shop.open_ids(), parameters)

    def _drop_copies(self, kind: str, number: int) -> None:
        """Of equal ids, or equal normalised texts, only the best stays."""
        task = partial(group_copies, self.shop, kind, self.numbers)
        groups = self.engine.map(task, range(self.shop.ids.num_parts))
        gone, keepers = keep_best(self.shop.source, list(groups), self.settings)
        self.ledger.add(number, gone, keepers)
        self._drop(gone)

    def _drop_known_copies(self, kind: str) -> None:
        for sketch in self.against:
            self._drop_known(find_known_copies(self.shop, kind, self.numbers, sketch))

    def _drop_known(self, known: Known) -> None:
        self.ledger.add_known(known)
        self._drop(known.rows)

    def _drop(self, rows: Rows) -> None:
        self.left[rows] = False
        # Tasks read the file, maybe on another machine.
        self.left.flush()

    def _drop_near(self) -> tuple[Removals, Rows]:
        pairs = find_pairs(self.shop, self.engine, self.numbers)
        candidates = np.unique(pairs)
        sets = collect_all(self.shop, self.engine, self.parts, candidates)
        ranks = rank_rows(self.shop.source, candidates, self.settings)
        places = np.searchsorted(candidates, pairs).reshape(-1, 2)
        measure = partial(sets.measure, workers=self.engine.workers)
        removals = decide(measure, ranks, places, self.settings.threshold)
        gone, keepers = candidates[removals.removed], candidates[removals.keepers]
        self.ledger.add(NEAR, gone, keepers, removals.similarity)
        return removals, candidates

    def _describe(self, removals: Removals, candidates: Rows) -> dict[str, int | float | str]:
        roots = find_components(removals.similar, len(candidates))
        _, sizes = np.unique(roots, return_counts=True)
        keys = ("threshold", "num_perm", "ngram", "normalized", "keep", "paragraphs")
        return {
            **{key: getattr(self.settings, key) for key in keys},
            "seed": SEED,
            "bands": self.shop.num_bands,
            "rows": self.shop.rows,
            "candidate_documents": len(candidates),
            "candidate_pairs": removals.num_compared,
            "verified_pairs": len(removals.similar),
            "similar_groups": int((sizes > 1).sum()),
            "largest_similar_group": int(sizes.max(initial=0)),
        }


def keep_best(
    source: Source, groups: Sequence[tuple[Rows, Rows]], settings: Duplicates
) -> tuple[Rows, Rows]:
    """Of each group of rows the best stays.

    Args:
        groups: members and ends, as `corpus.dedup.grouping.group_equal` gives them.

    Returns:
        The rows that go, and for each the row that stays.
    """
    members = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in groups)])
    sizes = [np.diff(ends, prepend=0) for _, ends in groups]
    size = np.concatenate([np.empty(0, np.int64), *sizes])
    if not len(members):
        return members, members
    rows = np.sort(members)
    ranks = rank_rows(source, rows, settings)
    mine = ranks[np.searchsorted(rows, members)]
    best = np.minimum.reduceat(mine, np.cumsum(size) - size)
    by_rank = rows[np.argsort(ranks)]
    keepers = by_rank[np.repeat(best, size)]
    gone = members != keepers
    return members[gone], keepers[gone]
