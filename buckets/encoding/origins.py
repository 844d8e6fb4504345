"""Strings gathered from a mapped file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from buckets.encoding.compiled import kernel

_u64 = np.uint64


def gather_strings(
    data: NDArray[np.uint8], start_N: NDArray[np.int64], length_N: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Strings that lie somewhere in `data`, one after another, and where each begins.

    Returns:
        Their bytes, and int32[N + 1] offsets; 2 GB of them at most.
    """
    offset_N = np.zeros(len(start_N) + 1, np.int64)
    np.cumsum(length_N, out=offset_N[1:])
    assert offset_N[-1] < 1 << 31, "too many strings at once"
    found = np.empty(int(offset_N[-1]), np.uint8)
    _gather(data, np.ascontiguousarray(start_N), offset_N, found)
    return found, offset_N.astype(np.int32)


@kernel
def _gather(data: Any, start_N: Any, offset_N: Any, found: Any) -> Any:  # pyright: ignore
    for number in range(_u64(len(start_N))):
        at, start = _u64(offset_N[number]), _u64(start_N[number])
        for place in range(_u64(offset_N[number + _u64(1)]) - at):
            found[at + place] = data[start + place]
