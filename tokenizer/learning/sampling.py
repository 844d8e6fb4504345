"""The documents that pieces are learned from, and the ones that they are measured on.

Learning reads the kept documents of the wanted languages except the held-out ones.  Where they
hold more characters than `max_characters`, documents are chosen by their id, which is a hash: the
choice is the same whatever the order of the files, and costs one more pass over the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute  # its functions are made at import: a checker cannot see them

_DIGITS = 5
_NUM_CLASSES = 16**_DIGITS

Read = Callable[[list[str]], Iterable[pa.RecordBatch]]
"""Reads the kept documents with the columns named."""


def read_chosen(
    read: Read, languages: tuple[str, ...], held_out: pa.Array, max_characters: int
) -> Iterator[pa.RecordBatch]:
    """The documents to learn from, at most `max_characters` of text and prompts in all.

    Columns: id, text, prompt, language, category, source.
    """
    last = _find_last_class(read, languages, held_out, max_characters)
    for batch in _read_unseen(read, languages, held_out, ("category", "source")):
        chosen = batch.filter(pa.array(_read_classes(batch) <= last))
        if chosen.num_rows:
            yield chosen


def read_held_out(read: Read, held_out: pa.Array) -> Iterator[pa.RecordBatch]:
    """The held-out documents: id, text, prompt, category, language, source."""
    for batch in read(["id", "text", "prompt", "category", "language", "source"]):
        chosen = batch.filter(pc.is_in(batch.column("id"), value_set=held_out))
        if chosen.num_rows:
            yield chosen


def _read_unseen(
    read: Read, languages: tuple[str, ...], held_out: pa.Array, columns: tuple[str, ...] = ()
) -> Iterator[pa.RecordBatch]:
    wanted = pa.array(languages, pa.string())
    for batch in read(["id", "text", "prompt", "language", *columns]):
        spoken = pc.is_in(batch.column("language"), value_set=wanted)
        unseen = pc.invert(pc.is_in(batch.column("id"), value_set=held_out))
        chosen = batch.filter(pc.and_(spoken, unseen))
        if chosen.num_rows:
            yield chosen


def _read_classes(batch: pa.RecordBatch) -> np.ndarray:
    """The first five hexadecimal digits of each id, as a number."""
    starts = pc.utf8_slice_codeunits(batch.column("id"), 0, _DIGITS).cast(pa.binary())
    starts = starts.cast(pa.binary(_DIGITS))
    digits = np.frombuffer(starts.buffers()[1], np.uint8, count=len(starts) * _DIGITS)
    values = (digits & 15) + 9 * (digits >> 6).astype(np.int64)
    return values.reshape(-1, _DIGITS) @ 16 ** np.arange(_DIGITS)[::-1]


def _find_last_class(
    read: Read, languages: tuple[str, ...], held_out: pa.Array, max_characters: int
) -> int:
    """The last class of ids with which there are still at most `max_characters`."""
    sizes = np.zeros(_NUM_CLASSES, np.int64)
    for batch in _read_unseen(read, languages, held_out):
        lengths = pc.add(
            pc.utf8_length(batch.column("text")), pc.utf8_length(batch.column("prompt"))
        )
        np.add.at(sizes, _read_classes(batch), lengths.to_numpy(zero_copy_only=False))
    return int(np.searchsorted(np.cumsum(sizes), max_characters, side="right")) - 1
