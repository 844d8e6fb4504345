"""How often each piece is really used: the runs encoded with a vocabulary, counted by source.

The count of a pair when it was merged says little: most of its occurrences may have gone into
longer pieces since.  Encoding costs a few seconds for 100 million characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenizer.encoding.encoder import Encoder
from tokenizer.learning.runs import Runs
from tokenizer.learning.sources import Source
from tokenizer.model import ModelProto
from tongwen.progress import progress

_PART = 1 << 17


def count_uses(
    model: ModelProto, sources: Sequence[Source], *, num_threads: int = 1
) -> NDArray[np.float64]:
    """Tokens that are each piece, weighted by the runs' weights: [sources, pieces]."""
    encoder = Encoder.from_model(model, prefix=False, num_threads=num_threads)
    uses_SV = np.zeros((len(sources), encoder.size))
    total = sum(len(source.runs.weights) for source in sources)
    with progress("counting uses", total=total, unit="runs") as advance:
        for uses_V, source in zip(uses_SV, sources, strict=True):
            for texts, weights in split_runs(source.runs):
                ids, offsets = encoder.encode(texts)
                each = np.repeat(weights, np.diff(offsets)).astype(np.float64)
                uses_V += np.bincount(ids, each, minlength=encoder.size)
                advance(len(weights))
    return uses_SV


def split_runs(runs: Runs) -> Iterator[tuple[pa.Array, NDArray[np.int64]]]:
    """The runs as Arrow columns of some megabytes, with their weights."""
    for begin in range(0, len(runs.weights), _PART):
        weights = runs.weights[begin : begin + _PART]
        stretch = runs.codes[runs.starts[begin] : runs.starts[begin + len(weights)]]
        data = np.frombuffer(stretch.tobytes().decode("utf-32-le").encode(), np.uint8)
        ends = np.flatnonzero(data == 0)
        offsets = np.concatenate([np.zeros(1, np.int64), ends - np.arange(len(ends))])
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data[data != 0])]
        yield pa.Array.from_buffers(pa.large_string(), len(weights), buffers), weights
