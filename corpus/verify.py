"""Exact comparison of candidate pairs, and which document of a group stays.

The sets of shingle hashes (64 bits) of all candidate documents go to a file that is mapped, not
held.  A question-answer document is compared twice, prompt with prompt and text with text, and the
lower similarity counts: ten questions about one passage are not duplicates of each other, nor are
two questions with the answer "yes".

A document is removed for the earliest kept document it resembles.  So every removed document has a
kept one that is really similar, and a chain (a like b, b like c, a unlike c) keeps both its ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import kernels
from corpus.lsh import pack_pairs, unpack_pairs
from corpus.signatures import character_table, key_array, string_buffers
from corpus.sources import Source
from tongwen.progress import progress

Pairs = NDArray[np.int64]


class ShingleSets:
    """Sets of shingle hashes of documents 0, 1, 2, ..., in a file."""

    def __init__(self, path: Path, ngram: int) -> None:
        self.path, self.ngram = path, ngram
        self._ends: list[NDArray[np.int64]] = []
        self._used = 0
        path.write_bytes(b"")

    def add(self, column: pa.Array) -> None:
        """Append the sets of a column of texts."""
        data, offsets = string_buffers(column)
        ends = np.empty(len(column), np.int64)
        values = np.empty((offsets[-1] - offsets[0]) // 2 + 2 * len(column), np.uint64)
        table, keys = character_table(), key_array(self.ngram)
        used = kernels.collect_sets(data, offsets, table, keys, values, ends)
        with self.path.open("ab") as file:
            file.write(values[:used].tobytes())
        self._ends.append(ends + self._used)
        self._used += used

    def compare(self, pairs: Pairs) -> NDArray[np.float64]:
        """Jaccard similarity of each pair of documents; -1 where both sets are empty."""
        out = np.empty(len(pairs), np.float64)
        ends = np.concatenate(self._ends) if self._ends else np.empty(0, np.int64)
        kernels.compare_sets(self._map(), ends, np.ascontiguousarray(pairs), out)
        return out

    def _map(self) -> NDArray[np.uint64]:
        if not self._used:
            return np.empty(0, np.uint64)
        return np.asarray(np.memmap(self.path, np.uint64, "r+"))


@dataclass(frozen=True)
class Comparison:
    """Texts and prompts of the candidate documents, as sets."""

    texts: ShingleSets
    prompts: ShingleSets

    def measure(self, pairs: Pairs) -> NDArray[np.float64]:
        """Similarity of each pair: the lower one of texts and prompts."""
        texts, prompts = self.texts.compare(pairs), self.prompts.compare(pairs)
        prompts[prompts < 0] = 1.0
        return np.minimum(texts, prompts)


def collect_candidates(
    source: Source, rows: NDArray[np.int64], ngram: int, folder: Path
) -> Comparison:
    """Read the documents of some rows (rising) and keep their sets of shingles in `folder`."""
    sets = Comparison(
        ShingleSets(folder / "texts.sets", ngram), ShingleSets(folder / "prompts.sets", ngram)
    )
    with progress("comparing candidates", total=len(rows), unit="documents") as advance:
        for chunk in source.read(("text", "prompt"), rows):
            start, stop = np.searchsorted(rows, (chunk.first, chunk.first + len(chunk.batch)))
            batch = pc.take(chunk.batch, pa.array(rows[start:stop] - chunk.first))
            sets.texts.add(batch.column("text"))
            sets.prompts.add(batch.column("prompt"))
            advance(int(stop - start))
    return sets


@dataclass(frozen=True)
class Removals:
    """What the comparison decided.

    Attributes:
        removed: documents that go, rising.
        keepers: for each the document that stays, and `similarity` to it.
        num_compared, num_similar: pairs compared, and those at the threshold or above.
    """

    removed: NDArray[np.int64]
    keepers: NDArray[np.int64]
    similarity: NDArray[np.float64]
    num_compared: int
    num_similar: int


def decide(sets: Comparison, num_documents: int, pairs: Pairs, threshold: float) -> Removals:
    """Compare pairs and choose who stays.

    Where a document resembles only removed ones, it is compared with their keepers too, again and
    again until nothing is new: candidates of one group need not all be pairs.

    Args:
        pairs: of document numbers (earlier, later).
        threshold: similarity from which two are near duplicates.
    """
    seen = fresh = np.unique(pack_pairs(pairs))
    similar, values = np.empty((0, 2), np.int64), np.empty(0)
    while True:
        compared = unpack_pairs(fresh)
        measured = sets.measure(compared)
        close = measured >= threshold
        similar = np.concatenate([similar, compared[close]])
        values = np.concatenate([values, measured[close]])
        order = np.lexsort((similar[:, 0], similar[:, 1]))
        similar, values = similar[order], values[order]
        keepers, via = _choose_keepers(similar, num_documents)
        fresh = np.setdiff1d(_find_indirect(similar, keepers), seen, assume_unique=True)
        if not len(fresh):
            break
        seen = np.union1d(seen, fresh)
    removed = np.flatnonzero(keepers >= 0)
    return Removals(removed, keepers[removed], values[via[removed]], len(seen), len(similar))


def _choose_keepers(similar: Pairs, num_documents: int) -> tuple[Pairs, NDArray[np.int64]]:
    keepers, via = np.full(num_documents, -1, np.int64), np.full(num_documents, -1, np.int64)
    kernels.choose_keepers(similar, keepers, via)
    return keepers, via


def _find_indirect(similar: Pairs, keepers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Packed pairs of a kept document and the keeper of a removed one that it resembles."""
    both = np.concatenate([similar, similar[:, ::-1]])
    through = both[(keepers[both[:, 0]] < 0) & (keepers[both[:, 1]] >= 0)]
    pairs = np.sort(np.stack([through[:, 0], keepers[through[:, 1]]], axis=1), axis=1)
    return np.unique(pack_pairs(pairs[pairs[:, 0] != pairs[:, 1]]))
