"""The tokens of chosen documents on disk, encoded once, in flat memory.

A round is one pass over batches of documents.  A thread reads ahead, others choose, encode and lay
out, and the tokens are appended in the order of the batches; so the store's bytes do not depend on
the number of threads.  Every now and then what is there is committed, and a round that was killed
goes on behind its last commit.  Then the index is sorted into the order of use (`sorting`).

The price: tokens lie on disk twice until the shards are written, and a round that goes on reads
(but does not encode) the batches before its commit again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.encoding.assemble import Encoder, encode_documents
from buckets.encoding.files import Round, StoreFiles
from buckets.encoding.ids import make_strings, parse_ids, split_strings
from buckets.encoding.index import INDEX, DocumentIndex, MappedArray
from buckets.encoding.origins import gather_strings
from buckets.encoding.pipeline import work_ahead
from buckets.encoding.reorder import reorder_index
from buckets.encoding.sorting import sort_entries
from tongwen.progress import progress
from tongwen.recipe import Curriculum

_COMMIT_BYTES, _COMMIT_SECONDS = 64 << 20, 5.0
"""Text, and time, after which what is there is committed."""


@dataclass(frozen=True)
class Picked:
    """Documents of a batch that are to be encoded.

    Attributes:
        row_D: int64, rising rows of the batch.
        cell_D: int32, number of each one's cell.
        key_D: uint64, its place in the order of use.
    """

    row_D: NDArray[np.int64]
    cell_D: NDArray[np.int32]
    key_D: NDArray[np.uint64]


Choose = Callable[[pa.RecordBatch], Picked]
"""Which documents of a batch; called by several threads."""


@dataclass(frozen=True)
class _Encoded:
    """A batch on its way to the files: its rows and bytes of text, and what was chosen of it."""

    num_rows: int
    num_bytes: int
    tokens: NDArray[np.integer]
    rows: NDArray[np.void]
    origins: NDArray[np.uint8]


class TokenStore:
    """Tokens of the documents that were encoded so far.

    Args:
        folder: everything lies in it; `remove` deletes it.
        num_pieces: size of the vocabulary, which decides the tokens' type.
        workers: threads; they never change a byte.  By default, as many as there are cores.

    Raises:
        TongwenError: the folder holds a store of another vocabulary, or a damaged one.
    """

    def __init__(self, folder: Path, num_pieces: int, workers: int | None = None) -> None:
        self.folder = folder
        self._workers = workers or len(os.sched_getaffinity(0))
        self._num_pieces = num_pieces
        self._files = StoreFiles(folder, num_pieces)
        self._tokens: MappedArray | None = None
        self._origins: MappedArray | None = None
        self._index: DocumentIndex | None = None

    def encode_round(
        self,
        name: str,
        batches: Callable[[], Iterable[pa.RecordBatch]],
        choose: Choose,
        encoder: Encoder,
        *,
        total: int | None = None,
    ) -> None:
        """Append what is chosen, in one pass; a finished round is left as it is.

        Args:
            name: of the round; what was begun under it goes on.
            batches: from the beginning, at each call; with id, origin, text and prompt and what
                `choose` needs, some megabytes each.
            total: documents that the batches hold, to foresee the end.

        Raises:
            TongwenError: a text or an id of a document cannot be used, or the encoder gives ids
                that the vocabulary does not have.
            ValueError: the choice is none of rising rows.
        """
        done = self._files.state.rounds.setdefault(name, Round())
        if done.finished:
            return
        self._unmap()
        self._files.open()
        try:
            with progress("encoding documents", total=total, unit="documents") as advance:
                for num_rows in self._append(done, batches, choose, encoder):
                    advance(num_rows)
            done.finished = True
            self._files.commit()
        finally:
            self._files.close()
            self._files.reload()

    def count_cells(self, num_cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Documents and tokens of each cell so far, int64[C] both."""
        documents_C, tokens_C = np.zeros((2, num_cells), np.int64)
        state = self._files.state
        documents_C[: len(state.documents_C)] = state.documents_C
        tokens_C[: len(state.tokens_C)] = state.tokens_C
        return documents_C, tokens_C

    def sort(self, *, memory: str, consumed: Path | None = None) -> DocumentIndex:
        """The index in the order of use: by cell, key and id; made once.

        Args:
            memory: what the sort keeps to, as a recipe says it ("4GB"); it spills into the folder.
            consumed: a Parquet table (id, tokens) of what was used of documents before.

        Raises:
            TongwenError: `consumed` cannot be used.
        """
        count = self._files.state.documents
        self._index = sort_entries(self._files.entries, count, consumed, memory, self._workers)
        return self._index

    def reorder(
        self,
        limit_C: NDArray[np.uint64],
        curriculum: Curriculum,
        table: Path | None,
        *,
        memory: str,
    ) -> DocumentIndex:
        """The documents with a key up to their cell's limit, in a curriculum's order.

        What was consumed before stands there as `sort` was told last.

        Raises:
            TongwenError: the table cannot be read, lacks `id` or the column, or has an id twice.
        """
        index = self._index or self.sort(memory=memory)
        return reorder_index(index, limit_C, curriculum, table, memory, self._workers)

    @property
    def tokens(self) -> NDArray[np.integer]:
        """All tokens, uint16 or int32; a mapped array, see `release`."""
        if self._tokens is None:
            self._tokens = MappedArray(self._files.tokens, self._files.dtype)
        return self._tokens.values

    def read_origins(self, rows: NDArray[np.void]) -> pa.StringArray:
        """Origins of some rows of the index."""
        if self._origins is None:
            self._origins = MappedArray(self._files.origins, np.dtype(np.uint8))
        return make_strings(
            *gather_strings(self._origins.values, rows["origin_start"], rows["origin_length"])
        )

    def release(self) -> None:
        """Give the memory of tokens and origins that were read back to the system."""
        for mapped in (self._tokens, self._origins):
            if mapped is not None:
                mapped.release()

    def remove(self) -> None:
        """Delete everything."""
        self._unmap()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unmap(self) -> None:
        self._tokens = self._origins = None
        self._index = None

    def _append(
        self,
        done: Round,
        batches: Callable[[], Iterable[pa.RecordBatch]],
        choose: Choose,
        encoder: Encoder,
    ) -> Iterator[int]:
        """Append batch by batch; yields the rows of each, those done before too."""
        source = iter(batches())
        for batch in islice(source, done.batches):
            yield batch.num_rows
        size, due = 0, time.monotonic() + _COMMIT_SECONDS
        for encoded in work_ahead(
            source, lambda batch: self._encode(batch, choose(batch), encoder), self._workers
        ):
            if len(encoded.rows):
                self._files.append(encoded.tokens, encoded.rows, encoded.origins)
            done.batches += 1
            size += encoded.num_bytes
            if size >= _COMMIT_BYTES or time.monotonic() >= due:
                self._files.commit()
                size, due = 0, time.monotonic() + _COMMIT_SECONDS
            yield encoded.num_rows

    def _encode(self, batch: pa.RecordBatch, picked: Picked, encoder: Encoder) -> _Encoded:
        columns = _take(batch, picked)
        if not len(picked.row_D):
            nothing = np.empty(0, self._files.dtype), np.empty(0, INDEX), np.empty(0, np.uint8)
            return _Encoded(batch.num_rows, 0, *nothing)
        tokens, length_D, prompt_D = encode_documents(
            columns["prompt"], columns["text"], encoder, self._files.dtype, self._num_pieces
        )
        rows = np.zeros(len(length_D), INDEX)
        rows["cell"], rows["key"] = picked.cell_D, picked.key_D
        rows["length"], rows["prompt"] = length_D, prompt_D
        rows["high"], rows["low"] = parse_ids(columns["id"])
        origins, offset_D = split_strings(columns["origin"])
        rows["origin_length"] = np.diff(offset_D)
        origins = origins[offset_D[0] : offset_D[-1]]
        return _Encoded(batch.num_rows, columns["text"].nbytes, tokens, rows, origins)


def _take(batch: pa.RecordBatch, picked: Picked) -> dict[str, Any]:
    """The columns that are stored, of the rows picked."""
    row_D = picked.row_D
    if not len(row_D) == len(picked.cell_D) == len(picked.key_D):
        raise ValueError("a choice needs a cell and a key for each row")
    steps_up = len(row_D) < 2 or (np.diff(row_D) > 0).all()
    if len(row_D) and (not steps_up or row_D[0] < 0 or row_D[-1] >= batch.num_rows):
        raise ValueError("a choice needs rising rows of its batch")
    names = ("id", "origin", "text", "prompt")
    if len(row_D) == batch.num_rows:
        return {name: batch.column(name) for name in names}
    taken = batch.select(list(names)).take(pa.array(row_D))
    return {name: taken.column(name) for name in names}
