"""The loop that stands for the limit does the whole work: all minima, of all values."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def limit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("limit", FOLDER / "permutation_limit.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("lanes", "vectors"), [(8, 10), (16, 4)])
def test_the_limit_takes_the_minimum_over_all_values(
    limit: ModuleType, lanes: int, vectors: int
) -> None:
    random = np.random.default_rng(0)
    values, factors, terms = random.integers(0, 1 << 32, (3, limit.NUM_VALUES), dtype=np.uint32)
    out = np.full(limit.NUM_VALUES, 0xFFFFFFFF, np.uint32)
    limit.make_limit(lanes, vectors)(values, factors, terms, out, 1)
    for vector in range(vectors):
        mine = slice(lanes * vector, lanes * (vector + 1))
        # A lane of a vector goes with the values at its place.
        products = values.reshape(-1, lanes) * factors[mine] + terms[mine]
        assert (out[mine] == products.min(axis=0)).all()
