"""What the buckets of a build hold, added up while they are written, and the tables of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from buckets.building.writing import Written
from buckets.choosing.cells import Cell
from buckets.choosing.rounds import Chosen
from buckets.lineage.tables import (
    BALANCE_SCHEMA,
    BUCKETS_SCHEMA,
    GROUPS_SCHEMA,
    MIXTURE_SCHEMA,
    extend_table,
    list_balance,
)
from buckets.planning.bins import Balance, Group
from buckets.planning.plan import BucketPlan
from tongwen.recipe import Stage


class Tally:
    """Sums over the buckets of a build.

    Args:
        cells, bins: what the plans' numbers stand for.
    """

    def __init__(self, cells: Sequence[Cell], bins: Sequence[Group]) -> None:
        self.cells, self.bins = tuple(cells), tuple(bins)
        self.written: list[Written] = []
        self._tokens_B: list[NDArray[np.int64]] = []
        self._target_B: list[NDArray[np.int64]] = []
        self._documents_C, self._tokens_C, self._repeated_C = np.zeros(
            (3, len(self.cells)), np.int64
        )

    def add_plan(self, plan: BucketPlan) -> None:
        """Count what a bucket will hold."""
        uses = plan.uses
        length_U = uses.length_U.astype(np.int64)
        tokens_G = np.zeros(len(self.bins), np.int64)
        np.add.at(tokens_G, plan.bin_U, length_U)
        self._tokens_B.append(tokens_G)
        self._target_B.append(plan.target_G)
        np.add.at(self._tokens_C, plan.cell_U, length_U)
        np.add.at(self._documents_C, plan.cell_U[uses.start_U == 0], 1)
        again_U = uses.epoch_U > 1
        np.add.at(self._repeated_C, plan.cell_U[again_U], length_U[again_U])

    @property
    def balance(self) -> Balance:
        return Balance(self.bins, np.stack(self._tokens_B), np.stack(self._target_B))

    def write(
        self,
        out: Path,
        stage: Stage,
        chosen: Chosen,
        *,
        first_bucket: int,
        first_sequence: int,
        mixture: int,
    ) -> None:
        """Write the stage's tables; the rows of what was there before `first_bucket` stay."""
        buckets = self._list_buckets(first_sequence, mixture)
        balance = list_balance(self.balance, first_bucket)
        extend_table(out / "buckets.parquet", BUCKETS_SCHEMA, buckets, "bucket", first_bucket)
        extend_table(out / "balance.parquet", BALANCE_SCHEMA, balance, "bucket", first_bucket)
        parts = self._list_parts(stage, chosen, mixture, first_bucket)
        groups = self._list_groups(chosen, mixture)
        extend_table(out / "mixture.parquet", MIXTURE_SCHEMA, parts, "mixture", mixture)
        extend_table(out / "groups.parquet", GROUPS_SCHEMA, groups, "mixture", mixture)

    def _list_buckets(self, first_sequence: int, mixture: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for written in self.written:
            run_bin = self.bins[written.longest_run_bin].bin
            row = {**vars(written), "mixture": mixture, "longest_run_bin": run_bin}
            rows.append({**row, "first_sequence": first_sequence})
            first_sequence += written.sequences
        return rows

    def _list_parts(
        self, stage: Stage, chosen: Chosen, mixture: int, from_bucket: int
    ) -> list[dict[str, Any]]:
        part_C = np.array([cell.part for cell in self.cells])
        asked_P, available_P = chosen.quotas.asked_P, chosen.quotas.available_P
        return [
            {
                "mixture": mixture,
                "from_bucket": from_bucket,
                "part": number,
                "share": float(asked_P[number] / max(int(asked_P.sum()), 1)),
                "asked_tokens": int(asked_P[number]),
                "available_tokens": int(available_P[number]),
                "used_tokens": int(self._tokens_C[part_C == number].sum()),
                "documents": int(self._documents_C[part_C == number].sum()),
                "epochs": float(
                    self._tokens_C[part_C == number].sum() / max(int(available_P[number]), 1)
                ),
                "languages": list(part.languages),
                "categories": list(part.categories),
                "kinds": list(part.kinds),
            }
            for number, part in enumerate(stage.mixture)
        ]

    def _list_groups(self, chosen: Chosen, mixture: int) -> list[dict[str, Any]]:
        return [
            {
                "mixture": mixture,
                **vars(cell),
                "documents": int(self._documents_C[number]),
                "asked_tokens": int(chosen.quotas.asked_C[number]),
                "available_tokens": int(chosen.available_C[number]),
                "used_tokens": int(self._tokens_C[number]),
                "repeated_tokens": int(self._repeated_C[number]),
                "epochs": float(self._tokens_C[number] / max(int(chosen.available_C[number]), 1)),
            }
            for number, cell in enumerate(self.cells)
        ]
