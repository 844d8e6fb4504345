"""The files of a shard while they are written: hashed on the way, in place only when whole.

Tokens are written as they come, the index at the end.  Both files lie under another name until
then, so a writer that is killed leaves nothing under a shard's own names.

The price: SHA-256 of all that is written, and the index's lengths, modes and firsts in memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from buckets.shards.layout import (
    HEADER,
    INT32_CODE,
    MAGIC,
    UINT16_CODE,
    bin_path,
    idx_path,
    partial_path,
)

_CHUNK = 1 << 20


class _HashedFile:
    """A file under its partial name, and the SHA-256 of what was written into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest = hashlib.sha256()
        self._file = partial_path(path).open("wb")

    def write(self, values: NDArray[Any] | bytes) -> None:
        data = values if isinstance(values, bytes) else values.data.cast("B")
        self._file.write(data)
        self._digest.update(data)

    def close(self) -> str:
        self._file.close()
        return self._digest.hexdigest()


@dataclass(frozen=True)
class Digests:
    """SHA-256 of the two files of a shard."""

    bin_sha256: str
    idx_sha256: str


class ShardFiles:
    """Takes the tokens of a shard, then its index; `with` clears away what is not finished.

    Args:
        prefix: path of the shard without `.bin/.idx`.
        dtype: of the tokens, by `choose_dtype`.
    """

    def __init__(self, prefix: Path, dtype: np.dtype[np.integer]) -> None:
        self.prefix, self._dtype = prefix, dtype
        self._tokens = _HashedFile(bin_path(prefix))

    def __enter__(self) -> ShardFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tokens.close()
        for path in (bin_path(self.prefix), idx_path(self.prefix)):
            partial_path(path).unlink(missing_ok=True)

    def append(self, tokens: NDArray[np.integer]) -> None:
        """Write tokens, which have the shard's type and are contiguous."""
        assert tokens.dtype == self._dtype, tokens.dtype
        self._tokens.write(tokens)

    def finish(
        self,
        length_R: NDArray[np.int32],
        mode_R: NDArray[np.int8],
        first_N: NDArray[np.int64] | None,
    ) -> Digests:
        """Write the index of R runs and put both files in their place.

        Args:
            length_R: tokens of each run.
            mode_R: mode of each; empty for an index without modes (not multimodal).
            first_N: first run of each sequence and R at the end; None where each run is one.

        Raises:
            ValueError: there is no run.
        """
        if not len(length_R):
            raise ValueError(f"{self.prefix}: a shard needs at least one sequence")
        index = _HashedFile(idx_path(self.prefix))
        try:
            self._write_index(index, length_R, mode_R, first_N)
        finally:
            idx_sha256 = index.close()
        bin_sha256 = self._tokens.close()
        for path in (bin_path(self.prefix), idx_path(self.prefix)):
            partial_path(path).replace(path)
        return Digests(bin_sha256, idx_sha256)

    def _write_index(
        self,
        index: _HashedFile,
        length_R: NDArray[np.int32],
        mode_R: NDArray[np.int8],
        first_N: NDArray[np.int64] | None,
    ) -> None:
        code = UINT16_CODE if self._dtype.itemsize == 2 else INT32_CODE
        num_firsts = len(length_R) + 1 if first_N is None else len(first_N)
        index.write(HEADER.pack(MAGIC, 1, code, len(length_R), num_firsts))
        index.write(length_R.astype("<i4", copy=False))
        offset = 0
        for start in range(0, len(length_R), _CHUNK):
            sizes = length_R[start : start + _CHUNK].astype("<i8") * self._dtype.itemsize
            ends = offset + np.cumsum(sizes)
            index.write(ends - sizes)
            offset = int(ends[-1])
        for start in range(0, num_firsts, _CHUNK):
            stop = min(start + _CHUNK, num_firsts)
            firsts = np.arange(start, stop) if first_N is None else first_N[start:stop]
            index.write(firsts.astype("<i8", copy=False))
        if len(mode_R):
            index.write(mode_R)
