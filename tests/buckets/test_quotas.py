"""Quotas: the budget divided, bounded by the epochs, refused with the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buckets.choosing.cells import Cell
from buckets.choosing.quotas import divide, pour, refuse_short, set_quotas
from tongwen.errors import TongwenError
from tongwen.recipe import Part, Stage

EN = [Cell(0, "en", "news", "text"), Cell(0, "en", "wiki", "text")]
ZH = [Cell(1, "zh", "law", "text"), Cell(1, "zh", "web", "text")]
CELLS = (*EN, *ZH)


def have(*tokens: int) -> np.ndarray:
    return np.array(tokens, np.int64)


def none_used() -> np.ndarray:
    return np.zeros(len(CELLS), np.int64)


def test_fixed_shares_are_met_to_the_token() -> None:
    mixture = (Part(share=0.3, languages=("en",)), Part(share=0.7, languages=("zh",)))
    quotas = set_quotas(mixture, CELLS, have(500, 500, 900, 100), none_used(), 1000)
    assert quotas.asked_P.tolist() == [300, 700]
    assert quotas.asked_C.tolist() == [150, 150, 630, 70]


def test_parts_without_a_share_divide_the_rest_as_the_corpus_has_it() -> None:
    cells = (*CELLS, Cell(2, "fr", "web", "text"))
    mixture = (Part(share=0.5, languages=("en",)), Part(languages=("zh",)), Part())
    quotas = set_quotas(mixture, cells, have(400, 400, 200, 100, 100), have(*[0] * 5), 400)
    assert quotas.asked_P.tolist() == [200, 150, 50]


def test_temperature_makes_a_part_evener_and_epochs_bound_it() -> None:
    part = Part(share=1.0, temperature=2.0, max_epochs=2.0)
    cells = (EN[0], EN[1])
    quotas = set_quotas((part,), cells, have(9000, 1000), have(0, 0), 4000)
    assert quotas.asked_C.tolist() == [3000, 1000]  # 3 : 1, the square roots
    quotas = set_quotas((part,), cells, have(9000, 1000), have(0, 0), 10_000)
    assert quotas.asked_C.tolist() == [8000, 2000]  # not 7500 and 2500, which is 2.5 epochs


def test_what_was_used_before_is_not_there_again() -> None:
    mixture = (Part(share=1.0, max_epochs=2.0),)
    cells = (EN[0], EN[1])
    quotas = set_quotas(mixture, cells, have(500, 500), have(900, 0), 600)
    assert quotas.asked_C.tolist() == [100, 500]
    assert set_quotas(mixture, cells, have(500, 500), have(900, 0), 1101).short == (0,)


def test_a_part_that_is_too_small_is_refused_with_its_numbers() -> None:
    mixture = (Part(share=0.25, languages=("en",)), Part(share=0.75, max_epochs=1.5))
    stage = Stage(name="a", mixture=mixture)
    quotas = set_quotas(mixture, CELLS, have(500, 500, 400, 100), none_used(), 2000)
    with pytest.raises(TongwenError) as error:
        refuse_short(stage, quotas, 2000, have(0, 0))
    text = str(error.value)
    assert "asked for 1,500 tokens (share 0.75 of 2,000)" in text
    assert "its documents have 500" in text and "1.5 times give 750" in text
    assert "stages.a.mixture.1" in text
    assert "tokens to 1,000" in text and "max_epochs to 3.0" in text


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 900)), min_size=1, max_size=12),
)
def test_pouring_gives_all_there_is_room_for_and_no_cell_more_than_its_room(
    total: int, pairs: list[tuple[int, int]]
) -> None:
    weights, room = np.array([w for w, _ in pairs]), np.array([r for _, r in pairs])
    given_ = pour(total, weights, room)
    assert given_.sum() == min(total, room.sum())
    assert np.all(given_ <= room) and np.all(given_ >= 0)
    rates = given_ / weights
    for i in np.flatnonzero(given_ < room):  # who has room left gets no less than the others
        assert np.all(rates[i] >= rates - 2 / weights.min())


@given(st.integers(0, 10**12), st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_divided_numbers_add_up(total: int, weights: list[int]) -> None:
    parts = divide(total, np.array(weights))
    assert parts.sum() == total
    exact = np.array(weights) / sum(weights) * total
    assert np.all(np.abs(parts - exact) <= 1 + total * 1e-15)
