"""The sketch of a corpus: a folder that knows its documents without holding their text.

New text is compared with it, exactly, and without touching the old: `[corpus.duplicates] against`
removes what an earlier run has; `tongwen corpus query` says what a document is like.

    sketch.json         parameters; a sketch made with others is refused
    ids-*.bin           ids in two halves (keys, checks), sorted, and their documents' numbers
    copies-*.bin        the same for the normalised texts
    bands-*.bin         band keys, sorted, and their documents' numbers
    text-*, prompt-*    shingle hashes (32 bits), sorted, set after set; the end of each set
    documents.parquet   id, origin, category, language, source: row i is document number i

All are plain little-endian numbers, mapped and read where they are touched: looking a document up
costs some binary searches, however large the sketch is.  The price on disk is 4 bytes a shingle (a
third more than Chinese text in UTF-8, two thirds of English) and 330 bytes a document.  At 32 bits
two shingles of a thousand-shingle pair are mistaken for each other once in four thousand pairs,
which then looks alike by one shingle more.

Only kept documents are in it: what resembles a removed one and not its keeper is new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.dedup.lsh import choose_bands
from corpus.dedup.partitions import Cut, append_array, read_partition, write_arrays
from corpus.dedup.sketches import SEED, Workshop, map_array, parse_ids
from corpus.dedup.tasks import hash_all, number_documents, open_left, open_workshop, sketch_all
from corpus.dedup.verify import COLUMNS, Comparison, ShingleSets
from corpus.documents import open_writer
from corpus.engine import Engine
from corpus.sources import Source, open_folder
from tongwen.errors import TongwenError
from tongwen.recipe import Duplicates
from tongwen.record import write_text

Rows = NDArray[np.int64]
Keys = NDArray[np.uint64]

FORMAT = 1
PARAMETERS = "sketch.json"
DOCUMENTS = ("id", "origin", "category", "language", "source")
_DOCUMENTS = "documents.parquet"
_HALVES = ("keys", "checks")
_SCHEMA = pa.schema([(name, pa.string()) for name in DOCUMENTS])


_GROUP_ROWS = 4096
_MOST = 8
"""Documents of one band key that a document is compared with."""


@dataclass(frozen=True)
class KeyTable:
    """Sorted keys and the number of the document that each belongs to; all arrays are mapped.

    Attributes:
        keys: rising.
        checks: the second half of a 128-bit key; empty for one of 64 bits.
        numbers: of the documents.
    """

    keys: Keys
    checks: Keys
    numbers: Rows

    def find(self, wanted: Keys) -> Rows:
        """For keys of shape (n, 2) the number of the document with that key, or -1."""
        if not len(self.keys):
            return np.full(len(wanted), -1)
        places = np.minimum(np.searchsorted(self.keys, wanted[:, 0]), len(self.keys) - 1)
        same = (self.keys[places] == wanted[:, 0]) & (self.checks[places] == wanted[:, 1])
        return np.where(same, self.numbers[places], -1)

    def match(self, wanted: Keys) -> tuple[Rows, Rows]:
        """All places (i, number) where key i is that of a document; at most eight for each key."""
        first = np.searchsorted(self.keys, wanted, "left")
        counts = np.minimum(np.searchsorted(self.keys, wanted, "right") - first, _MOST)
        which = np.repeat(np.arange(len(wanted)), counts)
        steps = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        return which, self.numbers[first[which] + steps]


@dataclass(frozen=True)
class Sketch:
    """An opened sketch.

    Attributes:
        ids, copies, bands: tables of the ids, the normalised texts and the band keys.
        sets: of 32-bit shingle hashes, by number.
    """

    folder: Path
    parameters: dict[str, Any]
    ids: KeyTable
    copies: KeyTable
    bands: KeyTable
    sets: Comparison

    @property
    def mark(self) -> str:
        """A short name that differs between folders."""
        return hashlib.blake2b(str(self.folder).encode(), digest_size=4).hexdigest()

    def name_ids(self, numbers: Rows) -> Keys:
        """The ids of documents by number, shape (numbers, 2)."""
        return parse_ids(self.describe(numbers)["id"].combine_chunks())

    def describe(self, numbers: Rows) -> pa.Table:
        """id, origin, category, language, source of documents by number, in that order."""
        rising, places = np.unique(numbers, return_inverse=True)
        found = [_SCHEMA.empty_table()]
        with pq.ParquetFile(self.folder / _DOCUMENTS) as file:
            for group in range(file.num_row_groups):
                start = group * _GROUP_ROWS
                own = rising[slice(*np.searchsorted(rising, (start, start + _GROUP_ROWS)))]
                if len(own):
                    found.append(file.read_row_group(group).take(pa.array(own - start)))
        return pa.concat_tables(found).take(pa.array(places))


def list_identity(folder: str | Path) -> list[Path]:
    """The files by which a sketch is told from another.

    Raises:
        TongwenError: there is no sketch.
    """
    paths = [Path(folder) / name for name in (PARAMETERS, "ids-keys.bin", "bands-keys.bin")]
    if not all(path.exists() for path in paths):
        raise _no_sketch(Path(folder), str(folder))
    return paths


def _no_sketch(folder: Path, where: str) -> TongwenError:
    return TongwenError(
        "no sketch there",
        where=where,
        expected=f"a folder with {PARAMETERS} and more, such as RUN/corpus/sketch",
        do="make one of the earlier run: tongwen corpus sketch RECIPE",
    )


def open_sketch(folder: Path, settings: Duplicates, where: str = "") -> Sketch:
    """Open a sketch that was made with the same parameters.

    Raises:
        TongwenError: there is none, it is not complete, or it was made with other parameters.
    """
    path = folder / PARAMETERS
    if not path.exists():
        raise _no_sketch(folder, where or str(folder))
    parameters = json.loads(path.read_text(encoding="utf-8"))
    _refuse_other(parameters, describe_parameters(settings), where or str(folder))
    sets = [
        ShingleSets(
            folder / f"{column}-hashes.bin",
            map_array(folder / f"{column}-ends.bin", np.int64),
            np.uint32,
        )
        for column in COLUMNS
    ]
    ids, copies, bands = (_open_table(folder, kind) for kind in ("ids", "copies", "bands"))
    return Sketch(folder, parameters, ids, copies, bands, Comparison(*sets))


def _refuse_other(found: dict[str, Any], needed: dict[str, Any], where: str) -> None:
    differences = [
        f"{key} is {found.get(key)!r}, here {value!r}"
        for key, value in needed.items()
        if found.get(key) != value
    ]
    if differences:
        raise TongwenError(
            "the sketch was made with other parameters: " + "; ".join(differences),
            where=where,
            expected="the same ngram, num_perm, bands and rows (the threshold decides the bands)",
            do="change [corpus.duplicates], or make the sketch of that run again",
        )


def describe_parameters(settings: Duplicates) -> dict[str, int]:
    """What two sketches must have in common to be compared."""
    bands, rows = choose_bands(settings.num_perm, settings.threshold)
    return {
        "format": FORMAT,
        "ngram": settings.ngram,
        "num_perm": settings.num_perm,
        "seed": SEED,
        "bands": bands,
        "rows": rows,
    }


def _open_table(folder: Path, kind: str) -> KeyTable:
    keys, checks = (map_array(folder / f"{kind}-{half}.bin", np.uint64) for half in _HALVES)
    return KeyTable(keys, checks, map_array(folder / f"{kind}-numbers.bin", np.int64))


def write_sketch(
    documents: Path,
    kept: NDArray[np.bool_],
    settings: Duplicates,
    engine: Engine,
    memory: int,
    out: Path,
) -> int:
    """Write the sketch of the kept rows of a folder of documents; returns how many they are.

    Args:
        kept: for each row whether it is in.
        out: an existing folder.
    """
    source, rows = open_folder(documents), np.flatnonzero(kept)
    parts = source.cut()
    with open_workshop(source, settings, memory // engine.workers, out) as shop:
        number_documents(shop, engine, parts)
        left = open_left(shop)
        left[:] = kept
        left.flush()
        sketch_all(shop, engine, parts)
        numbers = [part.number for part in parts]
        places = np.cumsum(kept) - 1
        tables = (("id-entries", "ids", shop.ids), ("copies", "copies", shop.ids))
        for kind, name, cut in (*tables, ("bands", "bands", shop.bands)):
            _write_table(out / name, _sort_entries(shop, kind, numbers, cut, kept), places)
        paths = [out / f"{column}-hashes.bin" for column in COLUMNS]
        ends = hash_all("keeping shingles", shop, engine, parts, rows, paths, narrow=True)
    for column, each in zip(COLUMNS, ends, strict=True):
        write_arrays(out / f"{column}-ends.bin", (each,))
    _write_documents(source, rows, out / _DOCUMENTS)
    parameters = describe_parameters(settings) | {"threshold": settings.threshold}
    write_text(out / PARAMETERS, json.dumps(parameters, indent=1, sort_keys=True) + "\n")
    return len(rows)


def _sort_entries(
    shop: Workshop, kind: str, parts: Sequence[int], cut: Cut, kept: NDArray[np.bool_]
) -> Iterator[Keys]:
    """The kept entries, partition by partition, sorted: together they are sorted too."""
    words = 1 if kind == "bands" else 2
    for part in range(cut.num_parts):
        entries = read_partition(shop.paths(kind, parts), part, cut, words)
        entries = entries[kept[entries[:, words]]]
        yield entries[np.lexsort(entries.T[::-1])]


def _write_table(prefix: Path, sorted_entries: Iterator[Keys], places: Rows) -> None:
    names = [prefix.with_name(f"{prefix.name}-{half}.bin") for half in (*_HALVES, "numbers")]
    with names[0].open("wb") as keys, names[1].open("wb") as checks, names[2].open("wb") as numbers:
        for entries in sorted_entries:
            append_array(keys, entries[:, 0])
            if entries.shape[1] == 3:
                append_array(checks, entries[:, 1])
            append_array(numbers, places[entries[:, -1]])


def _write_documents(source: Source, rows: Rows, path: Path) -> None:
    waiting = _SCHEMA.empty_table()
    with open_writer(path, _SCHEMA) as writer:
        for chunk in source.take(DOCUMENTS, rows):
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([chunk.batch], _SCHEMA)])
            while len(waiting) >= _GROUP_ROWS:
                writer.write_table(waiting.slice(0, _GROUP_ROWS))
                waiting = waiting.slice(_GROUP_ROWS)
        if len(waiting):
            writer.write_table(waiting)
