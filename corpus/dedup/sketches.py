"""What the duplicate search takes from every document, part by part, and leaves in files.

    number_ids        part -> ids (16 bytes a document) and entries (id, row)
    sketch_documents  part -> entries (band key, row), and (key of the normalised text, row)

A signature lives only as long as its batch: it is hashed to one key for each band and dropped.  A
band key is a 64-bit hash of the band's number and its rows of the signature, so the entries of all
bands can lie in one table.  Every function here is a task: it reads shards, writes files that are
whole or absent, and passes over what an earlier, killed run has left whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.dedup.partitions import Cut, write_arrays, write_partitions
from corpus.hashing import kernels
from corpus.hashing.shingles import mix64
from corpus.hashing.signatures import normalized_keys, sketch_with_normalized, string_buffers
from corpus.sources import Part, Source, join_columns

Keys = NDArray[np.uint64]

SEED = 1
"""Of the permutations; datasketch's default."""


@dataclass(frozen=True)
class Workshop:
    """Where the tasks of one search find their input and leave their output.

    Attributes:
        source: the documents.
        folder: for the files of the tasks, one name for each part or partition.
        ids, bands: how the entries of each table are cut; normalised keys are cut as ids are.
        rows: of a band.
    """

    source: Source
    folder: Path
    ids: Cut
    bands: Cut
    num_perm: int
    ngram: int
    num_bands: int
    rows: int

    def path(self, kind: str, number: int) -> Path:
        """The file of a kind for a part or partition."""
        return self.folder / f"{kind}-{number:06}"

    def paths(self, kind: str, numbers: Any) -> list[Path]:
        """The files of a kind."""
        return [self.path(kind, number) for number in numbers]

    @property
    def all_ids(self) -> Path:
        return self.folder / "ids"

    @property
    def left(self) -> Path:
        """A byte for each row: whether it is still in the search."""
        return self.folder / "left"

    def open_ids(self) -> Keys:
        """The ids of all documents, shape (rows, 2), mapped."""
        return map_array(self.all_ids, np.uint64).reshape(-1, 2)

    def open_left(self) -> NDArray[np.bool_]:
        """Which rows are still in the search, mapped."""
        return map_array(self.left, np.bool_)


def map_array(path: Path, kind: Any) -> NDArray[Any]:
    """A file of plain numbers as an array that is read where it is touched."""
    if not path.stat().st_size:
        return np.empty(0, kind)
    return np.asarray(np.memmap(path, kind, "r"))


def number_ids(shop: Workshop, part: Part) -> int:
    """Write the ids of a part, and their entries (two words of id, row); returns its rows."""
    target = shop.path("id-entries", part.number)
    if not target.exists():
        ids = np.concatenate([np.empty((0, 2), np.uint64), *_read_ids(shop.source, part)])
        write_arrays(shop.path("ids", part.number), (ids,))
        rows = np.arange(part.first, part.first + part.num_rows, dtype=np.uint64)
        write_partitions(target, np.column_stack([ids, rows]), shop.ids)
    return part.num_rows


def _read_ids(source: Source, part: Part) -> Iterator[Keys]:
    for chunk in source.read(("id",), part=part):
        yield parse_ids(chunk.batch.column("id"))


def parse_ids(column: pa.Array) -> Keys:
    """Ids of 32 hexadecimal digits as two words each, shape (ids, 2)."""
    data, offsets = string_buffers(column)
    digits = data[offsets[0] : offsets[-1]].tobytes().decode("ascii")
    return np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64).reshape(-1, 2)


def sketch_documents(shop: Workshop, part: Part) -> int:
    """Write the band entries and the normalised entries of what is left of a part.

    Returns:
        Documents sketched.
    """
    target, copies = shop.path("bands", part.number), shop.path("copies", part.number)
    rows = part.first + np.flatnonzero(
        shop.open_left()[part.first : part.first + part.num_rows]
    ).astype(np.int64)
    if not target.exists():
        bands: list[Keys] = [np.empty((0, 2), np.uint64)]
        normalized: list[Keys] = [np.empty((0, 3), np.uint64)]
        for chunk in shop.source.take(("prompt", "text"), rows, part):
            own = rows[chunk.first : chunk.first + len(chunk.batch)].astype(np.uint64)
            keys, copy_keys = _sketch_batch(shop, chunk.batch)
            # A document without a token resembles none, another one without included.
            filled = copy_keys.any(axis=1)
            bands.append(_to_entries(keys[:, filled], own[filled]))
            normalized.append(np.column_stack([copy_keys, own])[filled])
        write_partitions(copies, np.concatenate(normalized), shop.ids)
        write_partitions(target, np.concatenate(bands), shop.bands)
    return len(rows)


def _to_entries(keys: Keys, rows: Keys) -> Keys:
    """Keys of shape (bands, documents) as entries."""
    return np.column_stack([keys.reshape(-1), np.tile(rows, len(keys))])


def _sketch_batch(shop: Workshop, batch: pa.RecordBatch) -> tuple[Keys, Keys]:
    """Band keys, shape (bands, documents), and the keys of the normalised texts."""
    text, prompt = batch.column("text"), batch.column("prompt")
    asked = _has_prompt(prompt)
    whole = join_columns(prompt, text, "\n") if asked.any() else text
    signatures, copy_keys = sketch_with_normalized(whole, shop.num_perm, shop.ngram, SEED)
    if asked.any():
        copy_keys = join_keys(normalized_keys(prompt), normalized_keys(text))
    keys = np.empty((shop.num_bands, len(batch)), np.uint64)
    kernels.make_band_keys(signatures, shop.rows, keys)
    return keys, copy_keys


def _has_prompt(prompt: pa.Array) -> NDArray[np.bool_]:
    _, offsets = string_buffers(prompt)
    return np.diff(offsets) > 0


def join_keys(prompt: Keys, text: Keys) -> Keys:
    """One key for a prompt and a text: the text's where the prompt has no token, (0, 0) where the
    text has none."""
    factors = np.array([mix64(1) | 1, mix64(2) | 1], np.uint64)
    return np.where(text.any(axis=1, keepdims=True), text ^ prompt * factors, np.uint64(0))
