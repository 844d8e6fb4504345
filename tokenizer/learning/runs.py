"""The runs that pieces are learned from: stretches of Han characters, each kept once and counted.

A corpus repeats itself, so runs are stored once with the number of times they occur: learning then
costs memory and time for distinct text only.  A run longer than 64 characters is cut behind its
last punctuation mark.  Text is read as Arrow holds it, UTF-8 in one buffer.  The price is 4 bytes a
character of distinct text and 24 bytes a run, twice that while the arrays grow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.characters import Kind
from tokenizer.model import SPACE

LONGEST_RUN = 64
_PART = 1 << 22
_EMPTY = np.int32(-1)
_U32 = np.uint64(32)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HAN, _SPACE = int(Kind.HAN), int(Kind.SPACE)
_BLANK = ord(SPACE)


@dataclass(frozen=True)
class Runs:
    """Distinct runs.

    Attributes:
        codes: code points; a 0 stands in front of every run and behind the last.
        starts: where each run begins in `codes`; one more than there are runs.
        weights: how often each run occurs.
    """

    codes: NDArray[np.int32]
    starts: NDArray[np.int64]
    weights: NDArray[np.int64]

    @property
    def num_characters(self) -> int:
        """Running characters: those of every occurrence."""
        return int(((np.diff(self.starts) - 1) * self.weights).sum())


class _Store(NamedTuple):
    codes: NDArray[np.int32]
    starts: NDArray[np.int64]
    weights: NDArray[np.int64]
    table: NDArray[np.int32]
    used: NDArray[np.int64]  # characters, runs


class RunCounter:
    """Counts the runs of texts.

    Args:
        kinds: `Kind` of every code point, from `make_kinds`.
    """

    def __init__(self, kinds: NDArray[np.uint8]) -> None:
        self._kinds = kinds
        self._store = _Store(
            np.zeros(1 << 16, np.int32),
            np.ones(1 << 12, np.int64),
            np.zeros(1 << 12, np.int64),
            np.full(1 << 13, _EMPTY, np.int32),
            np.array([1, 0], np.int64),
        )

    def add(self, texts: Iterable[str], weight: int = 1) -> int:
        """Count the runs of some texts; returns the number of characters read."""
        return self.add_array(pa.array(texts, pa.large_string()), weight)

    def add_array(
        self, texts: pa.Array | pa.ChunkedArray, weights: int | NDArray[np.int64] = 1
    ) -> int:
        """Count the runs of some texts; returns the number of characters read.

        Args:
            texts: of a string type; nulls count as empty.
            weights: how often each text counts, or all of them; those that count 0 times are
                left out.
        """
        each = np.broadcast_to(np.asarray(weights, np.int64), len(texts))
        chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
        characters = begin = 0
        for chunk in chunks:
            part = np.ascontiguousarray(each[begin : begin + len(chunk)])
            characters += self._add_texts(*_read_buffers(chunk), part)
            begin += len(chunk)
        return characters

    def finish(self) -> Runs:
        """All runs so far."""
        store = self._store
        characters, runs = int(store.used[0]), int(store.used[1])
        return Runs(
            store.codes[:characters].copy(),
            store.starts[: runs + 1].copy(),
            store.weights[:runs].copy(),
        )

    def _add_texts(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64], weights: NDArray[np.int64]
    ) -> int:
        """A part of some megabytes at a time, whole texts each."""
        characters, begin = 0, 0
        while begin < len(weights):
            end = int(np.searchsorted(offsets, offsets[begin] + _PART, side="right")) - 1
            end = max(end, begin + 1)
            size = int(offsets[end] - offsets[begin])
            self._store = _make_room(self._store, size)
            buffer = np.empty(LONGEST_RUN, np.int32)
            part = (data, offsets[begin : end + 1], weights[begin:end])
            characters += _count_runs(*part, self._kinds, buffer, self._store)
            begin = end
        return characters


def _read_buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bytes and offsets of an array of strings."""
    texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    _, offsets, data = texts.buffers()
    if offsets is None or not len(texts):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data or b"", np.uint8), bounds


