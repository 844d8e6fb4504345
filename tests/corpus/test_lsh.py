"""Bands follow from the threshold."""

from __future__ import annotations

import numpy as np
import pytest

from corpus.dedup.lsh import candidate_probability, choose_bands


def test_default_is_eighteen_bands_of_seven() -> None:
    assert choose_bands(128, 0.8) == (18, 7)


@pytest.mark.parametrize("num_perm", [16, 64, 128, 256, 1000])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9])
def test_few_pairs_well_above_the_threshold_are_missed(num_perm: int, threshold: float) -> None:
    bands, rows = choose_bands(num_perm, threshold)
    assert bands * rows <= num_perm
    above = np.linspace(threshold, 1, 100)
    assert candidate_probability(above, bands, rows).mean() > 0.95


def test_table_of_the_docstring() -> None:
    similarity = np.array([0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95])
    found = candidate_probability(similarity, 18, 7)
    assert found.round(3).tolist() == [0.132, 0.4, 0.787, 0.986, 0.999, 1.0, 1.0]
    assert candidate_probability(np.array([0.8]), 9, 13).round(3).tolist() == [0.399]
