"""The documents that a stage may use: which part of its mixture each belongs to, and its bytes.

A document belongs to the first part that matches its language, category and kind; within a part,
documents of one category and language form a cell.  Held-out documents belong to none.  The order
in which a cell's documents are used is that of a keyed hash of their ids, so it depends neither on
the order of the input files nor on what else the corpus holds.

The price: the kept documents are read once for their sizes, and each candidate takes 36 bytes of
memory (100 million documents: 3.6 GB).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.recipe import Part, Stage

COLUMNS = ("id", "text", "prompt", "category", "language")


@dataclass(frozen=True, order=True)
class Cell:
    """The documents of one category and language that one part of the mixture takes."""

    part: int
    language: str
    category: str


@dataclass(frozen=True)
class Candidates:
    """N documents, in the order of the corpus.

    Attributes:
        cells: the cells there are, sorted.
        cell_N: int32, index into `cells`.
        row_N: int64, place in the stream of kept documents, ascending.
        id_N2: uint64, the 128 bits of the id, high half first.
        bytes_N: int64, UTF-8 bytes of prompt and text.
    """

    cells: tuple[Cell, ...]
    cell_N: NDArray[np.int32]
    row_N: NDArray[np.int64]
    id_N2: NDArray[np.uint64]
    bytes_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row_N)


def matches(part: Part, language: str, category: str, kind: str) -> bool:
    """Whether a part of a mixture takes documents of this language, category and kind."""
    return (
        (not part.languages or language in part.languages)
        and (not part.categories or any(fnmatchcase(category, glob) for glob in part.categories))
        and (not part.kinds or kind in part.kinds)
    )


def find_candidates(
    batches: Iterable[pa.RecordBatch], stage: Stage, held_out: Sequence[str]
) -> Candidates:
    """Read the kept documents (`COLUMNS`) once and keep those that the stage may use.

    Raises:
        TongwenError: a part of the mixture is left without a document.
    """
    seen: dict[Cell, int] = {}
    kinds: dict[tuple[str, str, str], int] = {}
    blocks: list[Candidates] = []
    first = 0
    excluded = pa.array(held_out, pa.string())
    with progress("measuring documents", unit="documents") as advance:
        for batch in batches:
            blocks.append(_read_block(batch, first, stage.mixture, excluded, seen, kinds))
            first += batch.num_rows
            advance(batch.num_rows)
    _check_parts(stage, {cell.part for cell in seen}, kinds)
    return _join(blocks, seen)


def order_by_hash(id_N2: NDArray[np.uint64], *key: object) -> NDArray[np.int64]:
    """A permutation that depends on the ids and the key alone."""
    text = "\0".join(str(part) for part in key)
    salt = hashlib.blake2b(text.encode(), digest_size=8).digest()
    mixed = _mix(id_N2[:, 0] ^ np.frombuffer(salt, "<u8")[0])
    return np.lexsort((id_N2[:, 1], id_N2[:, 0], mixed))


def format_ids(id_N2: NDArray[np.uint64]) -> list[str]:
    """The ids as 32 hex digits each."""
    digits = id_N2.astype(">u8").tobytes().hex()
    return [digits[place : place + 32] for place in range(0, len(digits), 32)]


def parse_ids(ids: pa.Array) -> NDArray[np.uint64]:
    """uint64[N, 2] of ids of 32 hex digits."""
    raw = bytes.fromhex("".join(ids.to_pylist()))
    return np.frombuffer(raw, ">u8").reshape(-1, 2).astype(np.uint64)


def _mix(value_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): a bijection of 64 bits."""
    value_N = (value_N ^ (value_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value_N = (value_N ^ (value_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value_N ^ (value_N >> np.uint64(31))


def _read_block(
    batch: pa.RecordBatch,
    first: int,
    mixture: Sequence[Part],
    held_out: pa.Array,
    seen: dict[Cell, int],
    kinds: dict[tuple[str, str, str], int],
) -> Candidates:
    cell_N = np.full(batch.num_rows, -1, np.int32)
    for language, category, kind, rows in _split_kinds(batch):
        name = (language, category, kind)
        if name not in kinds:
            kinds[name] = _find_part(mixture, *name)
        if kinds[name] >= 0:
            cell = Cell(kinds[name], language, category)
            cell_N[rows] = seen.setdefault(cell, len(seen))
    taken = pc.call_function(
        "is_in", [batch.column("id")], pc.SetLookupOptions(value_set=held_out)
    ).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero((cell_N >= 0) & ~taken.astype(np.bool_))
    size_N = count_bytes(batch)
    ids = batch.column("id").take(pa.array(rows))
    return Candidates((), cell_N[rows], first + rows, parse_ids(ids), size_N[rows])


def count_bytes(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """int64[N], UTF-8 bytes of prompt and text."""
    return _measure_bytes(batch.column("prompt")) + _measure_bytes(batch.column("text"))


def _measure_bytes(texts: pa.Array) -> NDArray[np.int64]:
    lengths = pc.call_function("binary_length", [texts])
    return lengths.to_numpy(zero_copy_only=False).astype(np.int64)


def _split_kinds(
    batch: pa.RecordBatch,
) -> Iterator[tuple[str, str, str, NDArray[np.int64]]]:
    """Language, category and kind of each such group of a batch, and its rows."""
    languages = batch.column("language").dictionary_encode()
    categories = batch.column("category").dictionary_encode()
    code_N = languages.indices.to_numpy().astype(np.int64) * len(categories.dictionary)
    code_N = (code_N + categories.indices.to_numpy()) * 2
    code_N += _measure_bytes(batch.column("prompt")) > 0
    for code in np.unique(code_N):
        pair, kind = divmod(int(code), 2)
        language, category = divmod(pair, len(categories.dictionary))
        yield (
            languages.dictionary[language].as_py(),
            categories.dictionary[category].as_py(),
            "qa" if kind else "text",
            np.flatnonzero(code_N == code),
        )


def _find_part(mixture: Sequence[Part], language: str, category: str, kind: str) -> int:
    found = (i for i, part in enumerate(mixture) if matches(part, language, category, kind))
    return next(found, -1)


def _check_parts(stage: Stage, parts: set[int], kinds: dict[tuple[str, str, str], int]) -> None:
    for number, part in enumerate(stage.mixture):
        if number in parts:
            continue
        asked = {key: list(getattr(part, key)) for key in ("languages", "categories", "kinds")}
        before = any(matches(part, *name) for name in kinds)
        there = sorted({f"{language}/{category} ({kind})" for language, category, kind in kinds})
        raise TongwenError(
            f"a part of the mixture matches no document: {asked}"
            + (" (an earlier part takes all that it matches)" if before else ""),
            where=f"stages.{stage.name}.mixture.{number}",
            expected="one of " + ", ".join(there[:60]) + (" ..." if len(there) > 60 else ""),
            do="correct the part's languages, categories or kinds, or add such documents to "
            "[[corpus.inputs]]; a document belongs to the first part that matches",
        )


def _join(blocks: list[Candidates], seen: dict[Cell, int]) -> Candidates:
    cell_N = np.concatenate([block.cell_N for block in blocks])
    present = set(np.unique(cell_N).tolist())
    cells = tuple(sorted(cell for cell, code in seen.items() if code in present))
    renumber = np.full(len(seen), -1, np.int32)
    renumber[[seen[cell] for cell in cells]] = np.arange(len(cells))
    return Candidates(
        cells,
        renumber[cell_N],
        np.concatenate([block.row_N for block in blocks]),
        np.concatenate([block.id_N2 for block in blocks]),
        np.concatenate([block.bytes_N for block in blocks]),
    )
