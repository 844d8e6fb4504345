"""The rows that go, as they are gathered step by step, and the duplicates table made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.sources import Source

Rows = NDArray[np.int64]
Ids = NDArray[np.uint64]

DUPLICATES = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),
        ("keeper", pa.string()),
        ("jaccard", pa.float64()),
        ("kind", pa.string()),
    ]
)
KINDS = ("exact", "normalized", "near", "known")
"""The same bytes; the same but for case, width, punctuation and space; similar; in a sketch of an
earlier run."""
EXACT, NORMALIZED, NEAR, KNOWN = range(4)


@dataclass(frozen=True)
class Findings:
    """The rows that go.

    Attributes:
        rows: their row numbers, rising.
        keepers: rows of the documents that stay for them; -1 where an earlier run has it.
        keeper_ids: shape (rows, 2).
        jaccard: exact similarity to the keeper.
        kinds: numbers into `KINDS`.
        parameters: what the search used and how much it compared.
    """

    source: Source
    rows: Rows
    keepers: Rows
    keeper_ids: Ids
    jaccard: NDArray[np.float64]
    kinds: NDArray[np.uint8]
    parameters: dict[str, int | float | str]

    def count(self, kind: int) -> int:
        """Rows of a kind."""
        return int((self.kinds == kind).sum())

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """The duplicates table (`DUPLICATES`) in the order of the documents."""
        for chunk in self.source.take(("id", "origin"), self.rows):
            part = slice(chunk.first, chunk.first + len(chunk.batch))
            kinds = [KINDS[kind] for kind in self.kinds[part].tolist()]
            columns = [to_hex(self.keeper_ids[part]), self.jaccard[part], kinds]
            found = [pa.array(column) for column in columns]
            yield pa.record_batch([*chunk.batch.columns, *found], schema=DUPLICATES)

    def to_table(self) -> pa.Table:
        """All of it in memory."""
        return pa.Table.from_batches(self.to_batches(), DUPLICATES)


def to_hex(ids: Ids) -> list[str]:
    """Ids of shape (n, 2) as 32 hexadecimal digits each."""
    digits = ids.astype(">u8").tobytes().hex()
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


@dataclass(frozen=True)
class Known:
    """Rows that an earlier run's sketch knows: the id there and the similarity to it."""

    rows: Rows
    ids: Ids
    jaccard: NDArray[np.float64]


class Ledger:
    """Gathers what goes, in the order in which the steps find it.

    A keeper may be removed by a later step; `close` leads every row to the document that stays in
    the end.  The similarity to it is that of its first keeper, because copies have equal sets.
    """

    def __init__(self) -> None:
        self._rows: list[Rows] = []
        self._keepers: list[Rows] = []
        self._jaccard: list[NDArray[np.float64]] = []
        self._kinds: list[NDArray[np.uint8]] = []
        self._known: list[Ids] = []

    def add(
        self, kind: int, rows: Rows, keepers: Rows, jaccard: NDArray[np.float64] | None = None
    ) -> None:
        """Rows that go for others, which are rows too."""
        self._rows.append(rows)
        self._keepers.append(keepers)
        self._jaccard.append(np.ones(len(rows)) if jaccard is None else jaccard)
        self._kinds.append(np.full(len(rows), kind, np.uint8))

    def add_known(self, known: Known) -> None:
        """Rows that go for documents of an earlier run; their keepers are -1, -2, ..."""
        before = sum(map(len, self._known))
        self._known.append(known.ids)
        self.add(KNOWN, known.rows, -1 - before - np.arange(len(known.rows)), known.jaccard)

    def close(self, source: Source, ids: Ids, parameters: dict[str, int | float | str]) -> Findings:
        """Everything that goes, by row, each with the document that stays in the end.

        Args:
            ids: of all documents, shape (rows, 2).
        """
        rows, keepers = np.concatenate(self._rows), np.concatenate(self._keepers)
        jaccard, kinds = np.concatenate(self._jaccard), np.concatenate(self._kinds)
        order = np.argsort(rows)
        rows, keepers = rows[order], keepers[order]
        jaccard, kinds = jaccard[order], kinds[order]
        _lead_on(rows, kinds, jaccard, keepers)
        mine, known = keepers >= 0, np.concatenate([np.empty((0, 2), np.uint64), *self._known])
        keeper_ids = np.empty((len(rows), 2), np.uint64)
        keeper_ids[mine] = ids[keepers[mine]]
        keeper_ids[~mine] = known[-1 - keepers[~mine]]
        keepers[~mine] = -1
        return Findings(source, rows, keepers, keeper_ids, jaccard, kinds, parameters)


def _lead_on(
    rows: Rows, kinds: NDArray[np.uint8], jaccard: NDArray[np.float64], keepers: Rows
) -> None:
    """Replace keepers that go themselves by theirs; at most three steps lead to one that stays."""
    while True:
        places = np.searchsorted(rows, keepers)
        places[places == len(rows)] = 0
        gone = (keepers >= 0) & (rows[places] == keepers) if len(rows) else np.zeros(0, bool)
        if not gone.any():
            return
        through = places[gone]
        jaccard[gone] = jaccard[through]
        kinds[gone] = np.where(kinds[through] == KNOWN, KNOWN, kinds[gone])
        keepers[gone] = keepers[through]
