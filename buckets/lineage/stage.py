"""A stage's buckets opened for questions: DuckDB over the tables, the shards mapped.

A question reads the footer of one Parquet file and the row groups whose statistics match, some
milliseconds whatever the stage's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq

from buckets.lineage.places import PLACES
from buckets.lineage.tables import plan_path
from buckets.shards import ShardReader
from tongwen.errors import TongwenError
from tongwen.run import RunFolder

_READERS = 16


@dataclass(frozen=True)
class Piece:
    """Tokens [start, start + length) of a document, at `offset` of a sequence of a bucket."""

    id: str
    origin: str
    category: str
    language: str
    bin: str
    epoch: int
    bucket: int
    sequence: int
    offset: int
    start: int
    length: int


@dataclass(frozen=True)
class Visit:
    """Where a piece of a document went."""

    id: str
    epoch: int
    start: int
    length: int
    bucket: int
    sequence: int
    offset: int


_PIECES = """
    SELECT id, origin, category, language, bin, epoch, bucket, sequence, "offset", start, length
    FROM read_parquet($path) WHERE sequence = $sequence ORDER BY "offset"
"""
_VISITS = """
    SELECT id, epoch, start, length, bucket, sequence, "offset"
    FROM read_parquet($path) WHERE id = $id ORDER BY epoch, start, bucket, sequence
"""


class StageBuckets:
    """The buckets of a stage.

    Attributes:
        name: of the stage.
        folder: of the output.
        num_sequences: of all buckets.

    Raises:
        TongwenError: they are not finished.
    """

    def __init__(self, run: RunFolder, name: str) -> None:
        self.name = name
        self.folder: Path = run.finished(f"buckets/{name}")
        table = pq.read_table(self.folder / "buckets.parquet").sort_by("bucket")
        self._first_B = table.column("first_sequence").to_numpy()
        self._size_B = table.column("sequences").to_numpy()
        self.num_sequences = int(self._size_B.sum())
        self._database = duckdb.connect(config={"threads": 1, "memory_limit": "500MB"})
        self.open_bucket = lru_cache(_READERS)(self._open_bucket)

    def find_bucket(self, number: int) -> tuple[int, int]:
        """Bucket, and sequence in it, of a sequence of the stage.

        Raises:
            TongwenError: there is no such sequence.
        """
        if not 0 <= number < self.num_sequences:
            raise TongwenError(
                f"there is no sequence {number:,}",
                where=f"stage {self.name}",
                expected=f"one of 0 to {self.num_sequences - 1:,}; what comes after is padding",
            )
        bucket = int(np.searchsorted(self._first_B, number, side="right")) - 1
        return bucket, number - int(self._first_B[bucket])

    def find_number(self, bucket: int, sequence: int) -> int:
        """The number in the stage of a sequence of a bucket.

        Raises:
            TongwenError: there is no such sequence.
        """
        if not 0 <= bucket < len(self._first_B) or not 0 <= sequence < self._size_B[bucket]:
            raise TongwenError(
                f"there is no sequence {sequence:,} of bucket {bucket:,}",
                where=f"stage {self.name}, {len(self._first_B):,} buckets",
                expected="numbers from 0 on; buckets.parquet has the sequences of each",
            )
        return int(self._first_B[bucket]) + sequence

    def list_pieces(self, bucket: int, sequence: int) -> list[Piece]:
        """What stands in a sequence, in order."""
        path = str(plan_path(self.folder, bucket))
        rows = self._database.execute(_PIECES, {"path": path, "sequence": sequence}).fetchall()
        return [Piece(*row) for row in rows]

    def find_visits(self, ids: Sequence[str]) -> list[Visit]:
        """Where documents went, by id in the order given."""
        path = str(self.folder / PLACES)
        return [
            Visit(*row)
            for each in ids
            for row in self._database.execute(_VISITS, {"path": path, "id": each}).fetchall()
        ]

    def _open_bucket(self, bucket: int) -> ShardReader:
        return ShardReader(self.folder / f"bucket-{bucket:05}")
