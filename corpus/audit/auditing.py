"""How well are duplicates found?  Measured on copies planted into the user's own documents.

    sample  -> documents of every language and category           `corpus.audit.sampling`
    plant   -> edited copies of known strength, all shuffled      `corpus.audit.planting`
    search  -> the real `find_duplicates`, with the recipe's settings
    truth   -> the exact similarity of all pairs by brute force   `corpus.audit.exhaustive`
    compare -> tables by perturbation, language and similarity    `corpus.audit.tables`

Two things are measured, and kept apart:

- **candidates**: do the two documents of a pair agree in a band?  That is what the S-curve of the
  bands and rows foretells, so the measured points belong on it.
- **removals**: what the user gets.  A pair at the threshold or above is *found* when one of the two
  was removed for a document that is really so similar (not always the other of the pair: both may
  resemble a third); a miss is a pair of which both stay.  A removal is *false* when the truth says
  that the document and its keeper are below the threshold.  Recall is found pairs by pairs to be
  found, precision is right removals by removals.

The price: about twice the sample is searched and compared, some seconds for 2,000 documents.
Questions and answers are taken as one text here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.audit.exhaustive import Pairs, Sets, Values, collect_sets, find_similar, measure_pairs
from corpus.audit.planting import Copy, plant_copies
from tongwen.recipe import Duplicates

Flags = NDArray[np.bool_]

PAIRS = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("category", pa.string()),
        ("perturbation", pa.string()),
        ("strength", pa.float64()),
        ("jaccard", pa.float64()),
        ("candidate", pa.bool_()),
        ("expected", pa.bool_()),
        ("found", pa.bool_()),
        ("joined", pa.bool_()),
        ("kind", pa.string()),
    ]
)
"""A planted pair: the original's id; agrees in a band; similar enough; one was removed rightly;
one was removed for the other; as what the copy was removed (or else the original), or ""."""

FLOOR = 0.3
"""Least similarity of the pairs that brute force looks for (less with a lower threshold)."""
_PAIRS_AT_ONCE = 4096
_OTHER_RULES = {"keep": "earliest", "priority": (), "order": "", "against": (), "paragraphs": 0}


@dataclass(frozen=True)
class Judged:
    """Pairs of texts, and what the search did to them.

    Attributes:
        pairs: rows of the texts, shape (pairs, 2); `similarity` is exact.
        candidate: they agree in a band.
        expected: they are at the threshold or above.
        found: one of them was removed, rightly.
        joined: one of them was removed for the other.
    """

    pairs: Pairs
    similarity: Values
    candidate: Flags
    expected: Flags
    found: Flags
    joined: Flags


@dataclass(frozen=True)
class Outcome:
    """Everything that was measured; the tables are made of it.

    Attributes:
        documents: the sample (`corpus.audit.sampling.SAMPLE`).
        copies: what was planted; `planted` are their pairs (original, copy), in the same order,
            and `kinds` what the copies (or else the originals) were removed as.
        every: all pairs of texts that are at least `floor` alike, planted or not.
        removed: rows of the texts that were removed; `right` tells which rightly.
        copy_of_removal: for each removal the copy it is counted for, -1 for none.
        parameters: of the search.
    """

    documents: pa.Table
    copies: Sequence[Copy]
    planted: Judged
    kinds: Sequence[str]
    every: Judged
    removed: NDArray[np.int64]
    right: Flags
    copy_of_removal: NDArray[np.int64]
    floor: float
    parameters: dict[str, object]


def audit_documents(
    documents: pa.Table,
    settings: Duplicates | None = None,
    *,
    copies: float = 1.0,
    seed: int = 1,
    workers: int = 1,
    scratch: Path | None = None,
) -> Outcome:
    """Plant edited copies of documents, search for duplicates and compare with brute force.

    Args:
        documents: columns `id`, `category`, `language` and `text`; texts differ.
        settings: threshold, num_perm, ngram and normalized; the other keys do not apply.
        copies: edited copies for each document.
        seed: of the edits and the order of the texts.
        scratch: an existing folder for temporary files.

    Raises:
        TongwenError: too many pairs are similar (see `corpus.audit.exhaustive`).
    """
    from corpus.dedup.duplicates import find_duplicates
    from corpus.dedup.findings import KINDS

    settings = (settings or Duplicates()).model_copy(update=_OTHER_RULES)
    planted = plant_copies(documents, round(copies * documents.num_rows), seed)
    texts, places = _shuffle([*documents["text"].to_pylist(), *(c.text for c in planted)], seed)
    found = find_duplicates(pa.table({"text": texts}), settings, workers=workers, scratch=scratch)
    keepers = np.full(len(texts), -1, np.int64)
    keepers[found.rows] = found.keepers
    kinds = np.full(len(texts), "", object)
    kinds[found.rows] = [KINDS[kind] for kind in found.kinds.tolist()]
    judge = _Judge(texts, settings, keepers, dict(found.parameters))
    originals = places[np.array([copy.original for copy in planted], np.int64)]
    clones = places[documents.num_rows :]
    floor = min(FLOOR, settings.threshold)
    pairs, similarity = find_similar(judge.sets, floor)
    removed = np.flatnonzero(keepers >= 0)
    return Outcome(
        documents=documents,
        copies=planted,
        planted=judge.judge(np.stack([originals, clones], axis=1)),
        kinds=np.where(keepers[clones] >= 0, kinds[clones], kinds[originals]).tolist(),
        every=judge.judge(pairs, similarity),
        removed=removed,
        right=judge.right[removed],
        copy_of_removal=_find_copies(removed, keepers, clones),
        floor=floor,
        parameters=judge.parameters,
    )


def _shuffle(texts: list[str], seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """The texts in another order, and where each one went."""
    order = Random(seed).sample(range(len(texts)), len(texts))
    places = np.empty(len(texts), np.int64)
    places[order] = np.arange(len(texts))
    return [texts[row] for row in order], places


def _find_copies(
    removed: NDArray[np.int64], keepers: NDArray[np.int64], clones: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each removal the copy that it removed, or that it removed a document for; else -1."""
    copies = np.full(len(keepers), -1, np.int64)
    copies[clones] = np.arange(len(clones))
    itself, keeper = copies[removed], copies[keepers[removed]]
    return np.where(itself >= 0, itself, keeper)


