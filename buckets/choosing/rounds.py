"""Which documents are encoded: as many of each cell as its quota takes, found in rounds.

What a cell has is known only once it is encoded.  A corpus may be far larger than the budget, so a
sample and then what is needed are encoded: the documents whose key lies below a limit of their
cell.  The rest is estimated from the tokens of a document so far.  The choice among documents is
exact; the estimate only divides a part among its cells, and before a part is refused all of it is
encoded.  Where the budget is near what there is, all is encoded at once.

The price: a pass over the corpus for each round, one to three in practice, and a tenth more
encoded than is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.choosing.cells import (
    LARGEST_KEY,
    Cell,
    find_excluded,
    find_part,
    hash_ids,
    split_kinds,
)
from buckets.choosing.quotas import Quotas, refuse_short, set_quotas
from buckets.choosing.survey import Survey
from buckets.encoding import Choose, Picked
from tongwen.recipe import Stage

SAMPLE_DOCUMENTS = 200
_MARGIN, _MORE_DOCUMENTS = 1.1, 64
_TOKENS_PER_BYTE = 0.3
_MOST_WASTE = 2.0

Encode = Callable[[str, Choose], None]
"""Encodes a round: its name and which documents."""
Measure = Callable[[], tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]
"""Of every cell: documents and tokens encoded so far, and tokens of them trained on before."""


@dataclass(frozen=True)
class Chosen:
    """What the rounds ended with.

    Attributes:
        quotas: what every cell is asked for.
        available_C: int64, tokens of each cell, counted or (where not all is encoded) estimated.
        used_C: int64, tokens trained on before.
    """

    quotas: Quotas
    available_C: NDArray[np.int64]
    used_C: NDArray[np.int64]


class Rounds:
    """The rounds of one stage.

    Args:
        tokens: the budget.
        excluded: ids that the stage may not use.
        salt: of the keys.
    """

    def __init__(
        self, stage: Stage, survey: Survey, tokens: int, excluded: pa.Array, salt: int
    ) -> None:
        self.stage, self.survey, self.tokens = stage, survey, tokens
        self._excluded, self._salt = excluded, salt
        # A limit of n takes the keys below n; Python's integers hold 2^64, which takes all.
        self.limits = [0] * len(survey.cells)

    def run(self, encode: Encode, measure: Measure) -> Chosen:
        """Encode until every cell has what it is asked for.

        Raises:
            TongwenError: a part has too few tokens even when used `max_epochs` times.
        """
        number = 0
        self._raise_limits(self._guess())
        while True:
            encode(f"round-{number}", self.choose_between(self._before, self.limits))
            number += 1
            chosen, wanted = self._judge(*measure())
            if not self._raise_limits(wanted):
                break
        refuse_short(self.stage, chosen.quotas, self.tokens, self._sum_parts(chosen.used_C))
        return chosen

    def preview(self, encode: Encode, measure: Measure) -> Chosen:
        """What `run` would begin with, from a sample of every cell alone; nothing is refused."""
        self._raise_limits(np.minimum(1.0, SAMPLE_DOCUMENTS / self.survey.documents_C))
        encode("sample", self.choose_between(self._before, self.limits))
        return self._judge(*measure())[0]

    def is_whole(self, cell: int) -> bool:
        """Whether all of a cell is encoded, so that its tokens are counted, not estimated."""
        return self.limits[cell] > LARGEST_KEY

    def choose_between(self, lower: list[int], upper: list[int]) -> Choose:
        """The documents of a batch whose key lies in [lower, upper) of their cell."""
        numbers = {cell: i for i, cell in enumerate(self.survey.cells)}

        def choose(batch: pa.RecordBatch) -> Picked:
            cell_N = self._find_cells(batch, numbers)
            key_N = hash_ids(batch.column("id"), self._salt)
            picked_N = np.zeros(len(batch), np.bool_)
            for cell in np.unique(cell_N[cell_N >= 0]).tolist():
                if upper[cell] > lower[cell]:
                    inside = key_N >= np.uint64(lower[cell])
                    if upper[cell] <= LARGEST_KEY:
                        inside &= key_N < np.uint64(upper[cell])
                    picked_N |= inside & (cell_N == cell)
            picked_N &= ~find_excluded(batch.column("id"), self._excluded)
            row_D = np.flatnonzero(picked_N)
            return Picked(row_D, cell_N[row_D], key_N[row_D])

        return choose

    def _find_cells(self, batch: pa.RecordBatch, numbers: dict[Cell, int]) -> NDArray[np.int32]:
        cell_N = np.full(len(batch), -1, np.int32)
        for language, category, kind, rows in split_kinds(batch):
            part = find_part(self.stage.mixture, language, category, kind)
            cell_N[rows] = numbers.get(Cell(part, language, category, kind), -1)
        return cell_N

    def _guess(self) -> NDArray[np.float64]:
        """The share of each cell to encode before anything is known of its tokens: a sample, or
        all of it where the budget seems not far below it."""
        documents_C = self.survey.documents_C
        rough_C = documents_C * max(self.survey.bytes_per_document * _TOKENS_PER_BYTE, 1.0)
        nothing = np.zeros_like(documents_C)
        quotas = set_quotas(
            self.stage.mixture, self.survey.cells, rough_C.astype(np.int64), nothing, self.tokens
        )
        wanted_C = np.minimum(1.0, SAMPLE_DOCUMENTS / documents_C)
        wanted_C[quotas.asked_C * _MOST_WASTE >= rough_C] = 1.0
        return wanted_C

    def _raise_limits(self, wanted_C: NDArray[np.float64]) -> bool:
        """Set the limits to take these shares of the cells; False if nothing is added by that."""
        self._before = list(self.limits)
        for cell, wanted in enumerate(wanted_C.tolist()):
            limit = LARGEST_KEY + 1 if wanted >= 1 else int(wanted * 2**64)
            self.limits[cell] = max(self.limits[cell], limit)
        return self.limits != self._before

    def _judge(
        self,
        documents_C: NDArray[np.int64],
        tokens_C: NDArray[np.int64],
        used_C: NDArray[np.int64],
    ) -> tuple[Chosen, NDArray[np.float64]]:
        """The quotas by what is known now, and the share of each cell that they need encoded."""
        whole_C = np.array([self.is_whole(cell) for cell in range(len(self.limits))])
        average_C = tokens_C / np.maximum(documents_C, 1)
        known_C = np.where(documents_C > 0, average_C, average_C.mean())
        estimated_C = np.rint(known_C * self.survey.documents_C).astype(np.int64)
        available_C = np.where(whole_C, tokens_C, np.maximum(estimated_C, tokens_C))
        quotas = set_quotas(self.stage.mixture, self.survey.cells, available_C, used_C, self.tokens)
        needed_C = quotas.asked_C + used_C
        share_C = needed_C * _MARGIN / np.maximum(available_C, 1)
        share_C += _MORE_DOCUMENTS / self.survey.documents_C
        share_C[(tokens_C >= needed_C) | whole_C] = 0.0
        share_C[np.isin([cell.part for cell in self.survey.cells], quotas.short)] = 1.0
        return Chosen(quotas, available_C, used_C), share_C

    def _sum_parts(self, value_C: NDArray[np.int64]) -> NDArray[np.int64]:
        part_C = [cell.part for cell in self.survey.cells]
        return np.bincount(part_C, value_C, len(self.stage.mixture)).astype(np.int64)
