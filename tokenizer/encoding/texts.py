"""Texts in whatever form as UTF-8 in a row, about a megabyte at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tongwen.errors import TongwenError

Texts = Sequence[str] | pa.Array | pa.ChunkedArray
"""Strings of Python, or an Arrow column of strings."""

PART_BYTES = 1 << 20
"""Bytes of a part, if it has more than one text."""


class Part(NamedTuple):
    """Text i is data[offset_T[i] : offset_T[i + 1]].

    Attributes:
        data: UTF-8 of these texts and others.
        offset_T: int64, where each text begins, and the end.
        unsure: the same texts as Arrow has them, where they came from outside; else None.
    """

    data: NDArray[np.uint8]
    offset_T: NDArray[np.int64]
    unsure: Any

    def check(self) -> None:
        """Make sure that the texts are valid UTF-8 and lie within the data.

        Raises:
            TongwenError: they are not.
        """
        try:
            if self.unsure is not None:
                self.unsure.validate(full=True)
        except pa.ArrowInvalid as error:
            raise TongwenError(
                f"a text is not valid UTF-8: {error}", expected="a valid Arrow column of strings"
            ) from None


def split_texts(texts: Texts) -> Iterator[Part]:
    """Cut into parts; `check` a part before its offsets are trusted.

    Raises:
        TongwenError: a text is null, or holds a lone surrogate.
        TypeError: not texts.
    """
    if isinstance(texts, str):
        raise TypeError("expected a sequence of texts, not one text")
    first = 0
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        for array in _convert(texts):
            yield from _cut(array, unsure=False)
        return
    column: Any = texts
    for array in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        yield from _cut(_refine(array, first), unsure=True)
        first += len(array)


def _convert(texts: Sequence[str]) -> Iterator[pa.Array]:
    """Batches of about a million characters as Arrow arrays."""
    batch: list[str] = []
    first = size = 0
    for number, text in enumerate(texts, 1):
        batch.append(text)
        size += len(text) if text is not None else 0
        if size >= PART_BYTES or number == len(texts):
            yield _make_array(batch, first)
            batch, first, size = [], number, 0


def _make_array(batch: list[str], first: int) -> pa.Array:
    try:
        return pa.array(batch, pa.large_string())
    except UnicodeEncodeError as error:
        number = next(i for i, text in enumerate(batch) if _has_surrogate(text))
        raise TongwenError(
            f"text {first + number:,} has a lone surrogate, {error.object[error.start]!r}",
            where=f"character {error.start:,}",
            expected="characters that can be written as UTF-8",
            do="read the text again with the right encoding, or replace such characters",
        ) from None


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _refine(array: Any, first: int) -> Any:
    """The array as one of strings, without nulls."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if pa.types.is_null(kind) and not len(array):
        return pa.array([], pa.large_string())
    if array.null_count:
        number = first + int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise TongwenError(f"text {number:,} is null", expected="a text, which may be empty")
    if pa.types.is_string_view(kind):
        array, kind = array.cast(pa.large_string()), pa.large_string()
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise TypeError(f"expected a column of strings, not of {kind}")
    return array


def _cut(array: Any, *, unsure: bool) -> Iterator[Part]:
    """Slices of about PART_BYTES; a longer text is a part of its own."""
    if not len(array):
        return
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, offsets, values = array.buffers()
    offset_T = np.frombuffer(offsets, kind)[array.offset : array.offset + len(array) + 1]
    offset_T = offset_T.astype(np.int64)
    data = np.frombuffer(values or b"", np.uint8)
    number_T = (offset_T[:-1] - offset_T[0]) // PART_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(number_T)) + 1).tolist(), len(array)]
    for start, stop in pairwise(cuts):
        part = array.slice(start, stop - start) if unsure else None
        yield Part(data, offset_T[start : stop + 1], part)
