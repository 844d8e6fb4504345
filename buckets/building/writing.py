"""One bucket on disk: its shard, its rows of the plan, and the mark that it is done.

The mark is written last, so a bucket with a mark is whole, and a build that goes on leaves it as it
is.  Several buckets are written at once by threads; what a bucket holds depends on its plan alone.

The price: a bucket's plan is in memory while it is written, about 150 bytes a document.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.choosing.cells import Cell, make_salt
from buckets.encoding import DocumentIndex, TokenStore, format_ids
from buckets.lineage.tables import PLAN_SCHEMA, name_rows, plan_path, write_table
from buckets.packing import Packing, pack_bucket
from buckets.planning.bins import Group
from buckets.planning.plan import BucketPlan
from buckets.shards import write_packed
from tongwen.record import write_text


@dataclass(frozen=True)
class Written:
    """What a bucket's files hold."""

    bucket: int
    sequences: int
    tokens: int
    pieces: int
    documents: int
    split_documents: int
    longest_run: int
    longest_run_bin: int
    run_bound: int
    bin_sha256: str
    idx_sha256: str


@dataclass(frozen=True)
class BucketWriter:
    """Writes buckets of a stage.

    Attributes:
        out: the stage's folder; marks go to `work`.
        cells, bins: what the plans' numbers stand for.
        key: of the order of sequences, together with the bucket's number.
        ordered: a curriculum's order inside each bin instead of one by chance.
        padding: id of what fills a sequence up.
    """

    out: Path
    work: Path
    store: TokenStore
    index: DocumentIndex
    cells: Sequence[Cell]
    bins: Sequence[Group]
    sequence_length: int
    num_pieces: int
    padding: int
    key: tuple[object, ...]
    ordered: bool

    def write(self, plan: BucketPlan) -> Written:
        """Write a bucket, unless that was done by the build that this one goes on with."""
        mark = self.work / f"bucket-{plan.bucket:05}.json"
        if mark.exists():
            return Written(**json.loads(mark.read_text(encoding="utf-8")))
        uses = plan.uses
        seed = make_salt(*self.key, plan.bucket)
        packing = pack_bucket(
            uses.length_U, plan.bin_U, self.sequence_length, seed, ordered=self.ordered
        )
        rows_U = self.index.rows[uses.row_U]
        summary = write_packed(
            self.out / f"bucket-{plan.bucket:05}",
            packing,
            rows_U["start"] + uses.start_U.astype(np.int64),
            rows_U["prompt"] - uses.start_U,
            self.store.tokens,
            num_pieces=self.num_pieces,
            padding=self.padding,
            release=self.store.release,
        )
        write_table(plan_path(self.out, plan.bucket), self._make_plan(plan, rows_U, packing))
        begun_U = uses.start_U == 0
        written = Written(
            bucket=plan.bucket,
            sequences=packing.num_sequences,
            tokens=uses.num_tokens,
            pieces=len(packing.length_Q),
            documents=int(np.count_nonzero(begun_U)),
            split_documents=int(
                np.count_nonzero(begun_U & (rows_U["length"] > self.sequence_length))
            ),
            longest_run=packing.longest_run,
            longest_run_bin=packing.longest_run_bin,
            run_bound=packing.run_bound,
            bin_sha256=summary.bin_sha256,
            idx_sha256=summary.idx_sha256,
        )
        write_text(mark, json.dumps(asdict(written)) + "\n")
        return written

    def _make_plan(self, plan: BucketPlan, rows_U: NDArray, packing: Packing) -> pa.Table:
        """The rows of `plan/` for one bucket."""
        use_Q = packing.document_Q
        take = pa.array(use_Q)
        cell_Q = plan.cell_U[use_Q]
        columns = {
            "id": format_ids(rows_U["high"], rows_U["low"]).take(take),
            "origin": self.store.read_origins(rows_U).take(take),
            "category": name_rows([cell.category for cell in self.cells], cell_Q),
            "language": name_rows([cell.language for cell in self.cells], cell_Q),
            "bin": name_rows([group.bin for group in self.bins], plan.bin_U[use_Q]),
            "epoch": plan.uses.epoch_U[use_Q],
            "bucket": np.full(len(use_Q), plan.bucket, np.int32),
            "sequence": packing.sequence_Q,
            "offset": packing.offset_Q,
            "start": plan.uses.start_U[use_Q] + packing.start_Q,
            "length": packing.length_Q,
        }
        return pa.table(columns, schema=PLAN_SCHEMA)
