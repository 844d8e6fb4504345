"""Exact Jaccard similarity of candidate pairs, from sets of shingle hashes in files.

Only the row groups that hold a candidate are read again.  A document's set is its 64-bit shingle
hashes, sorted; a pair is one walk along two sets.  At 64 bits two shingles of a million-shingle
pair are mistaken for each other once in ten million pairs: exact for every purpose here.

A question-answer document is compared twice, prompt with prompt and text with text, and the lower
similarity counts: ten questions about one passage are not duplicates of each other, nor are two
questions with the answer "yes".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from corpus import kernels
from corpus.engine import LocalEngine
from corpus.partitions import write_arrays, write_whole
from corpus.signatures import character_table, key_array, string_buffers
from corpus.sketches import Workshop, map_array
from corpus.sources import Part

Rows = NDArray[np.int64]
Similarities = NDArray[np.float64]

COLUMNS = ("text", "prompt")
_PAIRS_AT_ONCE = 1 << 16
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def collect_sets(shop: Workshop, name: str, part: Part, rows: Rows) -> int:
    """Write the sets of those of some rising rows that lie in a part; returns how many do.

    Args:
        name: of the files.
    """
    own = part.own(rows)
    targets = [set_paths(shop, name, column, part.number) for column in COLUMNS]
    if targets[-1][1].exists():
        return len(own)
    values: list[list[NDArray[np.uint64]]] = [[], []]
    sizes: list[list[Rows]] = [[], []]
    for chunk in shop.source.take(COLUMNS, own, part):
        for number, column in enumerate(COLUMNS):
            found, ends = hash_sets(chunk.batch.column(column), shop.ngram)
            values[number].append(found)
            sizes[number].append(np.diff(ends, prepend=0))
    for number, (value_path, size_path) in enumerate(targets):
        write_arrays(value_path, values[number])
        write_arrays(size_path, sizes[number])
    return len(own)


def hash_sets(column: pa.Array, ngram: int) -> tuple[NDArray[np.uint64], Rows]:
    """Sets of a column of texts, one after the other, and the end of each."""
    data, offsets = string_buffers(column)
    ends = np.empty(len(column), np.int64)
    values = np.empty((offsets[-1] - offsets[0]) // 2 + 2 * len(column), np.uint64)
    used = kernels.collect_sets(data, offsets, character_table(), key_array(ngram), values, ends)
    return values[:used].copy(), ends


def set_paths(shop: Workshop, name: str, column: str, number: int) -> tuple[Path, Path]:
    """The files of a part: hashes, and how many each document has."""
    kinds = (f"{name}-{column}-{kind}" for kind in ("sets", "sizes"))
    values, sizes = (shop.path(kind, number) for kind in kinds)
    return values, sizes


@dataclass(frozen=True)
class ShingleSets:
    """Sets of hashes of documents 0, 1, 2, ...: `values` one after the other, the end of each."""

    values: NDArray[Any]
    ends: Rows

    def narrow(self) -> ShingleSets:
        """The upper halves of the hashes; equal sets stay equal."""
        return ShingleSets(self.values.view("<u4")[1::2], self.ends)

    def compare(self, pairs: Rows, other: ShingleSets | None = None) -> Similarities:
        """Jaccard similarity of each pair of documents; -1 where both sets are empty.

        Args:
            pairs: shape (pairs, 2); the second numbers are those of `other` where it is given.
        """
        out = np.empty(len(pairs), np.float64)
        second = other or self
        _compare(self.values, self.ends, second.values, second.ends, pairs, out)
        return out


@dataclass(frozen=True)
class Comparison:
    """Texts and prompts of documents, as sets."""

    texts: ShingleSets
    prompts: ShingleSets

    def narrow(self) -> Comparison:
        """The upper halves of the hashes, which a sketch holds; nothing is copied."""
        return Comparison(*(each.narrow() for each in (self.texts, self.prompts)))

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


def open_sets(shop: Workshop, name: str, parts: Sequence[Part]) -> Comparison:
    """The sets that `collect_sets` left in all parts, numbered in the order of the rows."""
    sets = [_join_sets(shop, name, column, parts) for column in COLUMNS]
    return Comparison(sets[0], sets[1])


def _join_sets(shop: Workshop, name: str, column: str, parts: Sequence[Part]) -> ShingleSets:
    paths = [set_paths(shop, name, column, part.number) for part in parts]
    sizes = [np.fromfile(size_path, np.int64) for _, size_path in paths]
    joined = shop.folder / f"{name}-{column}-sets"
    if not joined.exists():
        write_whole(joined, lambda partial: _concatenate([path for path, _ in paths], partial))
    ends = np.cumsum(np.concatenate([np.empty(0, np.int64), *sizes]))
    return ShingleSets(map_array(joined, np.uint64), ends)


def _concatenate(paths: Sequence[Path], target: Path) -> None:
    with target.open("wb") as out:
        for path in paths:
            with path.open("rb") as file:
                # Inside the kernel, where the disk's blocks are.
                while os.sendfile(out.fileno(), file.fileno(), None, 1 << 30):
                    pass


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
