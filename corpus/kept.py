"""The documents that are kept: those without a row in the duplicates table, boilerplate cut out.

A text that was cut keeps its document's id, which is the hash of the original text.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.dedup.cuts import CUTS, CutReader, join_key
from corpus.documents import COMPRESSION, DOCUMENTS, ShardWriter, to_batch
from corpus.sources import open_folder
from tongwen.run import RunFolder

HELD_OUT = pa.schema([(name, pa.string()) for name in ("id", "category", "language")])
HELD_OUT_SHARE = 5
"""At most one in so many documents of a group is held out."""

DUPLICATES = "duplicates.parquet"
_KEY = ("id", "origin")
_MEMORY = 1_000_000_000


def read_kept(run: RunFolder, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The kept documents in the order of the shards, about 2 MB of text at a time.

    Texts come without the boilerplate in cuts.parquet; ids are those of the original texts.

    Args:
        columns: of the documents table, in the order wanted.

    Raises:
        TongwenError: documents or duplicates are not finished, or cuts.parquet is not of these.
    """
    documents, duplicates = (run.finished(f"corpus/{name}") for name in ("documents", "duplicates"))
    return iterate_kept(documents, duplicates, columns)


def iterate_kept(
    documents: Path,
    duplicates: Path,
    columns: Sequence[str],
    mask: NDArray[np.bool_] | None = None,
) -> Iterator[pa.RecordBatch]:
    """`read_kept` for two folders.

    Duplicates and cuts are in the order of the documents, so all are read side by side and none
    is held.

    Args:
        mask: for each row whether it stays, where that is known already.
    """
    removed: _Removed | _Masked = _Masked(mask) if mask is not None else _Removed(duplicates)
    cuts = duplicates / CUTS
    # Runs of earlier versions have none.
    reader = CutReader(cuts) if "text" in columns and cuts.exists() else None
    needed = list(dict.fromkeys((*columns, *_KEY)))
    for table in _read_chunks(documents, needed):
        kept = table.filter(pa.array(~removed.find(table)))
        kept = reader.apply(kept) if reader else kept
        yield from kept.select(list(columns)).combine_chunks().to_batches()
    if reader:
        reader.close()


def find_kept(documents: Path, duplicates: Path) -> NDArray[np.bool_]:
    """For each row of a folder of documents whether it stays."""
    removed = _Removed(duplicates)
    masks = [~removed.find(table) for table in _read_chunks(documents, list(_KEY))]
    return np.concatenate([np.empty(0, bool), *masks])


def write_kept(
    documents: Path,
    duplicates: Path,
    out: Path,
    advance: Callable[[int], None] = lambda _: None,
    mask: NDArray[np.bool_] | None = None,
    compression: str = COMPRESSION,
) -> int:
    """Write the kept documents, cut, as shards of their own; returns how many they are."""
    with ShardWriter(out, compression=compression) as writer:
        for batch in iterate_kept(documents, duplicates, DOCUMENTS.names, mask):
            writer.write_batch(batch)
            advance(len(batch))
    return writer.num_rows


def _read_chunks(documents: Path, columns: list[str]) -> Iterator[pa.Table]:
    for chunk in open_folder(documents).read(columns):
        yield pa.Table.from_batches([chunk.batch])


class _Masked:
    """The same, where it is known of each row."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.mask, self.at = mask, 0

    def find(self, documents: pa.Table) -> NDArray[np.bool_]:
        """Which of the next documents are duplicates."""
        self.at += len(documents)
        return ~self.mask[self.at - len(documents) : self.at]


class _Removed:
    """Walks through the duplicates beside the documents, both in the same order."""

    def __init__(self, duplicates: Path) -> None:
        self._parts = self._read(duplicates / DUPLICATES)
        self._waiting = pa.chunked_array([], pa.string())

    @staticmethod
    def _read(path: Path) -> Iterator[pa.ChunkedArray]:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield join_key(file.read_row_group(group, columns=list(_KEY)))

    def find(self, documents: pa.Table) -> NDArray[np.bool_]:
        """Which of the next documents are duplicates."""
        keys = join_key(documents)
        while len(self._waiting) < len(keys) and (part := next(self._parts, None)) is not None:
            self._waiting = pa.chunked_array([*self._waiting.chunks, *part.chunks], pa.string())
        options = pc.SetLookupOptions(self._waiting.slice(0, len(keys)).combine_chunks())
        found = pc.call_function("is_in", [keys], options).to_numpy(zero_copy_only=False)
        self._waiting = self._waiting.slice(int(found.sum()))
        return found


_CHOOSE = """
    SELECT id, category, language
    FROM (SELECT id, origin, category, language FROM read_parquet($documents))
    ANTI JOIN (SELECT id, origin FROM read_parquet($duplicates)) USING (id, origin)
    QUALIFY row_number() OVER (PARTITION BY category, language ORDER BY id)
        <= least($most, count(*) OVER (PARTITION BY category, language) // $share)
    ORDER BY category, language, id
"""


def choose_held_out(run: RunFolder, per_group: int) -> pa.Table:
    """The documents that no training sees: of each category and language the smallest ids.

    Ids are hashes, so the choice is as good as random, and adding documents changes it little.

    Args:
        per_group: how many of each group, but at most a fifth of its kept documents.

    Returns:
        id, category, language; sorted by category, language, id.

    Raises:
        TongwenError: documents or duplicates are not finished.
    """
    from corpus.counting.statistics import connect

    names = {
        "documents": str(run.finished("corpus/documents") / "part-*.parquet"),
        "duplicates": str(run.finished("corpus/duplicates") / "duplicates.parquet"),
        "most": per_group,
        "share": HELD_OUT_SHARE,
    }
    with (
        tempfile.TemporaryDirectory(prefix=".held-out-", dir=run.root) as folder,
        connect(Path(folder), _MEMORY, workers=1) as database,
    ):
        rows = database.execute(_CHOOSE, names).fetchall()
    return pa.Table.from_batches([to_batch(rows, HELD_OUT)])
