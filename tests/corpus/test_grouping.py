"""Entries meet their equals whatever files and partitions they lie in; DuckDB is the oracle."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.grouping import (
    find_components,
    group_equal,
    pair_members,
    unique_pairs,
)
from corpus.dedup.partitions import LARGEST, Cut, choose_cut, read_partition, write_partitions


def make_entries(chance: np.random.Generator, size: int, words: int) -> np.ndarray:
    """Keys of which many are equal in all words, and some in the first only."""
    keys = chance.integers(0, 1 << 64, (size, words), np.uint64)
    copied = chance.random(size) < 0.5
    keys[copied] = keys[chance.integers(0, size, int(copied.sum()))]
    if words == 2:
        half = chance.random(size) < 0.2
        keys[half, 0] = keys[0, 0]
    return np.column_stack([keys, np.arange(size, dtype=np.uint64)])


def groups_of(members: np.ndarray, ends: np.ndarray) -> list[list[int]]:
    return [each.tolist() for each in np.split(members, ends[:-1])] if len(ends) else []


def group_by_duckdb(entries: np.ndarray, tags: np.ndarray) -> list[list[int]]:
    """The rows of each group in the order of the tags, groups sorted."""
    words = [f"w{number}" for number in range(entries.shape[1] - 1)]
    columns = dict(zip([*words, "row"], entries.T.copy(), strict=True))
    table = pa.table({**columns, "tag": tags[entries[:, -1], 0]})  # noqa: F841 (read by DuckDB)
    query = f"""SELECT list(row ORDER BY tag) FROM "table" GROUP BY {", ".join(words)}
        HAVING count(*) > 1"""
    return sorted(row[0] for row in duckdb.execute(query).fetchall())


@pytest.mark.parametrize("words", [1, 2])
@pytest.mark.parametrize("bits", [0, 1, 5])
def test_groups_are_those_of_duckdb(tmp_path: Path, words: int, bits: int) -> None:
    chance = np.random.default_rng(words * 10 + bits)
    entries, cut = make_entries(chance, 40_000, words), Cut(bits)
    tags = chance.permutation(np.arange(len(entries), dtype=np.uint64)).reshape(-1, 1)
    shards = np.array_split(entries, 7)
    paths = [
        write_partitions(tmp_path / str(number), shard, cut) for number, shard in enumerate(shards)
    ]
    found: list[list[int]] = []
    total = 0
    for part in range(cut.num_parts):
        own = read_partition(paths, part, cut, words)
        assert not bits or (own[:, 0] >> np.uint64(64 - bits) == part).all()
        total += len(own)
        found += groups_of(*group_equal(own, cut, tags))
    assert total == len(entries)
    assert sorted(found) == group_by_duckdb(entries, tags)


def test_a_group_of_a_million_is_one_group() -> None:
    size = 1_000_000
    entries = np.column_stack([np.full(size, 7, np.uint64), np.arange(size, dtype=np.uint64)])
    tags = np.arange(size, 0, -1, np.uint64).reshape(-1, 1)
    members, ends = group_equal(entries, Cut(0), tags)
    assert ends.tolist() == [size]
    assert (members == np.arange(size)[::-1]).all()
    assert len(pair_members(members, ends)) == 4 * size - 10


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=5))
def test_pairs_are_with_the_first_and_three_before(sizes: list[int]) -> None:
    sizes = [size + 1 for size in sizes]
    ends = np.cumsum(np.array(sizes, np.int64))
    members = np.random.default_rng(0).permutation(int(sum(sizes)))
    needed = set()
    for group in np.split(members, ends[:-1]) if sizes else []:
        for i, j in combinations(range(len(group)), 2):
            if i == 0 or j - i <= 3:
                needed.add((min(group[i], group[j]), max(group[i], group[j])))
    found = [tuple(pair) for pair in pair_members(members, ends).tolist()]
    assert len(found) == len(set(found))
    assert set(found) == needed


@pytest.mark.parametrize("start", [0, 1 << 40])
def test_unique_pairs_are_sorted_whatever_the_row_numbers(start: int) -> None:
    chance = np.random.default_rng(3)
    pairs = chance.integers(start, start + 20, (500, 2))
    expected = sorted({tuple(pair) for pair in pairs.tolist()})
    assert [tuple(pair) for pair in unique_pairs(pairs).tolist()] == expected
    assert unique_pairs(np.empty((0, 2), np.int64)).shape == (0, 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=20))
def test_components_are_those_of_a_walk(pairs: list[tuple[int, int]]) -> None:
    found = find_components(np.array(pairs, np.int64).reshape(-1, 2), 16)
    for node in range(16):
        reached, waiting = {node}, [node]
        while waiting:
            at = waiting.pop()
            fresh = {b for a, b in [*pairs, *((b, a) for a, b in pairs)] if a == at} - reached
            reached |= fresh
            waiting += fresh
        assert found[node] == min(reached)


def test_partitions_fit_into_the_memory() -> None:
    assert choose_cut(0, 10**9) == choose_cut(10**6, 10**9) == Cut(0)
    assert choose_cut(LARGEST + 1, 10**12) == Cut(1)
    assert choose_cut(80 * 10**9, 10**12).num_parts <= 1024
    for memory in (10**6, 10**8, 10**9):
        cut = choose_cut(160_000_000, memory)
        assert 160_000_000 / cut.num_parts * 100 <= memory
