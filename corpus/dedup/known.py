"""What of the documents a sketch of an earlier run knows already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from corpus.dedup.findings import Known
from corpus.dedup.grouping import unique_pairs
from corpus.dedup.partitions import read_partition
from corpus.dedup.sketch import Sketch
from corpus.dedup.sketches import Workshop
from corpus.dedup.tasks import collect_all
from corpus.engine import Engine
from corpus.sources import Part

Rows = NDArray[np.int64]


def find_known_copies(shop: Workshop, kind: str, parts: Sequence[int], sketch: Sketch) -> Known:
    """What is left with an id, or a normalised text, that the sketch has.

    Args:
        kind: "id-entries" or "copies".
        parts: numbers of the parts of the source.
    """
    table = sketch.ids if kind == "id-entries" else sketch.copies
    left, rows, numbers = shop.open_left(), [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in range(shop.ids.num_parts):
        entries = read_partition(shop.paths(kind, parts), part, shop.ids, words=2)
        entries = entries[left[entries[:, 2]]]
        found = table.find(entries[:, :2])
        rows.append(entries[found >= 0, 2].astype(np.int64))
        numbers.append(found[found >= 0])
    gone = np.concatenate(rows)
    return Known(gone, sketch.name_ids(np.concatenate(numbers)), np.ones(len(gone)))


def find_known_near(
    shop: Workshop, engine: Engine, parts: Sequence[Part], sketch: Sketch, threshold: float
) -> Known:
    """What is left that resembles a document of the sketch; each with the one it resembles most."""
    pairs, similarity = find_likenesses(shop, engine, parts, sketch, threshold)
    ids = sketch.name_ids(pairs[:, 1])
    order = np.lexsort((ids[:, 1], ids[:, 0], -similarity, pairs[:, 0]))
    rows, first = np.unique(pairs[order, 0], return_index=True)
    best = order[first]
    return Known(rows, ids[best], similarity[best])


def find_likenesses(
    shop: Workshop, engine: Engine, parts: Sequence[Part], sketch: Sketch, threshold: float
) -> tuple[Rows, NDArray[np.float64]]:
    """Pairs (row, number in the sketch) at the threshold or above, sorted, and their similarity."""
    left, found = shop.open_left(), [np.empty((0, 2), np.int64)]
    for part in range(shop.bands.num_parts):
        paths = shop.paths("bands", [part.number for part in parts])
        entries = read_partition(paths, part, shop.bands, words=1)
        entries = entries[left[entries[:, 1]]]
        which, numbers = sketch.bands.match(entries[:, 0])
        found.append(np.column_stack([entries[which, 1].astype(np.int64), numbers]))
    pairs = unique_pairs(np.concatenate(found))
    rows = np.unique(pairs[:, 0])
    sets = collect_all(shop, engine, parts, rows, name=f"known-{sketch.mark}")
    places = np.column_stack([np.searchsorted(rows, pairs[:, 0]), pairs[:, 1]])
    similarity = sets.narrow().measure(places, sketch.sets, engine.workers)
    close = similarity >= threshold
    return pairs[close], similarity[close]
