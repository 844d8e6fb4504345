"""New rows are what their method says, differ from all others, and no block size changes a bit."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tokenizer.starting.distinct import Distinct
from tokenizer.starting.noise import TILE, Covariance, Noise, factorise
from tokenizer.starting.parts import Parts
from tokenizer.starting.rows import RowMaker, Side
from tokenizer.starting.weights import Grown, Tensor, from_float32, list_tensors, write_tensors
from tongwen.errors import TongwenError
from tongwen.recipe import Embeddings

ROWS, WIDTH = 300, 24
DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def plant_tensor(path: Path, values: NDArray[np.float32], dtype: str = "BF16") -> Tensor:
    data = from_float32(values, dtype)
    header = {"x": {"dtype": dtype, "shape": list(values.shape), "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return list_tensors(path)[0]


def draw_rows(seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    spread = rng.normal(size=(WIDTH, WIDTH)) * np.linspace(0.1, 1, WIDTH)
    return (rng.normal(size=(ROWS, WIDTH)) @ spread + 0.3).astype(np.float32)


def make_parts(lists: list[list[int]]) -> Parts:
    ends = np.cumsum([0, *(len(ids) for ids in lists)])
    return Parts(np.concatenate([np.array(ids, np.int32) for ids in lists]), ends.astype(np.int64))


def draw_lists(number: int, seed: int = 3) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, ROWS, rng.integers(1, 7)).tolist() for _ in range(number)]


def make_rows(
    tensor: Tensor, parts: Parts, settings: Embeddings, *, side: Side = "input", block: int = 64
) -> tuple[NDArray[np.float32], RowMaker]:
    counts = np.arange(1, ROWS + len(parts) + 1)
    maker = RowMaker(tensor, parts, counts, settings, side=side, seed=1)
    return np.concatenate(list(maker.make_blocks(block))), maker


def to_base(tensor: Tensor) -> torch.Tensor:
    return torch.from_numpy(tensor.read_rows(0, tensor.shape[0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_rows_are_the_means(tmp_path: Path, dtype: str) -> None:
    tensor = plant_tensor(tmp_path / "x", draw_rows(), dtype)
    lists = draw_lists(200)
    rows, _ = make_rows(tensor, make_parts(lists), Embeddings(input="mean", match_norm=False))
    base = to_base(tensor)
    expected = torch.stack([base[ids].double().mean(dim=0) for ids in lists])
    exact = expected.to(DTYPES[dtype]).float().numpy()
    single = [len(ids) == 1 for ids in lists]
    tolerance = torch.finfo(DTYPES[dtype]).eps
    np.testing.assert_allclose(rows[~np.array(single)], exact[~np.array(single)], tolerance, 1e-6)


@pytest.mark.parametrize("method", ["mean", "weighted", "late", "gaussian"])
def test_matched_rows_have_the_median_norm(tmp_path: Path, method: str) -> None:
    tensor = plant_tensor(tmp_path / "x", draw_rows())
    settings = Embeddings.model_validate({"input": method, "match_norm": True})
    rows, maker = make_rows(tensor, make_parts(draw_lists(100)), settings)
    norms = to_base(tensor).norm(dim=1)
    wanted = np.median(norms.numpy())
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), wanted, rtol=0.012)
    assert maker.base_norm == pytest.approx(norms.mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("side", "method"),
    [
        *(("input", "mean"), ("input", "late"), ("input", "gaussian")),
        *(("output", "weighted"), ("output", "prior"), ("output", "gaussian")),
    ],
)
def test_no_block_size_changes_a_bit(tmp_path: Path, method: str, side: Side) -> None:
    tensor = plant_tensor(tmp_path / "x", draw_rows())
    parts = make_parts([*draw_lists(3 * TILE + 7), *draw_lists(40), [5, 5], [5, 5, 5]])
    settings = Embeddings.model_validate({side: method})
    whole, maker = make_rows(tensor, parts, settings, side=side, block=len(parts))
    for block in (1, 50, TILE):
        again, other = make_rows(tensor, parts, settings, side=side, block=block)
        assert again.tobytes() == whole.tobytes()
        assert other.num_moved == maker.num_moved


def test_late_and_weighted_rows_by_hand(tmp_path: Path) -> None:
    tensor = plant_tensor(tmp_path / "x", draw_rows(), "F32")
    base = to_base(tensor).double().numpy()
    lists = [[3, 1, 2], [7], [8, 8, 9]]
    for method in ("late", "weighted"):
        settings = Embeddings.model_validate({"input": method, "match_norm": False})
        rows, _ = make_rows(tensor, make_parts(lists), settings)
        for row, ids in zip(rows, lists, strict=True):
            # The counts are 1, 2, 3, ...
            share = (np.array(ids) + 1) / (ROWS * (ROWS + 1) / 2)
            each = [1.0, 2.0, 4.0][: len(ids)] if method == "late" else 0.001 / (0.001 + share)
            expected = np.average(base[ids], axis=0, weights=each)
            np.testing.assert_allclose(row, expected, rtol=0.01, atol=1e-6)


def test_only_the_rows_that_are_needed_are_read(tmp_path: Path) -> None:
    tensor = plant_tensor(tmp_path / "x", draw_rows())
    wanted = np.array([0, 1, 2, 7, 9, 10, ROWS - 1], np.int32)
    assert np.array_equal(tensor.take_rows(wanted), to_base(tensor).numpy()[wanted])


def test_planted_equal_rows_are_told_apart(tmp_path: Path) -> None:
    values = draw_rows()
    values[17] = 0
    tensor = plant_tensor(tmp_path / "x", values)
    lists = [[1, 2, 3], [3, 2, 1], [4, 4], [6], [17, 17], [8, 9], [2, 3, 1]]
    settings = Embeddings(input="mean", match_norm=False)
    rows, maker = make_rows(tensor, make_parts(lists), settings)
    # [3, 2, 1] and [2, 3, 1] have the parts of [1, 2, 3]; [4, 4], [6] and [17, 17] are base rows.
    assert (maker.num_moved, maker.num_identical) == (5, 0)
    stored = {row.tobytes() for row in (*to_base(tensor).numpy(), *rows)}
    assert len(stored) == ROWS + len(lists)
    base = to_base(tensor).numpy()
    assert np.abs(rows[2] - base[4]).max() <= 0.016 * np.abs(base[4]).max()
    assert 0 < np.abs(rows[4]).max() < 0.02 * np.linalg.norm(base, axis=1).mean()


def test_rows_stay_apart_when_float32_is_rounded_to_bfloat16(tmp_path: Path) -> None:
    values = draw_rows()
    values[1] = values[0] * np.float32(1 + 1e-5)
    tensor = plant_tensor(tmp_path / "x", values, "F32")
    settings = Embeddings(input="mean", match_norm=False)
    rows, _ = make_rows(tensor, make_parts([[0], [0, 1], [1, 0], [1]]), settings)
    rounded = torch.from_numpy(np.concatenate([values[1:], rows])).to(torch.bfloat16)
    assert len(torch.unique(rounded, dim=0)) == len(rounded)


def test_rows_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    values = draw_rows()
    values[7, 3] = np.inf
    tensor = plant_tensor(tmp_path / "x", values)
    with pytest.raises(TongwenError, match="row 7"):
        make_rows(tensor, make_parts([[1, 2]]), Embeddings(input="mean"))


@given(st.lists(st.sampled_from([0.0, -0.0, 1e-30, 1.0, -2.5, 3e4]), min_size=4, max_size=4))
def test_a_moved_row_differs_in_every_number(numbers: list[float]) -> None:
    distinct = Distinct((1, 0))
    row = np.array([numbers], np.float32)
    distinct.enter(row)
    moved = distinct.separate(row, 0)
    assert distinct.num_moved == 1
    before, after = (torch.from_numpy(each).to(torch.bfloat16) for each in (row, moved))
    assert bool((before != after).all())


def test_noise_has_the_covariance_of_the_rows() -> None:
    rows = draw_rows(4)
    covariance = Covariance(WIDTH)
    for begin in range(0, ROWS, 77):
        covariance.add(rows[begin : begin + 77])
    exact = np.cov(rows.astype(np.float64).T)
    np.testing.assert_allclose(covariance.finish(), exact, atol=1e-4 * np.abs(exact).max())
    drawn = Noise(factorise(covariance.finish()), (1, 0)).draw(0, 60_000)
    found = np.cov(drawn.astype(np.float64).T)
    assert np.linalg.norm(found - exact) < 0.02 * np.linalg.norm(exact)
    assert np.abs(drawn.mean(axis=0)).max() < 0.02 * np.sqrt(np.diag(exact).max())


def test_a_singular_covariance_gives_noise_in_its_own_directions() -> None:
    rng = np.random.default_rng(1)
    basis = rng.normal(size=(3, WIDTH)).astype(np.float32)
    covariance = Covariance(WIDTH)
    covariance.add((rng.normal(size=(50, 3)) @ basis).astype(np.float32))
    drawn = Noise(factorise(covariance.finish()), (1, 0)).draw(0, 500)
    inside = drawn @ np.linalg.pinv(basis) @ basis
    assert np.linalg.norm(drawn - inside) < 0.02 * np.linalg.norm(drawn)


def test_noise_differs_by_seed_and_side(tmp_path: Path) -> None:
    tensor = plant_tensor(tmp_path / "x", draw_rows())
    parts = make_parts(draw_lists(20))
    settings = Embeddings(input="gaussian", output="gaussian")
    one, _ = make_rows(tensor, parts, settings, side="input")
    other, _ = make_rows(tensor, parts, settings, side="output")
    again, _ = make_rows(tensor, parts, settings, side="input")
    assert not np.array_equal(one, other) and np.array_equal(one, again)


def test_rows_that_are_too_few_are_noticed(tmp_path: Path) -> None:
    tensor = plant_tensor(tmp_path / "x", draw_rows())
    with pytest.raises(AssertionError):
        write_tensors(tmp_path / "y", [Grown(tensor, 3, [b"\0" * tensor.row_bytes * 2])])
