"""The steps that a search and a sketch share: each runs one task over all parts or partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.dedup.lsh import choose_bands, merge_pairs, pair_bands
from corpus.dedup.partitions import choose_cut, write_arrays, write_whole
from corpus.dedup.scratch import open_scratch
from corpus.dedup.sketches import Workshop, number_ids, sketch_documents
from corpus.dedup.verify import COLUMNS, Comparison, Sets, ShingleSets, hash_part, save_sets
from corpus.engine import Engine
from corpus.sources import Part, Source
from tongwen.progress import progress
from tongwen.recipe import Duplicates

Rows = NDArray[np.int64]


@contextmanager
def open_workshop(
    source: Source, settings: Duplicates, memory: int, scratch: Path | None
) -> Iterator[Workshop]:
    """How one search cuts its work, with `memory` bytes for a task; its folder goes at the end.

    A killed search leaves its folder in `scratch`.  The next one of the same documents, settings
    and cuts finds it by its name; those of others are not touched.
    """
    bands, rows = choose_bands(settings.num_perm, settings.threshold)
    ids, keys = (choose_cut(source.num_rows * times, memory) for times in (1, bands))
    mark = f"{source.identity} {settings.model_dump_json()} {ids.bits} {keys.bits}"
    with open_scratch("duplicates", mark.encode() if source.identity else b"", scratch) as folder:
        yield Workshop(source, folder, ids, keys, settings.num_perm, settings.ngram, bands, rows)


def run_tasks(
    label: str, engine: Engine, task: Callable[[Any], int], items: Iterable[Any], total: int
) -> None:
    """Run tasks that return how many documents they did."""
    with progress(label, total=total, unit="documents") as advance:
        for done in engine.map(task, items):
            advance(done)


def number_documents(shop: Workshop, engine: Engine, parts: Sequence[Part]) -> None:
    """Gather the ids of all parts."""
    run_tasks("reading ids", engine, partial(number_ids, shop), parts, shop.source.num_rows)

    def join(target: Path) -> None:
        with target.open("wb") as file:
            for part in parts:
                file.write(shop.path("ids", part.number).read_bytes())

    write_whole(shop.all_ids, join)


def open_left(shop: Workshop) -> np.memmap[Any, np.dtype[np.bool_]]:
    """All rows, a byte for each, in a file that the tasks read too."""
    write_arrays(shop.left, (np.ones(max(1, shop.source.num_rows), bool),))
    return np.memmap(shop.left, np.bool_, "r+")


def sketch_all(shop: Workshop, engine: Engine, parts: Sequence[Part]) -> None:
    """Sketch what is left of all parts."""
    total = int(shop.open_left().sum())
    run_tasks("sketching", engine, partial(sketch_documents, shop), parts, total)


def find_pairs(shop: Workshop, engine: Engine, parts: Sequence[int]) -> Rows:
    """Candidate pairs of what is left, shape (pairs, 2)."""
    numbers = range(shop.bands.num_parts)
    task = partial(pair_bands, shop, parts)
    with progress("pairing", total=len(numbers), unit="partitions") as advance:

        def watch() -> Iterator[Path]:
            for path in engine.map(task, numbers):
                advance(1)
                yield path

        return merge_pairs(watch())


def collect_all(
    shop: Workshop, engine: Engine, parts: Sequence[Part], rows: Rows, name: str = "near"
) -> Comparison:
    """The sets of shingles of some rising rows, numbered in their order.

    Args:
        name: of the files.
    """
    paths = [shop.folder / f"{name}-{column}-sets" for column in COLUMNS]
    ends = hash_all("comparing candidates", shop, engine, parts, rows, paths)
    sets = (ShingleSets(path, each) for path, each in zip(paths, ends, strict=True))
    return Comparison(*sets)


def hash_all(
    label: str,
    shop: Workshop,
    engine: Engine,
    parts: Sequence[Part],
    rows: Rows,
    paths: Sequence[Path],
    *,
    narrow: bool = False,
) -> list[Rows]:
    """`save_sets` of some rising rows, with progress."""
    with progress(label, total=len(rows), unit="documents") as advance:

        def watch() -> Iterator[Sets]:
            for sets in engine.map(partial(hash_part, shop, rows), parts):
                yield sets
                advance(len(sets.sizes[0]))

        return save_sets(watch(), paths, narrow=narrow)
