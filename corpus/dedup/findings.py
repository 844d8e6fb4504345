"""The rows that go, as they are gathered step by step, and the duplicates table made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.dedup.partitions import write_whole
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
KINDS = ("exact", "normalized", "near", "known", "boilerplate")
"""The same bytes; the same but for case, width, punctuation and space; similar; in a sketch of an
earlier run; nothing but boilerplate."""
CUT_COUNTS = ("frequent_paragraphs", "cut_paragraphs", "cut_documents", "cut_characters")
"""What cutting boilerplate adds to the parameters."""
EXACT, NORMALIZED, NEAR, KNOWN, BOILERPLATE = range(5)


_ARRAYS = ("rows", "keepers", "keeper_ids", "jaccard", "kinds")


@dataclass(frozen=True)
class Findings:
    """The rows that go.

    Attributes:
        rows: their row numbers, rising.
        keepers: rows of the documents that stay for them; -1 where an earlier run has it, or none
            stays because all is boilerplate.
        keeper_ids: shape (rows, 2); zeros for boilerplate.
        jaccard: exact similarity to the keeper; 0 for boilerplate.
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

    def describe(self) -> dict[str, int | float | str]:
        """How many documents there were, went and stayed, and what was compared and cut."""
        measured = ("candidate_pairs", "verified_pairs", *CUT_COUNTS)
        return {
            "documents": self.source.num_rows,
            **{kind: self.count(number) for number, kind in enumerate(KINDS)},
            "kept": self.source.num_rows - len(self.rows),
            **{name: self.parameters[name] for name in measured if name in self.parameters},
        }

    def count(self, kind: int) -> int:
        """Rows of a kind."""
        return int((self.kinds == kind).sum())

    def find_kept(self) -> NDArray[np.bool_]:
        """For each document whether it stays."""
        kept = np.ones(self.source.num_rows, bool)
        kept[self.rows] = False
        return kept

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """The duplicates table (`DUPLICATES`) in the order of the documents."""
        for chunk in self.source.take(("id", "origin"), self.rows):
            part = slice(chunk.first, chunk.first + len(chunk.batch))
            kinds = [KINDS[kind] for kind in self.kinds[part].tolist()]
            ids = to_hex(self.keeper_ids[part])
            keepers = [
                "" if kind == KINDS[BOILERPLATE] else keeper
                for keeper, kind in zip(ids, kinds, strict=True)
            ]
            found = [
                pa.array(keepers, pa.string()),
                pa.array(self.jaccard[part]),
                pa.array(kinds, pa.string()),
            ]
            yield pa.record_batch([*chunk.batch.columns, *found], schema=DUPLICATES)

    def to_table(self) -> pa.Table:
        """All of it in memory."""
        return pa.Table.from_batches(self.to_batches(), DUPLICATES)


def add_boilerplate(found: Findings, rows: Rows, counts: dict[str, int]) -> Findings:
    """With the documents that are nothing but boilerplate, and what had gone for one of them.

    Args:
        rows: kept until now, rising.
        counts: for the parameters.
    """
    orphans = np.isin(found.keepers, rows)
    merged = np.concatenate([found.rows, rows])
    order = np.argsort(merged)

    def join(values: NDArray[Any], value: int) -> NDArray[Any]:
        values = values.copy()
        values[orphans] = value
        return np.concatenate(
            [values, np.full((len(rows), *values.shape[1:]), value, values.dtype)]
        )[order]

    return Findings(
        found.source,
        merged[order],
        join(found.keepers, -1),
        join(found.keeper_ids, 0),
        join(found.jaccard, 0),
        join(found.kinds, BOILERPLATE),
        {**found.parameters, **counts},
    )


def save_findings(found: Findings, path: Path) -> None:
    """Write all but the source to a file that is whole or absent."""
    parameters = np.frombuffer(json.dumps(found.parameters).encode(), np.uint8)
    arrays = {name: getattr(found, name) for name in _ARRAYS}

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez(file, parameters=parameters, **arrays)

    write_whole(path, write)


def load_findings(path: Path, source: Source) -> Findings:
    """What `save_findings` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in _ARRAYS}
        parameters = json.loads(file["parameters"].tobytes())
    return Findings(source, **arrays, parameters=parameters)


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
