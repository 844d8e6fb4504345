"""The text that pieces are learned from, by source.

A piece is worth more where many sources use it, so runs are counted for each source apart; for
learning they are laid end to end.  Documents count by the weights of the recipe (`weighting`), in
thousandths.  The largest sources are kept apart and the rest together, so that a corpus of ten
thousand sources costs no more than one of 64.  Price: a run that stands in two sources is kept
twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenizer.learning.corpora import Group, check_languages, measure_groups
from tokenizer.learning.runs import RunCounter, Runs
from tokenizer.learning.sampling import Read, read_chosen
from tokenizer.learning.weighting import weigh_documents
from tongwen.progress import progress
from tongwen.recipe import Tokenizer

NUM_SOURCES = 64
"""Sources that are kept apart."""

_REST = "(others)"


@dataclass(frozen=True)
class Source:
    """Runs of one source, weighted."""

    name: str
    runs: Runs

    @property
    def size(self) -> int:
        """Weighted running characters, in thousandths."""
        return self.runs.num_characters


def collect_sources(
    read: Read, held_out: pa.Array, section: Tokenizer, kinds: NDArray[np.uint8]
) -> list[Source]:
    """Count the runs of the documents of the wanted languages, by source.

    Args:
        read: reads the kept documents.
        held_out: ids that nothing is learned from.
        section: its languages, `max_characters`, `balance` and `weights` are used.
        kinds: `Kind` of every code point.

    Raises:
        TongwenError: no document has one of the languages, or an entry of `weights` fits none.
    """
    sizes = measure_groups(read, held_out)
    check_languages(sizes, section.languages)
    groups: Counter[Group] = Counter()
    for language in section.languages:
        groups.update(sizes.get(language, {}))
    weights = weigh_documents(section, groups)
    counters = _make_counters(groups, kinds)
    with progress("counting runs", unit="characters") as advance:
        for batch in read_chosen(read, section.languages, held_out, section.max_characters):
            advance(_count_batch(batch, weights, counters))
    found = [Source(name, counter.finish()) for name, counter in counters.items()]
    return [source for source in found if source.size]


def join_runs(sources: Iterable[Source]) -> Runs:
    """The runs of all sources, one behind the other."""
    codes, starts, weights, at = [np.zeros(1, np.int32)], [np.ones(1, np.int64)], [], 0
    for source in sources:
        codes.append(source.runs.codes[1:])
        starts.append(source.runs.starts[1:] + at)
        weights.append(source.runs.weights)
        at += len(source.runs.codes) - 1
    joined = np.concatenate(weights) if weights else np.zeros(0, np.int64)
    return Runs(np.concatenate(codes), np.concatenate(starts), joined)


def _make_counters(sizes: Mapping[Group, int], kinds: NDArray[np.uint8]) -> dict[str, RunCounter]:
    totals: Counter[str] = Counter()
    for (_, source), size in sizes.items():
        totals[source] += size
    largest = sorted(totals, key=lambda name: (-totals[name], name))[:NUM_SOURCES]
    return {name: RunCounter(kinds) for name in (*sorted(largest), _REST)}


def _count_batch(
    batch: pa.RecordBatch, weights: Mapping[Group, int], counters: Mapping[str, RunCounter]
) -> int:
    categories, sources = (batch.column(name).to_pylist() for name in ("category", "source"))
    rows: dict[str, list[int]] = {}
    for row, source in enumerate(sources):
        rows.setdefault(source if source in counters else _REST, []).append(row)
    weight_B = np.array(
        [weights.get(group, 0) for group in zip(categories, sources, strict=True)], np.int64
    )
    characters = 0
    for name, chosen in rows.items():
        part = batch.take(pa.array(chosen))
        for column in ("text", "prompt"):
            characters += counters[name].add_array(part.column(column), weight_B[chosen])
    return characters
