"""Boilerplate: paragraphs that more than so many documents have, and where they stand.

    count     part -> for each different paragraph (`corpus.dedup.lines`) its documents in the part
    frequent  a range of keys of all parts -> the keys with too many documents
    cut       part -> the places of frequent paragraphs, and one text of each

A document is in one part alone, so the counts of the parts add up, and a paragraph that all
documents have is one entry of a part, not one of a document.  The entries of a part are sorted by
key: how many ranges there are is chosen when the number of all entries is known.

Only documents that are kept count, so copies cannot make a paragraph frequent; a paragraph counts
once in a document.  The price: the texts are read and cut into tokens twice more; on the disk 32
bytes for each different paragraph of a part; in memory a part or a range for each worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.dedup.counts import (
    DOCUMENTS,
    ENTRY_BYTES,
    FIRST,
    TAG,
    WIDTH,
    Entries,
    find_keys,
    read_range,
    tally,
)
from corpus.dedup.cuts import CUTS_SCHEMA, PARAGRAPHS_SCHEMA, write_tables
from corpus.dedup.findings import CUT_COUNTS, to_hex
from corpus.dedup.lines import Cuts, Lines, split_lines
from corpus.dedup.partitions import Cut, choose_cut, write_arrays, write_whole
from corpus.dedup.scratch import open_scratch
from corpus.dedup.sketches import map_array, parse_ids
from corpus.dedup.tasks import run_tasks
from corpus.documents import open_writer
from corpus.engine import Engine
from corpus.sources import Part, Source
from tongwen.progress import progress
from tongwen.recipe import Duplicates

Rows = NDArray[np.int64]


_EXCERPT = 600
"""Characters of a paragraph in the table."""


@dataclass(frozen=True)
class Boilerplate:
    """What was cut.

    Attributes:
        rows: the documents of which nothing would be left, rising.
        counts: by `CUT_COUNTS`: different paragraphs that are frequent; their places in documents
            that stay; those documents; the characters that go from them.
    """

    rows: Rows
    counts: dict[str, int]


@dataclass(frozen=True)
class _Desk:
    """Where the tasks find their input and leave their output.

    Attributes:
        most: documents that a paragraph may be in.
        shortest: characters of a paragraph that counts.
    """

    source: Source
    folder: Path
    most: int
    shortest: int

    def path(self, kind: str, number: int) -> Path:
        return self.folder / f"{kind}-{number:06}"

    @property
    def kept(self) -> Path:
        """A byte for each row: whether it counts."""
        return self.folder / "kept"

    @property
    def frequent(self) -> Path:
        """The entries of frequent paragraphs, sorted by key."""
        return self.folder / "frequent"

    def find_rows(self, part: Part) -> Rows:
        """The rows of a part that count."""
        kept = map_array(self.kept, np.bool_)[part.first : part.first + part.num_rows]
        return part.first + np.flatnonzero(kept).astype(np.int64)

    def read(self, columns: Sequence[str], part: Part) -> Iterator[tuple[pa.RecordBatch, Rows]]:
        """The documents of a part that count, and their rows."""
        rows = self.find_rows(part)
        for chunk in self.source.take(columns, rows, part):
            yield chunk.batch, rows[chunk.first : chunk.first + len(chunk.batch)]


def cut_paragraphs(
    source: Source,
    kept: NDArray[np.bool_],
    settings: Duplicates,
    engine: Engine,
    memory: int,
    out: Path,
) -> Boilerplate:
    """Write paragraphs.parquet and cuts.parquet.

    Args:
        source: the documents.
        kept: for each whether it counts; the ids of those that do are all different.
        settings: `paragraphs` and `min_paragraph_characters` are read.
        memory: bytes that all workers together use for their ranges, approximately.
        out: a folder; one that a killed call has left is gone on with.
    """
    if not settings.paragraphs:
        write_tables([], [], out, memory, engine.workers)
        return Boilerplate(np.empty(0, np.int64), dict.fromkeys(CUT_COUNTS, 0))
    with _open_desk(source, kept, settings, out) as desk:
        parts, total = source.cut(), int(kept.sum())
        run_tasks("counting paragraphs", engine, partial(_count_part, desk), parts, total)
        counts = [desk.path("counts", part.number) for part in parts]
        num_frequent = _join_frequent(desk, counts, engine, memory // engine.workers)
        parts = parts if num_frequent else []
        run_tasks("cutting paragraphs", engine, partial(_cut_part, desk), parts, total)
        cuts, texts, done = (
            [desk.path(kind, part.number) for part in parts] for kind in ("cuts", "texts", "done")
        )
        write_tables(cuts, texts, out, memory, engine.workers)
        found = [np.fromfile(path, np.int64) for path in done]
    sums = np.sum([np.zeros(3, np.int64), *(each[:3] for each in found)], axis=0).tolist()
    rows = np.concatenate([np.empty(0, np.int64), *(each[3:] for each in found)])
    return Boilerplate(rows, dict(zip(CUT_COUNTS, (num_frequent, *sums), strict=True)))


@contextmanager
def _open_desk(
    source: Source, kept: NDArray[np.bool_], settings: Duplicates, out: Path
) -> Iterator[_Desk]:
    """A folder for the tasks; it goes at the end and stays where the call is killed."""
    most, shortest = settings.paragraphs, settings.min_paragraph_characters
    mark = f"{source.identity} {most} {shortest} ".encode() + kept.tobytes()
    with open_scratch("paragraphs", mark if source.identity else b"", out) as folder:
        desk = _Desk(source, folder, most, shortest)
        write_arrays(desk.kept, (kept,))
        yield desk


def _count_part(desk: _Desk, part: Part) -> int:
    """Write the entries of a part, sorted by key; returns its documents."""
    target = desk.path("counts", part.number)
    if not target.exists():
        found, owners = [np.empty((0, WIDTH), np.uint64)], [np.empty(0, np.int64)]
        for batch, rows in desk.read(("id", "text"), part):
            entries, texts = _list_entries(batch, desk.shortest)
            found.append(entries)
            owners.append(rows[texts])
        counted = tally(np.concatenate(found), np.concatenate(owners))
        ordered = counted[np.argsort(counted[:, FIRST], kind="stable")]
        write_arrays(target, (ordered,))
    return len(desk.find_rows(part))


def _list_entries(batch: pa.RecordBatch, shortest: int) -> tuple[Entries, Rows]:
    """An entry for every paragraph that counts, and the place of its document in the batch."""
    lines = split_lines(batch.column("text"))
    chosen = np.flatnonzero(lines.choose(shortest))
    texts = lines.find_texts(chosen)
    tags = parse_ids(batch.column("id"))[:, 0]
    return np.column_stack(
        [lines.keys[chosen], np.ones(len(chosen), np.uint64), tags[texts]]
    ), texts


def _join_frequent(desk: _Desk, counts: Sequence[Path], engine: Engine, memory: int) -> int:
    """Write the entries of all frequent paragraphs; returns how many there are."""
    num_entries = sum(path.stat().st_size for path in counts) // ENTRY_BYTES
    cut = choose_cut(num_entries, memory)
    task = partial(_find_frequent, desk, counts, cut)
    numbers = range(cut.num_parts)
    found: list[Path] = []
    with progress("counting paragraphs", total=len(numbers), unit="ranges") as advance:
        for path in engine.map(task, numbers):
            found.append(path)
            advance(1)

    def join(target: Path) -> None:
        with target.open("wb") as file:
            for path in found:
                file.write(path.read_bytes())

    return write_whole(desk.frequent, join).stat().st_size // ENTRY_BYTES


def _find_frequent(desk: _Desk, counts: Sequence[Path], cut: Cut, number: int) -> Path:
    """Write the frequent entries of one range of keys, sorted by key."""
    # Another cut has other ranges.
    target = desk.path(f"frequent-{cut.bits}", number)
    if not target.exists():
        found = [
            np.empty((0, WIDTH), np.uint64),
            *(read_range(path, cut, number) for path in counts),
        ]
        entries = np.concatenate(found)
        counted = tally(entries, np.arange(len(entries)))
        frequent = counted[counted[:, DOCUMENTS] > desk.most]
        ordered = frequent[np.lexsort((frequent[:, FIRST + 1], frequent[:, FIRST]))]
        write_arrays(target, (ordered,))
    return target


def _cut_part(desk: _Desk, part: Part) -> int:
    """Write the cuts of a part, the texts of paragraphs, then the sums; returns its documents."""
    target = desk.path("done", part.number)
    if not target.exists():
        frequent = map_array(desk.frequent, np.uint64).reshape(-1, WIDTH)
        sums, whole = np.zeros(3, np.int64), [np.empty(0, np.int64)]
        with (
            open_writer(desk.path("cuts", part.number), CUTS_SCHEMA) as to_cuts,
            open_writer(desk.path("texts", part.number), PARAGRAPHS_SCHEMA) as to_texts,
        ):
            for batch, rows in desk.read(("id", "origin", "text"), part):
                lines = split_lines(batch.column("text"))
                places = find_keys(frequent, lines.keys, lines.choose(desk.shortest))
                cuts = lines.cut(places >= 0)
                sums += (len(cuts.lines), len(np.unique(cuts.texts)), cuts.characters)
                whole.append(rows[cuts.whole])
                _write_cuts(to_cuts, batch, lines, cuts)
                tags = parse_ids(batch.column("id"))[:, 0]
                _write_texts(to_texts, frequent, lines, places, tags)
        write_arrays(target, (sums, *whole))
    return len(desk.find_rows(part))


def _write_cuts(writer: pq.ParquetWriter, batch: pa.RecordBatch, lines: Lines, cuts: Cuts) -> None:
    if not len(cuts.lines):
        return
    of = pa.array(cuts.texts)
    columns = [*(batch.column(name).take(of) for name in ("id", "origin")), cuts.starts, cuts.stops]
    keys = pa.array(to_hex(lines.keys[cuts.lines]))
    writer.write_batch(pa.record_batch([*map(pa.array, columns), keys], schema=CUTS_SCHEMA))


def _write_texts(
    writer: pq.ParquetWriter,
    frequent: Entries,
    lines: Lines,
    places: Rows,
    tags: NDArray[np.uint64],
) -> None:
    """Of the paragraphs whose document of the smallest id is here, how they stand there first."""
    found = np.flatnonzero(places >= 0)
    found = found[frequent[places[found], TAG] == tags[lines.find_texts(found)]]
    if not len(found):
        return
    places, first = np.unique(places[found], return_index=True)
    texts = [lines.read(line) for line in found[first].tolist()]
    columns = [
        to_hex(frequent[places, :2]),
        frequent[places, DOCUMENTS].astype(np.int64),
        [len(text) for text in texts],
        [text[:_EXCERPT] for text in texts],
    ]
    writer.write_batch(pa.record_batch([pa.array(each) for each in columns], PARAGRAPHS_SCHEMA))
