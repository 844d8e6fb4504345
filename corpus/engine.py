"""What runs the tasks of the corpus stage: threads of this process, or a Ray cluster.

A task is a plain function of one item that reads files and writes files (or returns a small
value).  It is pure: run twice it leaves the same bytes, so a task of a worker that died is run
again.  Results come in the order of the items, so an engine never changes a result.

Threads are enough here: the compiled kernels, Arrow and the file system let go of Python's lock.
With Ray the folders must be on a file system that every worker sees.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from tongwen.errors import TongwenError
from tongwen.recipe import Engine as EngineSettings

Item = TypeVar("Item")
Made = TypeVar("Made")

RETRIES = 5
"""A task is run so many times again when its worker dies."""


class Engine(Protocol):
    """Runs tasks; `workers` of them at once."""

    workers: int

    def map(self, task: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """The task's results in the order of the items; few items are held at a time."""
        ...


class LocalEngine:
    """Threads of this process."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def map(self, task: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """The task's results in order, holding at most two items for each thread."""
        if self.workers == 1:
            yield from map(task, items)
            return
        waiting: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            for item in items:
                waiting.append(pool.submit(task, item))
                if len(waiting) >= 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


class RayEngine:
    """Tasks of a Ray cluster; one whose worker dies is run again on another."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, task: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """The task's results in order, holding at most two items for each worker."""
        import ray

        def run(shared: Callable[[Item], Made], item: Item) -> Made:
            return shared(item)

        remote = ray.remote(max_retries=RETRIES, num_cpus=1)(run)
        # What all tasks share is sent to a node once, however large it is.
        shared = ray.put(task)
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(remote.remote(shared, item))
            if len(waiting) >= 2 * self.workers:
                yield _get(waiting.popleft())
        while waiting:
            yield _get(waiting.popleft())


def _get(reference: Any) -> Any:
    """A task's result; its own error, not Ray's wrapping of it."""
    import ray
    from ray.exceptions import RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        raise cause from None


@contextmanager
def open_engine(settings: EngineSettings, workers: int) -> Iterator[Engine]:
    """The engine of a recipe; a Ray cluster started here ends with the block.

    Args:
        workers: threads, or CPUs of the Ray cluster that is started here.

    Raises:
        TongwenError: Ray is asked for and not installed, or cannot be reached.
    """
    if settings.kind == "local":
        yield LocalEngine(workers)
        return
    started = _start_ray(settings.address, workers)
    import ray

    try:
        cpus = int(ray.cluster_resources().get("CPU", workers))
        yield RayEngine(workers if started else max(1, cpus))
    finally:
        if started:
            ray.shutdown()


def _start_ray(address: str, workers: int) -> bool:
    """Connect; True where a cluster (or a connection) was begun here."""
    try:
        import ray
    except ImportError:
        raise TongwenError(
            "Ray is not installed",
            where="corpus.engine.kind = 'ray'",
            do="pip install 'tongwen[ray]', or set kind = \"local\"",
        ) from None
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address:
        options["address"] = address
    else:
        options |= {"num_cpus": workers, "include_dashboard": False}
        options["object_store_memory"] = 200_000_000
    try:
        ray.init(**options)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise TongwenError(
            f"the Ray cluster cannot be reached: {error}",
            where=f"corpus.engine.address = {address!r}",
            do="start it (`ray start --head`) or leave the address empty",
        ) from None
    return True
