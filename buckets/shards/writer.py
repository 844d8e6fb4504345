"""A shard written sequence by sequence, for what is small: held-out documents, tests.

The price: Python for every run, some megabytes of tokens a second; `packed` writes whole buckets.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from buckets.shards.files import ShardFiles
from buckets.shards.layout import ALL_BITS, Run, choose_dtype


class ShardWriter:
    """Writes a shard sequence by sequence; `close` (or leaving `with`) writes the index.

    Args:
        prefix: path of the shard without `.bin/.idx`.
        num_pieces: size of the vocabulary, which decides the tokens' type.
    """

    def __init__(self, prefix: Path, num_pieces: int) -> None:
        self.prefix = prefix
        self.num_pieces = num_pieces
        self.sequence_length = 0
        self._dtype = choose_dtype(num_pieces)
        self._lengths, self._modes, self._firsts = array("i"), array("b"), array("q", [0])
        self._files = ShardFiles(prefix, self._dtype)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._files.__exit__(kind, error, trace)

    @property
    def num_sequences(self) -> int:
        """Sequences written so far."""
        return len(self._firsts) - 1

    def write_sequence(self, runs: Sequence[Run]) -> None:
        """Append one packed sequence.

        Args:
            runs: token ids and mode of each run, in order.

        Raises:
            ValueError: an id outside of the vocabulary (it would wrap silently), an empty run, an
                impossible mode, or another length than the sequences before.
        """
        lengths = [len(ids) for ids, _ in runs]
        modes = [int(mode) for _, mode in runs]
        tokens = np.concatenate([ids for ids, _ in runs])
        self._check(tokens, lengths, modes)
        self._files.append(tokens.astype(self._dtype))
        self._lengths.extend(lengths)
        self._modes.extend(modes)
        self._firsts.append(len(self._lengths))

    def close(self) -> None:
        """Write the index and put both files in their place.

        Raises:
            ValueError: no sequence was written.
        """
        with self._files:
            self._files.finish(
                np.frombuffer(self._lengths, np.int32),
                np.frombuffer(self._modes, np.int8),
                np.frombuffer(self._firsts, np.int64),
            )

    def _check(self, tokens: NDArray[np.integer], lengths: list[int], modes: list[int]) -> None:
        self.sequence_length = self.sequence_length or len(tokens)
        if len(tokens) != self.sequence_length:
            raise ValueError(f"a sequence of {len(tokens)} tokens, not {self.sequence_length}")
        if min(lengths) == 0:
            raise ValueError("an empty run")
        if min(modes) < 0 or max(modes) > ALL_BITS:
            raise ValueError(f"a mode outside of 0..{ALL_BITS}: {modes}")
        if tokens.min() < 0 or tokens.max() >= self.num_pieces:
            raise ValueError(f"an id outside of the vocabulary of {self.num_pieces} pieces")
