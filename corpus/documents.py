"""The documents table on the disk: Parquet shards of about 32 MB of text, and the rejects.

Rows come in the order of the inputs, files and lines, so `origin` grows with the row.  Row groups
hold about 2 MB of text: small enough to fetch single documents later, large enough to compress.
Where a group or shard ends follows from the sizes of the documents alone, so it does not matter in
what portions they are written.  Memory is one row group, whatever the input's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.reading.records import Document, Reject

DOCUMENTS = pa.schema([(name, pa.string()) for name in Document._fields])
REJECTS = pa.schema(
    [(name, pa.int64() if name == "line" else pa.string()) for name in Reject._fields]
)
SHARD_BYTES, GROUP_BYTES = 32_000_000, 2_000_000
COMPRESSION = "lz4"
"""Of shards.  Beside zstd (level 1): a quarter less time to write, half to read, 40 % more disk."""
_REPEATED = ["category", "language", "source", "file", "reason"]
_REJECT_ROWS = 1000
_OTHER_BYTES = 50
"""Bounds the rows of a group where the texts are tiny."""


ARROW = "arrow"
"""A compression that is none: shards in Arrow's own file format, for a copy that goes at the end.
As large as the text, half the time of uncompressed Parquet to write, a quarter to read."""


def open_writer(path: Path, schema: pa.Schema, compression: str = "zstd") -> pq.ParquetWriter:
    """A Parquet writer whose bytes depend on the rows of each group only."""
    repeated = [name for name in schema.names if name in _REPEATED]
    return pq.ParquetWriter(
        path,
        schema,
        compression=compression,
        compression_level=1 if compression == "zstd" else None,
        use_dictionary=repeated,  # pyright: ignore[reportArgumentType]
        write_statistics=repeated,  # pyright: ignore[reportArgumentType]
        store_schema=True,
        version="2.6",
    )


class ShardWriter:
    """Writes documents to `part-00000.parquet`, ...; at least one shard, be it empty."""

    def __init__(
        self,
        folder: Path,
        shard_bytes: int = SHARD_BYTES,
        group_bytes: int = GROUP_BYTES,
        *,
        compression: str = COMPRESSION,
    ) -> None:
        self.folder, self.shard_bytes, self.group_bytes = folder, shard_bytes, group_bytes
        self.compression = compression
        self.num_shards = self.num_rows = 0
        self._waiting: list[pa.RecordBatch] = []
        self._group = self._shard = 0
        self._writer: pq.ParquetWriter | pa.RecordBatchFileWriter | None = None

    def write(self, document: Document) -> None:
        """Add a row."""
        self.write_batch(to_batch([document], DOCUMENTS))

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows in the columns of `DOCUMENTS`.

        A row counts as the bytes of text and prompt and a flat rate for the other columns.
        """
        ends = np.cumsum(_OTHER_BYTES + _measure(batch["text"]) + _measure(batch["prompt"]))
        self.num_rows += batch.num_rows
        start = before = 0
        while start < batch.num_rows:
            room = min(self.group_bytes - self._group, self.shard_bytes - self._shard)
            stop = min(int(np.searchsorted(ends, before + room)) + 1, batch.num_rows)
            size = int(ends[stop - 1]) - before
            self._add(batch.slice(start, stop - start), size)
            start, before = stop, before + size

    def _add(self, rows: pa.RecordBatch, size: int) -> None:
        self._waiting.append(rows)
        self._group += size
        self._shard += size
        if self._group >= self.group_bytes or self._shard >= self.shard_bytes:
            self._flush()
        if self._shard >= self.shard_bytes:
            self._close_shard()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = self._open(f"part-{self.num_shards:05}")
            self.num_shards += 1
        if self._waiting:
            # One chunk, because pages end where chunks do.
            self._writer.write_batch(pa.concat_batches(self._waiting))
        self._waiting, self._group = [], 0

    def _open(self, name: str) -> pq.ParquetWriter | pa.RecordBatchFileWriter:
        if self.compression == ARROW:
            return pa.ipc.new_file(self.folder / f"{name}.arrow", DOCUMENTS)
        return open_writer(self.folder / f"{name}.parquet", DOCUMENTS, self.compression)

    def _close_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._shard = None, 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and (self._waiting or not self.num_shards):
            self._flush()
        self._close_shard()


def _measure(strings: pa.Array) -> NDArray[np.int64]:
    lengths = pc.call_function("binary_length", [strings])
    return lengths.to_numpy(zero_copy_only=False).astype(np.int64)


def to_batch(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as a record batch of the schema."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    typed = zip(columns, schema.types, strict=True)
    arrays = [pa.array(list(values), kind) for values, kind in typed]
    return pa.record_batch(arrays, schema=schema)


class RejectWriter:
    """Writes rejects in groups of a thousand, and counts them by reason."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.first: Reject | None = None
        self._rows: list[Reject] = []
        self._writer = open_writer(path, REJECTS)

    def write(self, reject: Reject) -> None:
        """Add a row."""
        self.counts[reject.reason] += 1
        self.first = self.first or reject
        self._rows.append(reject)
        if len(self._rows) >= _REJECT_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_batch(to_batch(self._rows, REJECTS))
        self._rows = []

    def __enter__(self) -> RejectWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()
