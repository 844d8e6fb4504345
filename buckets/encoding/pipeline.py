"""Work on batches by several threads, in order, while the next ones are read.

One thread reads ahead, others work, and the caller gets the results one by one in the order of the
batches.  At most a handful of batches are in memory, whatever their number.

The price: a batch that takes long holds up those behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 3
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def work_ahead(
    items: Iterable[_In], work: Callable[[_In], _Out], num_threads: int
) -> Iterator[_Out]:
    """`work` of each item (never None), in order.

    Args:
        items: gone through by one thread of its own.
        work: called by `num_threads` threads.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(num_threads) as pool:
        ahead = deque(reader.submit(next, source, None) for _ in range(_AHEAD))
        waiting: deque[Future[_Out]] = deque()
        try:
            while (item := ahead.popleft().result()) is not None:
                ahead.append(reader.submit(next, source, None))
                waiting.append(pool.submit(work, item))
                if len(waiting) > num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in (*ahead, *waiting):
                future.cancel()
