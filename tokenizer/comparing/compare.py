"""Tokens of several tokenizers over the same documents, in one pass.

Published rates come from unknown sentences; here every tokenizer reads the same documents, and
what it makes of them is summed by category, language and source.  Several tokenizers work on a
batch at the same time, in threads.  Memory is a batch of documents and the sums.

Words, for the fertility (tokens for a word): every Han character is one, and so is every stretch
between Han characters and white space that holds a letter or a digit.  Of spaced scripts those are
the words between spaces, of Chinese the characters; punctuation that stands alone is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from tokenizer.comparing.bootstrap import Replicates, Weights, iterate_parts
from tokenizer.comparing.counters import Counter
from tokenizer.comparing.kinds import Tally
from tokenizer.comparing.segments import choose_sentences, show_segmentation
from tongwen.progress import progress

__all__ = ["choose_sentences", "compare_tokenizers", "measure_rate", "show_segmentation"]

pc: Any = pyarrow.compute  # its functions are made at import: a checker cannot see them

COUNTS = (
    "documents",
    "characters",
    "bytes",
    "tokens",
    "fallback_tokens",
    "unknown_tokens",
    "piece_characters",
    "words",
)
COMPARISON = pa.schema(
    [
        ("tokenizer", pa.string()),
        ("size", pa.int32()),
        ("category", pa.string()),
        ("language", pa.string()),
        ("source", pa.string()),
        *((name, pa.int64()) for name in COUNTS),
    ]
)
"""source is null where it is not known; piece_characters: characters of the tokens that are
neither bytes nor unknown."""

MOST_SOURCES, OTHER_SOURCES = 10_000, "(other sources)"
"""Sources that are told apart; what comes later counts as one."""

_APART = r"[^\s\p{Z}\p{Han}]"
WORD = rf"\p{{Han}}|{_APART}*(?:[^\P{{L}}\p{{Han}}]|[^\P{{N}}\p{{Han}}]){_APART}*"
"""A unit of the fertility, as RE2 reads it."""


class Group(NamedTuple):
    """What the sums are kept for."""

    category: str
    language: str
    source: str


@dataclass(frozen=True)
class Intervals:
    """Replicates by (language,), (language, category) and (language, source)."""

    language: Replicates
    category: Replicates
    source: Replicates


class Comparer:
    """Adds up what tokenizers make of documents.

    Args:
        counters: tokenizers by name, in the order of the result.
        seed: of the confidence intervals.
        workers: threads; never changes a result.
    """

    def __init__(self, counters: Mapping[str, Counter], *, seed: int = 1, workers: int = 1) -> None:
        self.counters = dict(counters)
        self.intervals = Intervals(Replicates(), Replicates(), Replicates())
        self._weights, self._workers = Weights(seed), workers
        self._sources: set[str] = set()
        self._sums: dict[Group, NDArray[np.int64]] = {}

    def add(self, batch: pa.RecordBatch) -> int:
        """Count a batch; returns its characters.

        Args:
            batch: columns text, prompt, category, language and, where it is known, source; a
                prompt is encoded by itself.
        """
        shared = _measure_texts(batch)
        if not self.counters or not batch.num_rows:
            return int(shared[1].sum())
        groups = self._number_groups(batch)
        counts = np.stack([_join_counts(shared, tally) for tally in self._encode(batch)])
        for group, rows in groups.items():
            found = counts[:, :, rows].sum(axis=2)
            self._sums[group] = self._sums.get(group, 0) + found
        for part in iterate_parts(batch.num_rows):
            self._resample(groups, counts, part)
        return int(shared[1].sum())

    def finish(self) -> pa.Table:
        """The sums so far, a row for each tokenizer and group."""
        rows = [
            {
                "tokenizer": name,
                "size": self.counters[name].size,
                **group._asdict(),
                "source": group.source or None,
                **dict(zip(COUNTS, self._sums[group][number].tolist(), strict=True)),
            }
            for number, name in enumerate(self.counters)
            for group in sorted(self._sums)
        ]
        return pa.Table.from_pylist(rows, schema=COMPARISON)

    def _encode(self, batch: pa.RecordBatch) -> list[Tally]:
        texts, prompts = batch.column("text").to_pylist(), batch.column("prompt").to_pylist()
        asked = [number for number, prompt in enumerate(prompts) if prompt]

        def encode(counter: Counter) -> Tally:
            tally = counter.measure(texts)
            for name, values in vars(counter.measure([prompts[at] for at in asked])).items():
                getattr(tally, name)[asked] += values
            return tally

        if self._workers == 1:
            return list(map(encode, self.counters.values()))
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(encode, self.counters.values()))

    def _number_groups(self, batch: pa.RecordBatch) -> dict[Group, NDArray[np.intp]]:
        """The rows of each group."""
        columns = [
            batch.column(name).to_pylist() if name in batch.schema.names else [""] * len(batch)
            for name in Group._fields
        ]
        rows = ([value or "" for value in row] for row in zip(*columns, strict=True))
        keys = [Group(row[0], row[1], self._name_source(row[2])) for row in rows]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        return {key: np.array(list(each)) for key, each in groupby(order, key=keys.__getitem__)}

    def _name_source(self, source: str) -> str:
        if source not in self._sources and len(self._sources) >= MOST_SOURCES:
            return OTHER_SOURCES
        self._sources.add(source)
        return source

    def _resample(
        self, groups: Mapping[Group, NDArray[np.intp]], counts: NDArray[np.int64], part: slice
    ) -> None:
        values = np.concatenate([counts[:, COUNTS.index("tokens"), part], counts[:1, 1, part]])
        weights = self._weights.draw(part.stop - part.start)
        for group, rows in groups.items():
            own = rows[(rows >= part.start) & (rows < part.stop)] - part.start
            if len(own):
                sums = values[:, own].astype(np.float64) @ weights[own]
                language = group.language
                self.intervals.language.add((language,), sums, len(own))
                self.intervals.category.add((language, group.category), sums, len(own))
                self.intervals.source.add((language, group.source), sums, len(own))


def compare_tokenizers(
    counters: Mapping[str, Counter], batches: Iterable[pa.RecordBatch], *, workers: int = 1
) -> pa.Table:
    """What each tokenizer makes of the documents by category, language and source.

    Args:
        counters: tokenizers by name, in the order of the result.
        batches: columns text, prompt, category, language, and source where it is known.
    """
    comparer = Comparer(counters, workers=workers)
    add_batches(comparer, batches)
    return comparer.finish()


def add_batches(comparer: Comparer, batches: Iterable[pa.RecordBatch]) -> None:
    """Count all batches and show the progress."""
    with progress("comparing tokenizers", unit="characters") as advance:
        for batch in batches:
            advance(comparer.add(batch))


def _measure_texts(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Documents (1), characters, bytes and words of each row."""
    total = np.zeros((4, batch.num_rows), np.int64)
    total[0] = 1
    for name in ("text", "prompt"):
        column = pc.fill_null(batch.column(name), "")
        counts = (
            pc.utf8_length(column),
            pc.binary_length(column),
            pc.count_substring_regex(column, WORD),
        )
        for place, values in enumerate(counts, 1):
            total[place] += values.to_numpy(zero_copy_only=False)
    return total


def _join_counts(shared: NDArray[np.int64], tally: Tally) -> NDArray[np.int64]:
    """The counts of a tokenizer for each document, in the order of `COUNTS`."""
    own = (tally.tokens, tally.fallback_tokens, tally.unknown_tokens, tally.piece_characters)
    return np.stack([*shared[:3], *own, shared[3]])


def measure_rate(table: pa.Table, name: str, language: str) -> float | None:
    """Tokens per character of a tokenizer in a language; None where it has no text."""
    chosen = table.filter(
        pc.and_(pc.equal(table["tokenizer"], name), pc.equal(table["language"], language))
    )
    characters = sum(chosen["characters"].to_pylist())
    return sum(chosen["tokens"].to_pylist()) / characters if characters else None
