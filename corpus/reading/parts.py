"""Raw files to the documents table, in parts that do not know of each other.

A part is a run of consecutive files, about 64 MB of them (a larger file is a part alone).  It is
read into shards and rejects of its own, in a folder that appears when it is complete, so any worker
can read it, twice if need be.  At the end the shards are numbered through and the rejects joined.
Blocks of a part are parsed by the threads of the local engine and written in order.  Memory is a
few blocks for each worker, whatever the input's size; the bytes depend on the files alone.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from corpus.documents import COMPRESSION, REJECTS, RejectWriter, ShardWriter, open_writer
from corpus.engine import Engine, LocalEngine
from corpus.reading.blocks import Block, cut_blocks
from corpus.reading.files import InputFile
from corpus.reading.parsing import Categorizer, Parsed, Parser, Rows
from corpus.reading.paths import measure, refuse_changes
from corpus.reading.readers import (
    Advance,
    Numbered,
    find_array,
    longest_line,
    read_array,
    read_file,
    refuse_unreadable,
)
from corpus.reading.records import Reject
from corpus.reading.streams import read_blocks

PART_BYTES = 64_000_000
_ROWS, _ROWS_CHARACTERS = 1000, 1_000_000
_REJECTS = "rejects.parquet"


@dataclass(frozen=True)
class FilePart:
    """Files that are read by one task.

    Attributes:
        size: bytes of the files.
    """

    number: int
    files: tuple[InputFile, ...]
    size: int


@dataclass(frozen=True)
class Job:
    """What every part needs to know.

    Attributes:
        folder: for the parts' own folders.
        max_characters: of a document, text and prompt together.
        compression: of the shards.
    """

    folder: Path
    max_characters: int
    categorizer: Categorizer | None = None
    compression: str = COMPRESSION


@dataclass(frozen=True)
class Tally:
    """What was found: documents, shards, rejects by reason and the first reject."""

    documents: int = 0
    shards: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    first: Reject | None = None

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.documents + other.documents,
            self.shards + other.shards,
            self.rejected + other.rejected,
            self.first or other.first,
        )


def cut_parts(files: Iterable[InputFile], part_bytes: int = PART_BYTES) -> list[FilePart]:
    """Consecutive files, as many as reach `part_bytes`, at least one."""
    parts: list[FilePart] = []
    waiting: list[InputFile] = []
    size = 0
    for file in files:
        waiting.append(file)
        size += measure(file.path)
        if size >= part_bytes:
            parts.append(FilePart(len(parts), tuple(waiting), size))
            waiting, size = [], 0
    return [*parts, FilePart(len(parts), tuple(waiting), size)] if waiting else parts


def read_documents(
    files: Sequence[InputFile],
    out: Path,
    max_characters: int,
    engine: Engine,
    advance: Advance = lambda _: None,
    open_categorizer: Callable[[], Categorizer | None] = lambda: None,
    compression: str = COMPRESSION,
) -> Tally:
    """Read files, in order, into `part-00000.parquet`, ... and rejects.parquet.

    Args:
        advance: told how many bytes of the files were taken.
        compression: of the shards.

    Raises:
        TongwenError: a file cannot be opened, or changes while it is read.
    """
    for file in files:
        refuse_unreadable(file.path)
    parts, categorizer = cut_parts(files), open_categorizer()
    with tempfile.TemporaryDirectory(prefix=".parts-", dir=out) as folder:
        job = Job(Path(folder), max_characters, categorizer, compression)
        tallies = list(_read_parts(job, parts, engine, advance))
        _join_shards(job, tallies, out)
        _join_rejects(job, parts, out / _REJECTS)
    return sum(tallies, Tally())


def _read_parts(
    job: Job, parts: Sequence[FilePart], engine: Engine, advance: Advance
) -> Iterator[Tally]:
    if isinstance(engine, LocalEngine):
        yield from (read_part(job, part, engine, advance) for part in parts)
        return
    tallies = engine.map(partial(read_part, job), parts)
    for part, tally in zip(parts, tallies, strict=True):
        advance(part.size)
        yield tally


def read_part(
    job: Job, part: FilePart, engine: Engine | None = None, advance: Advance = lambda _: None
) -> Tally:
    """Read a part into its folder, which is whole or absent; again gives the same.

    Args:
        engine: its threads parse; one thread where there is none.
    """
    with tempfile.TemporaryDirectory(prefix=".reading-", dir=job.folder) as work:
        folder = Path(work) / "part"
        folder.mkdir()
        with (
            ShardWriter(folder, compression=job.compression) as documents,
            RejectWriter(folder / _REJECTS) as rejects,
        ):
            blocks = _read_blocks(job, part, advance)
            for parsed in (engine or LocalEngine()).map(_parse, blocks):
                documents.write_batch(parsed.documents)
                for reject in parsed.rejects:
                    rejects.write(reject)
        target = _folder_of(job, part.number)
        # Where a task that was thought dead came first, its files are the same.
        if not target.exists():
            folder.rename(target)
    shards = documents.num_shards if documents.num_rows else 0
    return Tally(documents.num_rows, shards, rejects.counts, rejects.first)


def _folder_of(job: Job, number: int) -> Path:
    return job.folder / f"{number:06}"


def _parse(item: tuple[Parser, Block | Rows]) -> Parsed:
    parser, block = item
    return parser.parse(block)


def _read_blocks(
    job: Job, part: FilePart, advance: Advance
) -> Iterator[tuple[Parser, Block | Rows]]:
    for file in part.files:
        parser = Parser(file, job.max_characters, job.categorizer)
        with refuse_changes(file.path):
            for block in read_file_blocks(file, job.max_characters, advance):
                yield parser, block


def read_file_blocks(
    file: InputFile, max_characters: int, advance: Advance = lambda _: None
) -> Iterator[Block | Rows]:
    """The blocks of a file of lines; of any other file its tables, some at a time."""
    if file.form not in ("json", "jsonl"):
        return _gather(read_file(file, max_characters, advance))
    pieces = read_blocks(file.path, file.compression, advance)
    is_array, pieces = find_array(pieces, file.form)
    most = longest_line(max_characters)
    return _gather(read_array(pieces, most)) if is_array else cut_blocks(pieces, most)


def _gather(tables: Numbered) -> Iterator[Rows]:
    waiting, characters = [], 0
    for line, fields in tables:
        waiting.append((line, fields))
        if isinstance(fields, dict):
            characters += sum(len(value) for value in fields.values() if isinstance(value, str))
        if len(waiting) >= _ROWS or characters >= _ROWS_CHARACTERS:
            yield Rows(waiting)
            waiting, characters = [], 0
    if waiting:
        yield Rows(waiting)


def _join_shards(job: Job, tallies: Sequence[Tally], out: Path) -> None:
    """Move the shards of all parts to their numbers in the whole."""
    number = 0
    for part, tally in enumerate(tallies):
        for shard in sorted(_folder_of(job, part).glob("part-*"))[: tally.shards]:
            shard.rename(out / f"part-{number:05}{shard.suffix}")
            number += 1


def _join_rejects(job: Job, parts: Sequence[FilePart], target: Path) -> None:
    with open_writer(target, REJECTS) as writer:
        for part in parts:
            with pq.ParquetFile(_folder_of(job, part.number) / _REJECTS) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group, use_threads=False))
