"""Exact and near duplicates of a corpus: MinHash LSH, then exact Jaccard similarity.

    ids      -> exact copies: the first row stays                          16 bytes a document
    sketch   -> a signature of each first copy, hashed to band keys on disk, signatures dropped
    pairs    -> candidates of one band after the other                     24 bytes a document
    compare  -> candidate documents only: exact similarity, who stays

The order of rows decides who stays (the earliest), so the result depends on neither shard sizes nor
the number of workers.  Similarity is measured on shingles (see `corpus.shingles`); a prompt and a
text must both be similar.  203 MB of text take some 2.5 seconds of one core, half of them starting.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import kernels
from corpus.lsh import BandFiles, choose_bands, find_pairs
from corpus.signatures import sketch_column
from corpus.sources import Chunk, Source, join_columns, open_folder, open_table
from corpus.verify import Removals, collect_candidates, decide
from tongwen.progress import progress
from tongwen.recipe import Duplicates

DUPLICATES = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),
        ("keeper", pa.string()),
        ("jaccard", pa.float64()),
        ("kind", pa.string()),
    ]
)
SEED = 1
"""Of the permutations; datasketch's default."""

_EMPTY = np.uint32(0xFFFFFFFF)
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Findings:
    """The rows that go.

    Attributes:
        rows: their row numbers, rising; `keepers` are rows too.
        parameters: what the search used and how much it compared.
    """

    source: Source
    ids: NDArray[np.uint64]
    rows: NDArray[np.int64]
    keepers: NDArray[np.int64]
    jaccard: NDArray[np.float64]
    exact: NDArray[np.bool_]
    parameters: dict[str, int | float]

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """The duplicates table (`DUPLICATES`) in the order of the documents."""
        for chunk in self.source.read(("id", "origin"), self.rows):
            ends = (chunk.first, chunk.first + len(chunk.batch))
            part = slice(*np.searchsorted(self.rows, ends).tolist())
            batch = pc.take(chunk.batch, pa.array(self.rows[part] - chunk.first))
            keepers = [_to_hex(self.ids[row]) for row in self.keepers[part].tolist()]
            kinds = np.where(self.exact[part], "exact", "near").tolist()
            found = [pa.array(column) for column in (keepers, self.jaccard[part], kinds)]
            yield pa.record_batch([*batch.columns, *found], schema=DUPLICATES)

    def to_table(self) -> pa.Table:
        """All of it in memory."""
        return pa.Table.from_batches(self.to_batches(), DUPLICATES)


def find_duplicates(
    documents: Path | pa.Table,
    settings: Duplicates | None = None,
    *,
    workers: int = 1,
    scratch: Path | None = None,
) -> Findings:
    """Find the documents that another, earlier one makes superfluous.

    Args:
        documents: a folder of document shards, or a table with `text` (and `prompt`, `origin`).
        settings: threshold, num_perm and ngram; those of an empty recipe by default.
        workers: threads.
        scratch: an existing folder for temporary files.

    Raises:
        TongwenError: there are no documents, or the table has no `text`.
    """
    settings = settings or Duplicates()
    source = open_folder(documents) if isinstance(documents, Path) else open_table(documents)
    ids = read_ids(source)
    first = find_first_rows(ids)
    with tempfile.TemporaryDirectory(prefix=".duplicates-", dir=scratch) as folder:
        removals, rows, parameters = _find_near(source, first, settings, workers, Path(folder))
    return _join(source, ids, first, rows, removals, parameters)


def read_ids(source: Source) -> NDArray[np.uint64]:
    """The ids of all documents, shape (documents, 2)."""
    parts = [np.empty((0, 2), np.uint64)]
    for chunk in source.read(("id",)):
        digits = "".join(chunk.batch.column("id").to_pylist())
        words = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
        parts.append(words.reshape(-1, 2))
    return np.concatenate(parts)


def find_first_rows(ids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each document the row of the first one with its id."""
    first = np.arange(len(ids))
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    ordered = ids[order]
    starts = np.ones(len(ids), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    groups = np.maximum.accumulate(np.where(starts, first, 0))
    first[order] = order[groups]
    return first


def _find_near(
    source: Source, first: NDArray[np.int64], settings: Duplicates, workers: int, folder: Path
) -> tuple[Removals, NDArray[np.int64], dict[str, int | float]]:
    bands, rows = choose_bands(settings.num_perm, settings.threshold)
    unique = first == np.arange(len(first))
    with BandFiles(folder, bands) as files:
        members = _sketch(source, unique, settings, rows, files, workers)
    pairs = find_pairs(files, members)
    candidates = np.unique(pairs)
    sets = collect_candidates(source, candidates, settings.ngram, folder)
    numbers = np.searchsorted(candidates, pairs).reshape(-1, 2)
    removals = decide(sets, len(candidates), numbers, settings.threshold)
    parameters: dict[str, int | float] = {
        **settings.model_dump(),
        "seed": SEED,
        "bands": bands,
        "rows": rows,
        "candidate_pairs": removals.num_compared,
        "verified_pairs": removals.num_similar,
    }
    return removals, candidates, parameters


def _sketch(
    source: Source,
    unique: NDArray[np.bool_],
    settings: Duplicates,
    rows: int,
    files: BandFiles,
    workers: int,
) -> NDArray[np.int64]:
    """Write the band keys of every first copy with a token; returns their rows."""

    def sketch(chunk: Chunk) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        members = np.flatnonzero(unique[chunk.first : chunk.first + len(chunk.batch)])
        batch = pc.take(chunk.batch, pa.array(members))
        both = join_columns(batch.column("prompt"), batch.column("text"), "\n")
        signatures = sketch_column(both, settings.num_perm, settings.ngram, SEED)
        filled = (signatures[:, :4] != _EMPTY).any(axis=1)
        keys = np.empty((len(files.paths), int(filled.sum())), np.uint64)
        kernels.make_band_keys(signatures[filled], rows, keys)
        return members[filled] + chunk.first, keys

    chunks = source.read(("prompt", "text"))
    found = [np.empty(0, np.int64)]
    with progress("sketching", total=source.num_rows, unit="documents") as advance:
        for members, keys in map_ordered(sketch, chunks, workers):
            found.append(members)
            files.add(keys)
            advance(len(members))
    return np.concatenate(found)


def map_ordered(
    function: Callable[[Item], Made], items: Iterable[Item], workers: int
) -> Iterator[Made]:
    """`map` on threads, in order, holding at most two items for each thread."""
    if workers == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _join(
    source: Source,
    ids: NDArray[np.uint64],
    first: NDArray[np.int64],
    candidates: NDArray[np.int64],
    removals: Removals,
    parameters: dict[str, int | float],
) -> Findings:
    """Exact and near duplicates together, by row."""
    copies = np.flatnonzero(first != np.arange(len(first)))
    rows = np.concatenate([copies, candidates[removals.removed]])
    keepers = np.concatenate([first[copies], candidates[removals.keepers]])
    jaccard = np.concatenate([np.ones(len(copies)), removals.similarity])
    order = np.argsort(rows)
    exact = order < len(copies)
    return Findings(source, ids, rows[order], keepers[order], jaccard[order], exact, parameters)


def _to_hex(words: NDArray[np.uint64]) -> str:
    return words.astype(">u8").tobytes().hex()