def _make_room(store: _Store, size: int) -> _Store:
    """Room for what `size` bytes can add: every second one may be a run."""
    characters, runs = int(store.used[0]) + 2 * size + 2, int(store.used[1]) + size // 2 + 2
    table = store.table
    if 2 * runs > len(table):
        table = np.full(1 << (4 * runs).bit_length(), _EMPTY, np.int32)
        _index_runs(store, table)
    return _Store(
        _grow(store.codes, characters),
        _grow(store.starts, runs + 1),
        _grow(store.weights, runs),
        table,
        store.used,
    )


def _grow(array: NDArray, size: int) -> NDArray:
    if size <= len(array):
        return array
    larger = np.zeros(size + size // 2, array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True)
def _hash_codes(codes, begin, end):  # pyright: ignore
    value = np.uint64(end - begin)
    for at in range(begin, end):
        value = (value ^ np.uint64(codes[at])) * _FACTOR
        value ^= value >> _U32
    return value


@njit(cache=True, inline="always")
def _decode(data, at):  # pyright: ignore
    """The code point at a byte of UTF-8 and its length; that of no known character if cut off."""
    byte, left = np.int32(data[at]), len(data) - at
    if byte < 0x80:
        return byte, 1
    if byte < 0xE0 and left > 1:
        return (byte & 0x1F) << 6 | (data[at + 1] & 0x3F), 2
    if byte < 0xF0 and left > 2:
        return (byte & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F), 3
    if left > 3:
        code = (byte & 0x07) << 18 | (data[at + 1] & 0x3F) << 12
        code |= (data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F)
        return min(code, 0x10FFFF), 4
    return 0, left


@njit(cache=True)
def _count_runs(data, offsets, weights, kinds, buffer, store):  # pyright: ignore
    """Returns the number of characters."""
    characters = 0
    for text in range(len(weights)):
        if weights[text] > 0:
            begin, end = offsets[text], offsets[text + 1]
            characters += _count_text(data[begin:end], weights[text], kinds, buffer, store)
    return characters


@njit(cache=True)
def _count_text(data, weight, kinds, buffer, store):  # pyright: ignore
    at = size = cut = characters = 0
    spaced = kinds[_BLANK] == _SPACE  # SentencePiece puts a space in front of every text
    while at < len(data):
        code, length = _decode(data, at)
        at += length
        characters += 1
        kind = kinds[code]
        if kind <= _SPACE:
            _add_run(buffer, size, weight, store)
            size = cut = 0
            spaced = kind == _SPACE
            continue
        if spaced:
            buffer[0] = _BLANK
            size, spaced = 1, False
        buffer[size] = code
        size += 1
        if kind != _HAN:
            cut = size
        if size == LONGEST_RUN:
            cut = cut if cut > 0 else size
            _add_run(buffer, cut, weight, store)
            size -= cut
            buffer[:size] = buffer[cut : cut + size].copy()
            cut = 0
    _add_run(buffer, size, weight, store)
    return characters


@njit(cache=True)
def _add_run(codes, size, weight, store):  # pyright: ignore
    if size == 0:
        return
    mask = np.uint64(len(store.table) - 1)
    place = _hash_codes(codes, 0, size) & mask
    while store.table[place] >= 0:
        run = store.table[place]
        if _is_same(codes, size, store, run):
            store.weights[run] += weight
            return
        place = (place + np.uint64(1)) & mask
    used, run = store.used[0], store.used[1]
    store.table[place] = run
    store.weights[run] = weight
    for at in range(size):
        store.codes[used + at] = codes[at]
    store.codes[used + size] = 0
    store.starts[run + 1] = used + size + 1
    store.used[0] = used + size + 1
    store.used[1] = run + 1


@njit(cache=True)
def _is_same(codes, size, store, run):  # pyright: ignore
    start = store.starts[run]
    if store.starts[run + 1] - 1 - start != size:
        return False
    for at in range(size):  # noqa: SIM110 (a loop compiles to less than a generator)
        if store.codes[start + at] != codes[at]:
            return False
    return True


@njit(cache=True)
def _index_runs(store, table):  # pyright: ignore
    mask = np.uint64(len(table) - 1)
    for run in range(store.used[1]):
        begin, end = store.starts[run], store.starts[run + 1] - 1
        place = _hash_codes(store.codes, begin, end) & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = run
