"""How many documents have a key: entries that are added up, sorted, and looked up.

    entry: two words of a key, documents that have it, the smallest tag of these

A tag is the first word of a document's id.  Adding up takes some 50 ns an entry in a hash table.
"""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.dedup.partitions import Cut
from corpus.dedup.sketches import map_array

Entries = NDArray[np.uint64]
Numbers = NDArray[np.int64]

FIRST, DOCUMENTS, TAG, WIDTH = 0, 2, 3, 4
ENTRY_BYTES = 8 * WIDTH
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def tally(entries: Entries, owners: Numbers) -> Entries:
    """Each key once, with the sum of its documents and the smallest of its tags.

    Args:
        entries: shape (n, 4): two words of a key, documents, tag.
        owners: the document or part that each is of; of equal neighbours with one key, one counts.
    """
    table = np.zeros(1 << max(4, (2 * len(entries)).bit_length()), np.int32)
    merged, latest = np.empty_like(entries), np.empty(len(entries), np.int64)
    return merged[: _tally(entries, owners, table, merged, latest)]


def read_range(path: Path, cut: Cut, number: int) -> Entries:
    """The entries whose key begins with the bits of `number`."""
    entries = map_array(path, np.uint64).reshape(-1, 4)
    bounds = (each << (64 - cut.bits) for each in (number, number + 1))
    low, high = (
        bisect_left(range(len(entries)), bound, key=lambda i: int(entries[i, 0]))
        for bound in bounds
    )
    return entries[low:high]


def find_keys(entries: Entries, keys: Entries, wanted: NDArray[np.bool_]) -> Numbers:
    """The place of each wanted key, shape (n, 2), in sorted entries; -1 where it has none."""
    places = np.full(len(keys), -1)
    _find(entries, keys, wanted, places)
    return places


@njit(**_OPTIONS)
def _tally(entries: Any, owners: Any, table: Any, merged: Any, latest: Any) -> Any:
    """Fill `merged`; `table` has zeros, then places in `merged` counted from 1."""
    num, mask = 0, np.uint64(table.shape[0] - 1)
    for i in range(entries.shape[0]):
        slot = entries[i, 0] & mask
        while table[slot]:
            at = table[slot] - 1
            if merged[at, 0] == entries[i, 0] and merged[at, 1] == entries[i, 1]:
                break
            slot = (slot + np.uint64(1)) & mask
        if table[slot] == 0:
            merged[num] = entries[i]
            latest[num] = owners[i]
            num += 1
            table[slot] = num
        else:
            at = table[slot] - 1
            if latest[at] != owners[i]:
                merged[at, 2] += entries[i, 2]
                merged[at, 3] = min(merged[at, 3], entries[i, 3])
                latest[at] = owners[i]
    return num


@njit(**_OPTIONS)
def _find(entries: Any, keys: Any, wanted: Any, places: Any) -> None:
    for i in range(keys.shape[0]):
        if not wanted[i]:
            continue
        low, high = 0, entries.shape[0]
        while low < high:
            middle = (low + high) // 2
            one = entries[middle, 0]
            if one < keys[i, 0] or (one == keys[i, 0] and entries[middle, 1] < keys[i, 1]):
                low = middle + 1
            else:
                high = middle
        if low == entries.shape[0]:
            continue
        if entries[low, 0] == keys[i, 0] and entries[low, 1] == keys[i, 1]:
            places[i] = low
