"""Which entries of a partition have equal keys, and which of their pairs are worth comparing.

A partition is ordered by some further bits of the key, so that each piece has a hash table that
stays in the cache; members of a group hang in a list.  Some 15 ns an entry, where sorting takes
ten times as long and a Python dictionary four hundred.

Members come in the order of their tags (the documents' ids), not of their rows: so neither the
order of shards nor their sizes decide which pairs are compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.dedup.partitions import Cut, Entries, scatter

Rows = NDArray[np.int64]

NUM_PREVIOUS = 3
"""A member of a group is paired with the first and with so many before it."""
_PIECE = 1 << 13
"""Entries of a piece: 16 bytes each and their table fit into a second-level cache."""

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def group_equal(entries: Entries, cut: Cut, tags: NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Groups of two or more entries with equal keys.

    Args:
        entries: of one partition, shape (n, words + 1).
        cut: that made the partition; its bits are equal here.
        tags: shape (rows, ...); members of a group are ordered by the first word of theirs.

    Returns:
        The rows of all members, group after group, and the end of each group.
    """
    pieces = max(0, (len(entries) - 1) // _PIECE).bit_length()
    pieces = min(pieces, 64 - cut.bits)
    starts = np.zeros((1 << pieces) + 1, np.uint64)
    ordered = np.empty_like(entries)
    scatter(entries, np.uint64(cut.bits), np.uint64(pieces), starts, ordered)
    members, ends = np.empty(len(entries), np.int64), np.empty(len(entries) // 2, np.int64)
    num_members, num_groups = _collect(ordered, starts, members, ends)
    members, ends = members[:num_members].copy(), ends[:num_groups].copy()
    _order(members, ends, tags)
    return members, ends


def pair_members(members: Rows, ends: Rows) -> Rows:
    """Pairs (smaller row, larger row) of each member with the first and up to three before it.

    A group of g members gives fewer than 4 g pairs, not g^2; what those leave out is found
    through the documents that are removed (see `corpus.dedup.verify`).
    """
    sizes = np.diff(ends, prepend=0)
    most = int((sizes - 1).sum()) * (1 + NUM_PREVIOUS)
    pairs = np.empty((most, 2), np.int64)
    return pairs[: _pair(members, ends, pairs)]


def unique_pairs(pairs: Rows) -> Rows:
    """Each pair once, sorted."""
    if not len(pairs):
        return pairs.reshape(0, 2)
    if int(pairs.max()) < 1 << 32:
        return unpack_pairs(np.unique(pack_pairs(pairs)))
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    ordered = pairs[order]
    first = np.ones(len(pairs), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[first]


def pack_pairs(pairs: Rows) -> NDArray[np.uint64]:
    """Pairs as 32 bits each; packed pairs sort by the first, then the second."""
    unsigned = pairs.astype(np.uint64)
    return unsigned[:, 0] << np.uint64(32) | unsigned[:, 1]


def unpack_pairs(packed: NDArray[np.uint64]) -> Rows:
    """Pairs from 32 bits each, shape (pairs, 2)."""
    first, second = packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)
    return np.stack([first, second], axis=1).astype(np.int64)


def find_components(pairs: Rows, num_nodes: int) -> Rows:
    """For each node the smallest one that pairs connect it with (union-find)."""
    parents = np.arange(num_nodes)
    _unite(pairs, parents)
    return parents


@njit(**_OPTIONS)
def _same(entries: Any, one: Any, other: Any) -> Any:
    for word in range(entries.shape[1] - 1):  # noqa: SIM110 (numba knows no all() of a generator)
        if entries[one, word] != entries[other, word]:
            return False
    return True


@njit(**_OPTIONS)
def _collect(entries: Any, starts: Any, members: Any, ends: Any) -> Any:
    """Fill `members` with the rows of groups of two and more; returns how many, and the groups."""
    largest = np.int64(0)
    for piece in range(starts.shape[0] - 1):
        largest = max(largest, np.int64(starts[piece + 1] - starts[piece]))
    size = 16
    while size < 2 * largest:
        size *= 2
    # Number in the piece, counted from 1, of a group's latest member; of a member's previous one.
    latest, previous = np.zeros(size, np.int32), np.empty(largest + 1, np.int32)
    used, groups = 0, 0
    for piece in range(starts.shape[0] - 1):
        low, high = np.int64(starts[piece]), np.int64(starts[piece + 1])
        size = 16
        while size < 2 * (high - low):
            size *= 2
        latest[:size] = 0
        mask = np.uint64(size - 1)
        for j in range(low, high):
            slot = entries[j, 0] & mask
            while latest[slot] and not _same(entries, low + latest[slot] - 1, j):
                slot = (slot + np.uint64(1)) & mask
            previous[j - low + 1] = latest[slot]
            latest[slot] = j - low + 1
        for slot in range(size):
            at = latest[slot]
            if at and previous[at]:
                while at:
                    members[used] = entries[low + at - 1, entries.shape[1] - 1]
                    used += 1
                    at = previous[at]
                ends[groups] = used
                groups += 1
    return used, groups


@njit(**_OPTIONS)
def _order(members: Any, ends: Any, tags: Any) -> None:
    """Order the members of each group by tag."""
    start = 0
    for group in range(ends.shape[0]):
        stop = ends[group]
        if stop - start == 2:
            if tags[members[start], 0] > tags[members[start + 1], 0]:
                members[start], members[start + 1] = members[start + 1], members[start]
        else:
            keys = np.empty(stop - start, np.uint64)
            for i in range(start, stop):
                keys[i - start] = tags[members[i], 0]
            members[start:stop] = members[start:stop][np.argsort(keys, kind="mergesort")]
        start = stop


@njit(**_OPTIONS)
def _pair(members: Any, ends: Any, pairs: Any) -> Any:
    used, start = 0, 0
    for group in range(ends.shape[0]):
        stop = ends[group]
        for i in range(start + 1, stop):
            for step in range(min(i - start, NUM_PREVIOUS + 1)):
                j = start if step == NUM_PREVIOUS else i - 1 - step
                pairs[used, 0] = min(members[j], members[i])
                pairs[used, 1] = max(members[j], members[i])
                used += 1
        start = stop
    return used


@njit(**_OPTIONS)
def _unite(pairs: Any, parents: Any) -> None:
    for p in range(pairs.shape[0]):
        one, other = pairs[p, 0], pairs[p, 1]
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        while parents[other] != other:
            parents[other] = parents[parents[other]]
            other = parents[other]
        if one < other:
            parents[other] = one
        else:
            parents[one] = other
    for node in range(parents.shape[0]):
        parents[node] = parents[parents[node]]
