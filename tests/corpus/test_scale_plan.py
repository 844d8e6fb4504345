"""docs/scale.md: its tables are those that its constants give, and the arithmetic is sound."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import util
from math import ceil, log2
from pathlib import Path
from types import ModuleType

import pytest

HOME = Path(__file__).parents[2]
BENCHMARKS = HOME / "benchmarks"


@pytest.fixture(scope="module")
def constants() -> dict[str, float]:
    """Read from the page without the script's own pattern."""
    found: dict[str, float] = {}
    for line in (HOME / "docs/scale.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 4 and re.fullmatch(r"`[a-z_]+`", cells[1]) and cells[2][:1].isdigit():
            assert cells[1] not in found, "a constant is given twice"
            found[cells[1].strip("`")] = float(cells[2].replace(",", ""))
    return found


@pytest.fixture(scope="module")
def model() -> ModuleType:
    spec = util.spec_from_file_location("scale_model", BENCHMARKS / "scale_model.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules["scale_model"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    command = [sys.executable, str(BENCHMARKS / "scale_plan.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_the_steps_are_what_the_page_says_they_are(
    model: ModuleType, constants: dict[str, float]
) -> None:
    c, steps = constants, {step.name: step for step in model.plan_steps(constants)}
    documents = c["text_tb"] * 1e12 / c["bytes_per_document"]
    distinct = documents * (1 - c["exact_share"])
    keys = distinct * (c["bands"] * c["band_entry_bytes"] + c["copy_entry_bytes"] + c["rank_bytes"])
    assert steps["sketch"].writes == pytest.approx(keys)
    bands, copies = steps["bands"], steps["copies"]
    assert bands.reads + copies.reads == pytest.approx(keys)
    assert bands.cpu == pytest.approx(distinct * c["bands"] * c["group_ns"] / 1e9)
    left = distinct * (1 - c["normalized_share"])
    shingles = left * c["candidate_share"] * c["bytes_per_document"] * c["shingles_per_byte"]
    assert steps["sets"].writes == pytest.approx(shingles * 8)
    pairs = left * c["pairs_per_document"]
    assert steps["decide"].reads == pytest.approx(shingles * 8 + pairs * 16)
    assert steps["pairs"].serial == pytest.approx(pairs * c["union_ns"] / 1e9)


def test_no_task_needs_more_memory_than_a_worker_has(
    model: ModuleType, constants: dict[str, float]
) -> None:
    for step in model.plan_steps(constants):
        assert step.memory <= constants["worker_gb"] * 1e9, step.name


@pytest.mark.parametrize("entries", [1, 15e6, 15e6 + 1, 56e9])
def test_partitions_are_the_fewest_powers_of_two_that_fit(
    model: ModuleType, constants: dict[str, float], entries: float
) -> None:
    needed = entries * constants["group_memory"] / (constants["worker_gb"] * 1e9)
    expected = 2 ** max(0, ceil(log2(needed)))
    assert model.count_partitions(constants, entries) == expected


def test_ten_times_the_text_is_ten_times_the_work(
    model: ModuleType, constants: dict[str, float]
) -> None:
    large = model.plan_steps(constants | {"text_tb": 10 * constants["text_tb"]})
    for one, ten in zip(model.plan_steps(constants), large, strict=True):
        for name in ("cpu", "reads", "writes", "serial"):
            assert getattr(ten, name) == pytest.approx(10 * getattr(one, name))


def test_a_step_takes_what_bounds_it(model: ModuleType, constants: dict[str, float]) -> None:
    c = constants | {"efficiency": 0.5, "cluster_nodes": 2, "cluster_cores": 4}
    c |= {"cluster_net_gbs": 1.0, "cluster_disk_gbs": 3.0, "dispatch_ms": 1.0}

    def take(cpu: float, moved: float, tasks: int, serial: float) -> tuple[float, str]:
        return model.time_step(
            c, model.Step("any", cpu, moved / 2, moved / 2, tasks, 0, serial), "cluster"
        )

    assert take(400, 1e9, 100, 0) == (100, "CPU")
    assert take(400, 1e9, 2, 0) == (400, "CPU")
    assert take(4, 400e9, 100, 0) == (200, "disk")
    assert take(4, 1e9, 100_000, 0) == (100, "dispatch")
    assert take(400, 1e9, 100, 300) == (400, "one process")
