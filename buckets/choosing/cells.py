"""Cells: the documents of one category, language and kind that one part of a mixture takes.

A document belongs to the first part that matches it.  Within a cell documents are used in the order
of a keyed hash of their ids, so the order depends neither on the order of the input files nor on
what else the corpus holds.

The price: documents are told apart by code numbers of a batch's own dictionaries, a few
microseconds for a batch and nanoseconds for a document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tongwen.recipe import Part

LARGEST_KEY = 2**64 - 1


@dataclass(frozen=True, order=True)
class Cell:
    """Documents that are used alike; `kind` is `qa` where they have a prompt, else `text`."""

    part: int
    language: str
    category: str
    kind: str


def matches(part: Part, language: str, category: str, kind: str) -> bool:
    """Whether a part of a mixture takes documents of this language, category and kind."""
    return (
        (not part.languages or language in part.languages)
        and (not part.categories or any(fnmatchcase(category, glob) for glob in part.categories))
        and (not part.kinds or kind in part.kinds)
    )


def find_part(mixture: Sequence[Part], language: str, category: str, kind: str) -> int:
    """Number of the first part that takes such documents; -1 where none does."""
    found = (i for i, part in enumerate(mixture) if matches(part, language, category, kind))
    return next(found, -1)


def split_kinds(batch: pa.RecordBatch) -> Iterator[tuple[str, str, str, NDArray[np.int64]]]:
    """Language, category and kind of each such group of a batch, and its rows."""
    languages = batch.column("language").dictionary_encode()
    categories = batch.column("category").dictionary_encode()
    code_N = languages.indices.to_numpy().astype(np.int64) * len(categories.dictionary)
    code_N = (code_N + categories.indices.to_numpy()) * 2
    lengths = pc.call_function("binary_length", [batch.column("prompt")])
    code_N += lengths.to_numpy(zero_copy_only=False) > 0
    for code in np.unique(code_N):
        pair, kind = divmod(int(code), 2)
        language, category = divmod(pair, len(categories.dictionary))
        yield (
            languages.dictionary[language].as_py(),
            categories.dictionary[category].as_py(),
            "qa" if kind else "text",
            np.flatnonzero(code_N == code),
        )


def find_excluded(ids: pa.Array, excluded: pa.Array) -> NDArray[np.bool_]:
    """Which ids are among those that no stage may use."""
    found = pc.call_function("is_in", [ids], pc.SetLookupOptions(value_set=excluded))
    return found.to_numpy(zero_copy_only=False).astype(np.bool_)


def make_salt(*key: object) -> int:
    """64 bits from a seed and names."""
    text = "\0".join(str(part) for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def hash_ids(ids: pa.Array, salt: int) -> NDArray[np.uint64]:
    """uint64[N], the key of each id (32 hex digits): its first half, salted and mixed.

    Mixed by the finaliser of splitmix64 (Steele, Lea and Flood 2014), a bijection of 64 bits.
    """
    joined = ids.buffers()[2]
    if joined is None or not len(ids):
        return np.zeros(0, np.uint64)
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1]
    digits = memoryview(joined)[int(offsets[0]) : int(offsets[-1])]
    high_N = np.frombuffer(bytes.fromhex(str(digits, "ascii")), ">u8").reshape(-1, 2)[:, 0]
    value_N = high_N.astype(np.uint64) ^ np.uint64(salt)
    value_N = (value_N ^ (value_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value_N = (value_N ^ (value_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value_N ^ (value_N >> np.uint64(31))
