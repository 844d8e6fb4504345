"""Raw files to the documents table: Parquet shards of about 32 MB of text, and the rejects.

Rows come in the order of the inputs, files and lines, so `origin` grows with the row.  Row groups
hold about 2 MB of text: small enough to fetch single documents later, large enough to compress.
Memory is one row group, whatever the input's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.files import InputFile
from corpus.readers import Advance, read_file, refuse_unreadable
from corpus.records import Document, Reject, Rules, UnusableError

DOCUMENTS = pa.schema([(name, pa.string()) for name in Document._fields])
REJECTS = pa.schema(
    [(name, pa.int64() if name == "line" else pa.string()) for name in Reject._fields]
)
SHARD_BYTES, GROUP_BYTES = 32_000_000, 2_000_000
_REPEATED = ["category", "language", "source", "file", "reason"]
_REJECT_ROWS = 1000
_OTHER_BYTES = 50
"""Bounds the rows of a group where the texts are tiny."""


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet writer whose bytes depend on the rows only."""
    repeated = [name for name in schema.names if name in _REPEATED]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=repeated,  # pyright: ignore[reportArgumentType]
        write_statistics=repeated,  # pyright: ignore[reportArgumentType]
        store_schema=True,
        version="2.6",
    )


class ShardWriter:
    """Writes documents to `part-00000.parquet`, ...; at least one shard, be it empty."""

    def __init__(
        self, folder: Path, shard_bytes: int = SHARD_BYTES, group_bytes: int = GROUP_BYTES
    ) -> None:
        self.folder, self.shard_bytes, self.group_bytes = folder, shard_bytes, group_bytes
        self.num_shards = self.num_rows = 0
        self._rows: list[Document] = []
        self._group = self._shard = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, document: Document) -> None:
        """Add a row; a character counts as one byte or three, the other columns as a flat rate."""
        size = _OTHER_BYTES + _estimate_bytes(document.text) + _estimate_bytes(document.prompt)
        self._rows.append(document)
        self.num_rows += 1
        self._group += size
        self._shard += size
        if self._group >= self.group_bytes or self._shard >= self.shard_bytes:
            self._flush()
        if self._shard >= self.shard_bytes:
            self._close_shard()

    def _flush(self) -> None:
        if self._writer is None:
            name = f"part-{self.num_shards:05}.parquet"
            self._writer = open_writer(self.folder / name, DOCUMENTS)
            self.num_shards += 1
        if self._rows:
            self._writer.write_batch(to_batch(self._rows, DOCUMENTS))
        self._rows, self._group = [], 0

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
        if error is None and (self._rows or not self.num_shards):
            self._flush()
        self._close_shard()


def _estimate_bytes(text: str) -> int:
    return len(text) if text.isascii() else 3 * len(text)


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


def read_documents(
    files: Iterable[InputFile],
    documents: ShardWriter,
    rejects: RejectWriter,
    max_characters: int,
    advance: Advance = lambda _: None,
) -> None:
    """Read files, in order, into the two tables.

    Raises:
        TongwenError: a file cannot be opened.
    """
    for file in files:
        refuse_unreadable(file.path)
        rules = _make_rules(file, max_characters)
        for line, fields in read_file(file, max_characters, advance):
            try:
                if isinstance(fields, UnusableError):
                    raise fields
                documents.write(rules.make_document(fields, line))
            except UnusableError as error:
                rejects.write(error.to_reject(file.origin, line))


def _make_rules(file: InputFile, max_characters: int) -> Rules:
    source = file.source
    return Rules(
        columns=source.columns,
        origin=file.origin,
        category=source.category or file.stem,
        language=source.language or "",
        source=source.source or file.stem,
        max_characters=max_characters,
    )
