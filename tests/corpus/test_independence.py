"""Neither the order nor the sizes of shards, nor workers, memory or engine change what goes."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import find_duplicates
from corpus.dedup.findings import Findings
from corpus.engine import LocalEngine, RayEngine, open_engine
from tests.corpus.planted import make_documents, plant, write_documents
from tongwen.recipe import Duplicates, Engine

KEEP = [
    Duplicates(threshold=0.6),
    Duplicates(threshold=0.6, keep="longest"),
    Duplicates(threshold=0.6, keep="priority", priority=("b", "[a-b]")),
    Duplicates(threshold=0.6, keep="order", order="md5(text)"),
]


def table_of(found: Findings) -> list[dict[str, Any]]:
    rows = found.to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["id"], row["origin"]))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(KEEP), st.integers(1000, 60_000), st.integers(1, 3))
def test_shards_workers_and_memory_do_not_change_what_goes(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    rules: Duplicates,
    shard_bytes: int,
    workers: int,
) -> None:
    folder, chance = tmp_path_factory.mktemp("order"), random.Random(seed)
    documents = make_documents(plant(seed, 30))
    expected = table_of(find_duplicates(write_documents(folder / "whole", documents), rules))
    assert len(expected) > 10
    # Shards in another order, cut elsewhere, and partitions of some hundred entries.
    parted = write_documents(folder / "a", documents, shard_bytes=shard_bytes, group_bytes=3000)
    shards = sorted(parted.iterdir())
    names = [path.name for path in shards]
    chance.shuffle(names)
    turned = folder / "b"
    turned.mkdir()
    for path, name in zip(shards, names, strict=True):
        path.rename(turned / name)
    found = find_duplicates(turned, rules, workers=workers, memory=40_000)
    assert table_of(found) == expected
    # And rows in any order.
    chance.shuffle(documents)
    mixed = write_documents(folder / "c", documents, group_bytes=2000)
    assert table_of(find_duplicates(mixed, rules)) == expected


Item = TypeVar("Item")
Made = TypeVar("Made")


class KilledEngine(LocalEngine):
    """Stops the search after some tasks, as a kill does: files stay as they are."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.tasks = tasks

    def map(self, task: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        for item in items:
            if not self.tasks:
                raise KeyboardInterrupt
            self.tasks -= 1
            yield task(item)


@pytest.mark.parametrize("tasks", [0, 1, 3, 8, 17, 22])
def test_a_killed_search_goes_on_and_ends_the_same(tmp_path: Path, tasks: int) -> None:
    documents = make_documents(plant(5))
    folder = write_documents(tmp_path / "docs", documents, shard_bytes=40_000, group_bytes=900)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    expected = find_duplicates(folder, memory=40_000)
    with pytest.raises(KeyboardInterrupt):
        find_duplicates(folder, memory=40_000, engine=KilledEngine(tasks), scratch=scratch)
    left = list(scratch.iterdir())
    assert len(left) == 1
    written = {path: path.stat().st_mtime_ns for path in left[0].iterdir()}
    found = find_duplicates(folder, memory=40_000, scratch=scratch)
    assert found.to_table().equals(expected.to_table())
    assert found.parameters == expected.parameters
    assert not list(scratch.iterdir())
    assert tasks == 0 or written


@pytest.fixture(scope="module")
def ray_engine() -> Iterator[RayEngine]:
    pytest.importorskip("ray")
    with open_engine(Engine(kind="ray"), workers=2) as engine:
        assert isinstance(engine, RayEngine)
        yield engine


def test_ray_gives_the_same_bytes(tmp_path: Path, ray_engine: RayEngine) -> None:
    documents = make_documents(plant(6))
    folder = write_documents(tmp_path / "docs", documents, shard_bytes=40_000, group_bytes=2000)
    expected = find_duplicates(folder, memory=400_000)
    found = find_duplicates(folder, memory=400_000, engine=ray_engine)
    assert found.to_table().equals(expected.to_table())
    assert found.parameters == expected.parameters


class KillingEngine(RayEngine):
    """Kills a worker with SIGKILL in the middle of a task, once for each kind of task."""

    def __init__(self, marks: Path) -> None:
        super().__init__(2)
        self.marks, self.num_maps = marks, 0

    def map(self, task: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        mark = self.marks / f"died-{self.num_maps}"
        self.num_maps += 1

        def work(item: Item) -> Made:
            made = task(item)
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return super().map(work, items)


def test_killed_ray_workers_change_nothing(tmp_path: Path, ray_engine: RayEngine) -> None:
    documents = make_documents(plant(7))
    folder = write_documents(tmp_path / "docs", documents, shard_bytes=40_000, group_bytes=900)
    expected = find_duplicates(folder, memory=400_000)
    found = find_duplicates(folder, memory=400_000, engine=KillingEngine(tmp_path))
    # Ids, exact copies, sketches, normalised copies, pairs and sets each lost a worker.
    assert len(list(tmp_path.glob("died-*"))) == 6
    assert found.to_table().equals(expected.to_table())
    assert found.parameters == expected.parameters


def test_an_error_of_a_ray_task_is_the_tasks_own(ray_engine: RayEngine) -> None:
    with pytest.raises(ZeroDivisionError):
        list(ray_engine.map(lambda item: 1 // item, [1, 0]))