class _Judge:
    """Compares pairs with the truth."""

    def __init__(
        self,
        texts: list[str],
        settings: Duplicates,
        keepers: NDArray[np.int64],
        parameters: dict[str, object],
    ) -> None:
        column = pa.array(texts, pa.large_string())
        self.sets: Sets = collect_sets(column, settings.ngram)
        self.threshold, self.keepers, self.parameters = settings.threshold, keepers, parameters
        self.right = np.zeros(len(texts), bool)
        removed = np.flatnonzero(keepers >= 0)
        kept = measure_pairs(self.sets, np.stack([removed, keepers[removed]], axis=1))
        self.right[removed] = kept >= self.threshold
        self._signatures = _sketch(column, parameters)

    def judge(self, pairs: Pairs, similarity: Values | None = None) -> Judged:
        """What became of each pair."""
        if similarity is None:
            similarity = measure_pairs(self.sets, pairs)
        one, other = pairs[:, 0], pairs[:, 1]
        return Judged(
            pairs=pairs,
            similarity=similarity,
            candidate=_share_band(self._signatures, pairs),
            expected=similarity >= self.threshold,
            found=self.right[one] | self.right[other],
            joined=(self.keepers[one] == other) | (self.keepers[other] == one),
        )


def _sketch(column: pa.Array, parameters: dict[str, object]) -> NDArray[np.uint32]:
    """Signatures cut into bands, shape (texts, bands, rows)."""
    from corpus.hashing.signatures import minhash

    num_perm, bands, rows = (int(str(parameters[key])) for key in ("num_perm", "bands", "rows"))
    ngram, seed = (int(str(parameters[key])) for key in ("ngram", "seed"))
    signatures = minhash(column, num_perm=num_perm, ngram=ngram, seed=seed)
    values = np.asarray(signatures.flatten()).reshape(len(column), num_perm)
    return values[:, : bands * rows].reshape(len(column), bands, rows)


def _share_band(signatures: NDArray[np.uint32], pairs: Pairs) -> Flags:
    """Whether the two texts of each pair agree in all rows of a band."""
    shared = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        part = pairs[start : start + _PAIRS_AT_ONCE]
        same = signatures[part[:, 0]] == signatures[part[:, 1]]
        shared[start : start + len(part)] = same.all(axis=2).any(axis=1)
    return shared


def tabulate_pairs(outcome: Outcome) -> pa.Table:
    """The planted pairs (`PAIRS`), in the order they were planted."""
    rows = pa.array([copy.original for copy in outcome.copies], pa.int64())
    about = outcome.documents.select(["id", "language", "category"]).take(rows)
    judged = outcome.planted
    columns = [
        *about.columns,
        [copy.edit.perturbation for copy in outcome.copies],
        [float(copy.edit.strength) for copy in outcome.copies],
        judged.similarity,
        *(judged.candidate, judged.expected, judged.found, judged.joined),
        outcome.kinds,
    ]
    typed = zip(columns, PAIRS, strict=True)
    arrays = [c if isinstance(c, pa.ChunkedArray) else pa.array(c, f.type) for c, f in typed]
    return pa.table(arrays, schema=PAIRS)
