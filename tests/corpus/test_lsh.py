"""Bands follow from the threshold, and every pair of a band's small group is found."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.lsh import BandFiles, candidate_probability, choose_bands, find_pairs


def test_default_is_sixteen_bands_of_eight() -> None:
    assert choose_bands(128, 0.8) == (16, 8)


@pytest.mark.parametrize("num_perm", [16, 64, 128, 256, 1000])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9])
def test_few_pairs_well_above_the_threshold_are_missed(num_perm: int, threshold: float) -> None:
    bands, rows = choose_bands(num_perm, threshold)
    assert bands * rows <= num_perm
    above = np.linspace(threshold, 1, 100)
    assert candidate_probability(above, bands, rows).mean() > 0.95


def test_table_of_the_docstring() -> None:
    similarity = np.array([0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95])
    found = candidate_probability(similarity, 16, 8)
    assert found.round(3).tolist() == [0.061, 0.237, 0.613, 0.947, 0.994, 1.0, 1.0]
    assert candidate_probability(np.array([0.8]), 9, 13).round(3).tolist() == [0.399]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=2), max_size=14))
def test_pairs_are_those_of_brute_force(keys: list[list[int]]) -> None:
    found = pairs_of(np.array(keys, np.uint64).reshape(-1, 2).T)
    allowed, needed = set(), set()
    for band in range(2):
        for key in range(6):
            group = [row for row, each in enumerate(keys) if each[band] == key]
            allowed |= set(combinations(group, 2))
            close = [
                (a, b) for a, b in combinations(group, 2) if group.index(b) - group.index(a) < 4
            ]
            needed |= {*close, *((group[0], member) for member in group[1:])}
    assert needed == found <= allowed


def pairs_of(keys: np.ndarray) -> set[tuple[int, int]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        with BandFiles(Path(folder), len(keys)) as files:
            files.add(np.ascontiguousarray(keys[:, :3]))
            files.add(np.ascontiguousarray(keys[:, 3:]))
        pairs = find_pairs(files, np.arange(keys.shape[1]))
        assert not list(Path(folder).iterdir())
    return {(a, b) for a, b in pairs.tolist()}
