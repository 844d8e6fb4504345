"""The runs that pieces are learned from: stretches of Han characters, each kept once and counted.

A corpus repeats itself, so runs are stored once with the number of times they occur: learning then
costs memory and time for distinct text only.  A run longer than 64 characters is cut behind its
last punctuation mark.  The price is 4 bytes a character of distinct text and 24 bytes a run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.characters import Kind

LONGEST_RUN = 64
_PART = 1 << 20
_EMPTY = np.int32(-1)
_U32 = np.uint64(32)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HAN, _OTHER = int(Kind.HAN), int(Kind.OTHER)


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

    def add(self, texts: Iterable[str]) -> int:
        """Count the runs of some texts; returns the number of characters read."""
        joined = "\n".join(texts)
        for start in range(0, len(joined), _PART):
            self._add_part(joined[start : start + _PART])
        return len(joined)

    def finish(self) -> Runs:
        """All runs so far."""
        store = self._store
        characters, runs = int(store.used[0]), int(store.used[1])
        return Runs(
            store.codes[:characters].copy(),
            store.starts[: runs + 1].copy(),
            store.weights[:runs].copy(),
        )

    def _add_part(self, text: str) -> None:
        codes = np.frombuffer(text.encode("utf-32-le"), np.int32)
        self._store = _make_room(self._store, len(codes))
        _count_runs(codes, self._kinds, self._store)


def _make_room(store: _Store, size: int) -> _Store:
    """Room for what a part of `size` characters can add: every second one may be a run."""
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
def hash_codes(codes, begin, end):  # pyright: ignore
    """64-bit hash of a stretch of code points."""
    value = np.uint64(end - begin)
    for at in range(begin, end):
        value = (value ^ np.uint64(codes[at])) * _FACTOR
        value ^= value >> _U32
    return value


@njit(cache=True)
def _count_runs(codes, kinds, store):  # pyright: ignore
    begin = cut = np.int64(-1)
    for at in range(len(codes)):
        kind = kinds[codes[at]]
        if kind == _OTHER:
            if begin >= 0:
                _add_run(codes, begin, at, store)
            begin = np.int64(-1)
            continue
        if begin < 0:
            begin = cut = np.int64(at)
        if kind != _HAN:
            cut = np.int64(at + 1)
        if at + 1 - begin == LONGEST_RUN:
            end = cut if cut > begin else np.int64(at + 1)
            _add_run(codes, begin, end, store)
            begin = cut = end if end <= at else np.int64(-1)
    if begin >= 0:
        _add_run(codes, begin, len(codes), store)


@njit(cache=True)
def _add_run(codes, begin, end, store):  # pyright: ignore
    mask = np.uint64(len(store.table) - 1)
    place = hash_codes(codes, begin, end) & mask
    while store.table[place] >= 0:
        run = store.table[place]
        if _is_same(codes, begin, end, store, run):
            store.weights[run] += 1
            return
        place = (place + np.uint64(1)) & mask
    used, run = store.used[0], store.used[1]
    store.table[place] = run
    store.weights[run] = 1
    for at in range(begin, end):
        store.codes[used + at - begin] = codes[at]
    store.codes[used + end - begin] = 0
    store.starts[run + 1] = used + end - begin + 1
    store.used[0] = used + end - begin + 1
    store.used[1] = run + 1


@njit(cache=True)
def _is_same(codes, begin, end, store, run):  # pyright: ignore
    start = store.starts[run]
    if store.starts[run + 1] - 1 - start != end - begin:
        return False
    for at in range(begin, end):  # noqa: SIM110 (a loop compiles to less than a generator)
        if store.codes[start + at - begin] != codes[at]:
            return False
    return True


@njit(cache=True)
def _index_runs(store, table):  # pyright: ignore
    mask = np.uint64(len(table) - 1)
    for run in range(store.used[1]):
        begin, end = store.starts[run], store.starts[run + 1] - 1
        place = hash_codes(store.codes, begin, end) & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = run
