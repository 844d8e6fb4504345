"""A document belongs to the first part that matches; held-out ones to none; order is by id."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from buckets.candidates import (
    Cell,
    find_candidates,
    format_ids,
    order_by_hash,
)
from tongwen.errors import TongwenError
from tongwen.recipe import Part, Stage

SIZES = {
    ("zh", "law"): (30, 20),
    ("zh", "law_notes"): (20, 20),
    ("zh", "qa"): (25, 20),
    ("en", "books"): (40, 20),
}
MIXTURE = (
    Part(share=0.3, languages=("zh",), categories=("law*",)),
    Part(share=0.2, kinds=("qa",)),
    Part(share=0.5),
)


def make_stage(mixture: tuple[Part, ...] = MIXTURE) -> Stage:
    return Stage(name="one", mixture=mixture)


def test_first_part_that_matches(rows_of: Callable, batches_of: Callable) -> None:
    rows = rows_of(1, SIZES)
    candidates = find_candidates(batches_of(rows), make_stage(), [])
    expected = {
        Cell(0, "zh", "law"): 30,
        Cell(0, "zh", "law_notes"): 20,
        Cell(1, "zh", "qa"): 25,
        Cell(2, "en", "books"): 40,
    }
    counts = np.bincount(candidates.cell_N)
    assert dict(zip(candidates.cells, counts.tolist(), strict=True)) == expected
    assert format_ids(candidates.id_N2) == [row["id"] for row in rows]
    assert candidates.row_N.tolist() == list(range(len(rows)))
    sizes = [len((row["prompt"] + row["text"]).encode()) for row in rows]
    assert candidates.bytes_N.tolist() == sizes


def test_held_out_documents_are_no_candidates(rows_of: Callable, batches_of: Callable) -> None:
    rows = rows_of(2, SIZES)
    held_out = [row["id"] for row in rows[::7]]
    found = format_ids(find_candidates(batches_of(rows), make_stage(), held_out).id_N2)
    assert set(found) == {row["id"] for row in rows} - set(held_out)


def test_batches_do_not_matter(rows_of: Callable, batches_of: Callable) -> None:
    rows = rows_of(3, SIZES)
    one, two = (find_candidates(batches_of(rows, size), make_stage(), []) for size in (5, 1000))
    assert one.cells == two.cells and np.array_equal(one.cell_N, two.cell_N)


def test_order_is_that_of_the_ids_not_the_files(rows_of: Callable, batches_of: Callable) -> None:
    rows = rows_of(4, SIZES)
    orders = []
    for each in (rows, rows[::-1]):
        id_N2 = find_candidates(batches_of(each), make_stage(), []).id_N2
        orders.append(format_ids(id_N2[order_by_hash(id_N2, "seed", 1)]))
        assert orders[-1] != format_ids(id_N2[order_by_hash(id_N2, "seed", 2)])
    assert orders[0] == orders[1]


def test_empty_language_is_an_error(rows_of: Callable, batches_of: Callable) -> None:
    stage = make_stage((Part(share=0.5, languages=("fr",)), Part(share=0.5)))
    with pytest.raises(TongwenError) as error:
        find_candidates(batches_of(rows_of(5, SIZES)), stage, [])
    for words in ("fr", "stages.one.mixture.0", "en/books (text)", "zh/qa (qa)"):
        assert words in str(error.value)


def test_part_hidden_by_an_earlier_one_is_an_error(rows_of: Callable, batches_of: Callable) -> None:
    stage = make_stage((Part(share=0.5), Part(share=0.5, languages=("zh",))))
    with pytest.raises(TongwenError, match="earlier part takes all"):
        find_candidates(batches_of(rows_of(6, SIZES)), stage, [])
