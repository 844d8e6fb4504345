"""What a stage may use: how many documents each cell has, before any text is read.

Ids, languages, categories and prompts are read once, texts are not; what a text weighs is an
average over the corpus, good enough to decide what to encode first (see `rounds`).  Held-out and
forgotten documents belong to no cell.

The price: a pass over four narrow columns, some 5 % of what reading the texts costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.choosing.cells import Cell, find_excluded, find_part, split_kinds
from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.recipe import Part, Stage

COLUMNS = ("id", "prompt", "category", "language")


@dataclass(frozen=True)
class Survey:
    """The cells of a stage, sorted.

    Attributes:
        cells: C of them, each with at least one document.
        documents_C: int64.
        bytes_per_document: of text, over the whole corpus.
    """

    cells: tuple[Cell, ...]
    documents_C: NDArray[np.int64]
    bytes_per_document: float


def survey_documents(
    batches: Iterable[pa.RecordBatch], stage: Stage, excluded: pa.Array, bytes_per_document: float
) -> Survey:
    """Count the documents (`COLUMNS`) of every cell.

    Args:
        excluded: ids that the stage may not use.

    Raises:
        TongwenError: a part of the mixture is left without a document.
    """
    counts: dict[Cell, int] = {}
    kinds: set[tuple[str, str, str]] = set()
    with progress("measuring documents", unit="documents") as advance:
        for batch in batches:
            _count_batch(batch, stage.mixture, excluded, counts, kinds)
            advance(batch.num_rows)
    _check_parts(stage, {cell.part for cell in counts}, kinds)
    cells = tuple(sorted(counts))
    documents_C = np.array([counts[cell] for cell in cells], np.int64)
    return Survey(cells, documents_C, bytes_per_document)


def _count_batch(
    batch: pa.RecordBatch,
    mixture: Sequence[Part],
    excluded: pa.Array,
    counts: dict[Cell, int],
    kinds: set[tuple[str, str, str]],
) -> None:
    allowed_N = ~find_excluded(batch.column("id"), excluded)
    for language, category, kind, rows in split_kinds(batch):
        kinds.add((language, category, kind))
        count = int(np.count_nonzero(allowed_N[rows]))
        part = find_part(mixture, language, category, kind)
        if part >= 0 and count:
            cell = Cell(part, language, category, kind)
            counts[cell] = counts.get(cell, 0) + count


def _check_parts(stage: Stage, parts: set[int], kinds: set[tuple[str, str, str]]) -> None:
    for number, part in enumerate(stage.mixture):
        if number not in parts:
            raise _refuse_part(stage, number, part, sorted(kinds))


def _refuse_part(
    stage: Stage, number: int, part: Part, kinds: list[tuple[str, str, str]]
) -> TongwenError:
    asked = {key: list(getattr(part, key)) for key in ("languages", "categories", "kinds")}
    before = any(find_part([part], *name) == 0 for name in kinds)
    there = [f"{language}/{category} ({kind})" for language, category, kind in kinds]
    return TongwenError(
        f"a part of the mixture matches no document: {asked}"
        + (" (an earlier part takes all that it matches)" if before else ""),
        where=f"stages.{stage.name}.mixture.{number}",
        expected="one of " + ", ".join(there[:60]) + (" ..." if len(there) > 60 else ""),
        do="correct the part's languages, categories or kinds, or add such documents to "
        "[[corpus.inputs]]; a document belongs to the first part that matches",
    )
