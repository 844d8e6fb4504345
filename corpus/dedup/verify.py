"""Exact Jaccard similarity of candidate pairs, from sets of shingle hashes in files.

Only the row groups that hold a candidate are read again.  A document's set is its 64-bit shingle
hashes, sorted; a pair is one walk along two sets.  At 64 bits two shingles of a million-shingle
pair are mistaken for each other once in ten million pairs: exact for every purpose here.

A question-answer document is compared twice, prompt with prompt and text with text, and the lower
similarity counts: ten questions about one passage are not duplicates of each other, nor are two
questions with the answer "yes".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from corpus.dedup.partitions import append_array
from corpus.dedup.sketches import Workshop
from corpus.engine import LocalEngine
from corpus.hashing import kernels
from corpus.hashing.signatures import character_table, key_array, string_buffers
from corpus.sources import Part

Rows = NDArray[np.int64]
Similarities = NDArray[np.float64]

COLUMNS = ("text", "prompt")
_PAIRS_AT_ONCE = 1 << 12
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@dataclass(frozen=True)
class Sets:
    """Sets of hashes, one after the other, and how many each has; for each of `COLUMNS`."""

    values: list[NDArray[np.uint64]]
    sizes: list[Rows]


def hash_part(shop: Workshop, rows: Rows, part: Part) -> Sets:
    """The sets of those of some rising rows that lie in a part."""
    values: list[list[NDArray[np.uint64]]] = [[np.empty(0, np.uint64)] for _ in COLUMNS]
    sizes: list[list[Rows]] = [[np.empty(0, np.int64)] for _ in COLUMNS]
    for chunk in shop.source.take(COLUMNS, part.own(rows), part):
        for number, column in enumerate(COLUMNS):
            found, ends = hash_sets(chunk.batch.column(column), shop.ngram)
            values[number].append(found)
            sizes[number].append(np.diff(ends, prepend=0))
    return Sets([np.concatenate(each) for each in values], [np.concatenate(s) for s in sizes])


def hash_sets(column: pa.Array, ngram: int) -> tuple[NDArray[np.uint64], Rows]:
    """Sets of a column of texts, one after the other, and the end of each."""
    data, offsets = string_buffers(column)
    ends = np.empty(len(column), np.int64)
    values = np.empty((offsets[-1] - offsets[0]) // 2 + 2 * len(column), np.uint64)
    used = kernels.collect_sets(data, offsets, character_table(), key_array(ngram), values, ends)
    return values[:used].copy(), ends


def save_sets(found: Iterable[Sets], paths: Sequence[Path], *, narrow: bool = False) -> list[Rows]:
    """Write the hashes of all parts, a file for each of `COLUMNS`.

    Args:
        narrow: only the upper halves of the hashes, in which equal sets stay equal.

    Returns:
        Where each document's set ends, for each of `COLUMNS`.
    """
    partials = [path.with_name(f".{path.name}.partial") for path in paths]
    sizes: list[list[Rows]] = [[np.empty(0, np.int64)] for _ in paths]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in partials]
        for sets in found:
            for number, values in enumerate(sets.values):
                append_array(files[number], values.view("<u4")[1::2] if narrow else values)
                sizes[number].append(sets.sizes[number])
    for partial, path in zip(partials, paths, strict=True):
        partial.replace(path)
    return [np.cumsum(np.concatenate(each)) for each in sizes]


@dataclass(frozen=True)
class ShingleSets:
    """Sets of hashes of documents 0, 1, 2, ...

    Attributes:
        values: set after set, in memory or in a file of plain numbers.
        ends: of each set.
        kind: of the numbers.
        upper: only the upper halves of the hashes count.
    """

    values: NDArray[Any] | Path
    ends: Rows
    kind: Any = np.uint64
    upper: bool = False

    def narrow(self) -> ShingleSets:
        """The upper halves of the hashes; equal sets stay equal."""
        return replace(self, upper=True)

    def gather(self, numbers: Rows) -> tuple[NDArray[Any], Rows]:
        """The sets of some documents, rising: their hashes, and the end of each.

        They are read, not mapped: mapped files count as memory of the process, by whole pages.
        """
        starts = np.where(numbers, self.ends[numbers - 1], 0)
        stops = self.ends[numbers]
        ends = np.cumsum(stops - starts)
        found = np.empty(int(ends[-1]) if len(ends) else 0, self.kind)
        # Neighbours are read together.
        first = np.flatnonzero(np.append(True, starts[1:] != stops[:-1])) if len(ends) else numbers
        last = np.append(first[1:], len(ends)) - 1 if len(ends) else numbers
        self._fill(found, starts[first], stops[last])
        return found.view("<u4")[1::2] if self.upper else found, ends

    def _fill(self, found: NDArray[Any], starts: Rows, stops: Rows) -> None:
        at, size = 0, found.itemsize
        if isinstance(self.values, Path):
            with self.values.open("rb", buffering=0) as file:
                for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                    file.seek(start * size)
                    file.readinto(found[at : at + stop - start].data)
                    at += stop - start
            return
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            found[at : at + stop - start] = self.values[start:stop]
            at += stop - start

    def compare(self, pairs: Rows, other: ShingleSets | None = None) -> Similarities:
        """Jaccard similarity of each pair of documents; -1 where both sets are empty.

        Args:
            pairs: shape (pairs, 2); the second numbers are those of `other` where it is given.
        """
        out = np.empty(len(pairs), np.float64)
        if other is None:
            numbers, places = np.unique(pairs, return_inverse=True)
            mine = theirs = self.gather(numbers)
            places = places.reshape(-1, 2)
        else:
            (one, first), (two, second) = (
                np.unique(column, return_inverse=True) for column in pairs.T
            )
            mine, theirs = self.gather(one), other.gather(two)
            places = np.stack([first, second], axis=1)
        _compare(*mine, *theirs, places, out)
        return out


@dataclass(frozen=True)
class Comparison:
    """Texts and prompts of documents, as sets."""

    texts: ShingleSets
    prompts: ShingleSets

    def narrow(self) -> Comparison:
        """The upper halves of the hashes, which a sketch holds; nothing is copied."""
        return Comparison(self.texts.narrow(), self.prompts.narrow())

    def measure(
        self, pairs: Rows, other: Comparison | None = None, workers: int = 1
    ) -> Similarities:
        """Similarity of each pair: the lower one of texts and prompts."""

        def compare(start: int) -> Similarities:
            part = np.ascontiguousarray(pairs[start : start + _PAIRS_AT_ONCE])
            texts = self.texts.compare(part, other.texts if other else None)
            prompts = self.prompts.compare(part, other.prompts if other else None)
            prompts[prompts < 0] = 1.0
            return np.minimum(texts, prompts)

        starts = range(0, len(pairs), _PAIRS_AT_ONCE)
        return np.concatenate([np.empty(0), *LocalEngine(workers).map(compare, starts)])


@njit(**_OPTIONS)
def _compare(values_a: Any, ends_a: Any, values_b: Any, ends_b: Any, pairs: Any, out: Any) -> None:
    for p in range(pairs.shape[0]):
        a, b = pairs[p, 0], pairs[p, 1]
        i, j = (ends_a[a - 1] if a else 0), (ends_b[b - 1] if b else 0)
        size = ends_a[a] - i + ends_b[b] - j
        common = 0
        while i < ends_a[a] and j < ends_b[b]:
            x, y = values_a[i], values_b[j]
            common += x == y
            i += x <= y
            j += y <= x
        out[p] = common / (size - common) if size else -1.0
