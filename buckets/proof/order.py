"""How evenly categories lie along a stage: measures of its order, beside three others.

A sequence counts as its bin with most tokens.  The stream of a stage is then one number for each
sequence, and the same numbers in another order show what the order is worth:

    buckets     ours
    shuffled    the same sequences by chance: no order at all
    blended     Megatron's blending by samples over one stream for each bin
    unbucketed  one bin after another, as files lie on a disk

of each the autocorrelation of the bin, the longest run of one bin, and how far a bin's share of any
window as long as a bucket is from its share of the stage.

The price: two bytes a sequence and stream, and one bucket's plan (12 bytes a piece) at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from buckets.proof.streams import (
    blend,
    count_equal,
    find_largest_deviation,
    find_longest_run,
    find_majority,
)
from tongwen.progress import progress
from tongwen.record import write_text

ORDER = "order.json"
_LONGEST_LAG = 512
_DIGITS = 6
_COLUMNS = ["bin", "sequence", "length"]


@dataclass(frozen=True)
class Stream:
    """The sequences of a stage in order.

    Attributes:
        bin_T: uint16, number of the bin of each of T sequences.
        bins: names of the bins, sorted.
        num_buckets: that the sequences lie in.
    """

    bin_T: NDArray[np.uint16]
    bins: tuple[str, ...]
    num_buckets: int

    @property
    def share_G(self) -> NDArray[np.float64]:
        """Each bin's share of the sequences."""
        return np.bincount(self.bin_T, minlength=len(self.bins)) / max(len(self.bin_T), 1)

    @property
    def window(self) -> int:
        """Sequences of an average bucket."""
        return max(1, round(len(self.bin_T) / max(self.num_buckets, 1)))


def write_order(out: Path, *, sequence_length: int) -> None:
    """Write `order.json` of a stage's buckets, from `plan/bucket-*.parquet`.

    Args:
        out: the stage's folder.
        sequence_length: tokens of a sequence.
    """
    stream = read_stream(out)
    measures = {**measure_stream(stream), "sequence_length": sequence_length}
    write_text(out / ORDER, json.dumps(measures, ensure_ascii=False, indent=1) + "\n")


def read_stream(out: Path) -> Stream:
    """The bin with most tokens of every sequence of a stage that holds any."""
    plans = sorted((out / "plan").glob("bucket-*.parquet"))
    total = sum(pq.read_metadata(path).num_rows for path in plans)
    seen: dict[str, int] = {}
    parts: list[NDArray[np.uint16]] = []
    with progress("measuring the order", total=total, unit="pieces") as advance:
        for path in plans:
            sequence_Q, bin_Q, length_Q = _read_pieces(path, seen)
            stream_T = np.empty(len(sequence_Q), np.uint16)
            count = find_majority(sequence_Q, bin_Q, length_Q, len(seen), stream_T)
            parts.append(stream_T[:count].copy())
            advance(len(sequence_Q))
    bins = sorted(seen)
    renumber = np.zeros(len(seen), np.uint16)
    renumber[[seen[name] for name in bins]] = np.arange(len(bins))
    bin_T = renumber[np.concatenate([np.empty(0, np.uint16), *parts])]
    return Stream(bin_T, tuple(bins), len(plans))


def _read_pieces(path: Path, seen: dict[str, int]) -> tuple[NDArray[np.int32], ...]:
    """Sequence, bin and length of the pieces of a bucket; new bins go into `seen`."""
    table = pq.read_table(path, columns=_COLUMNS, read_dictionary=["bin"])
    table = table.unify_dictionaries().combine_chunks()
    sequence_Q, length_Q = (
        table.column(name).to_numpy().astype(np.int32, copy=False)
        for name in ("sequence", "length")
    )
    if not table.num_rows:
        return sequence_Q, sequence_Q, length_Q
    names = table.column("bin").chunk(0)
    number = [seen.setdefault(name, len(seen)) for name in names.dictionary.to_pylist()]
    return sequence_Q, np.array(number, np.int32)[names.indices.to_numpy()], length_Q


def measure_stream(stream: Stream) -> dict[str, Any]:
    """The measures of a stream and of the three others, as order.json holds them."""
    total = len(stream.bin_T)
    lags = [1 << power for power in range(_LONGEST_LAG.bit_length()) if 1 << power < total]
    streams: dict[str, Any] = {}
    for name in ("buckets", "shuffled", "blended", "unbucketed"):
        bin_T = _reorder(stream, name)
        streams[name] = {
            "autocorrelation": correlate(bin_T, lags),
            **_measure_runs(bin_T, stream.bins),
            **_measure_deviation(bin_T, stream),
        }
    return {
        "sequences": total,
        "window": stream.window,
        "bins": list(stream.bins),
        "shares": [round(float(share), _DIGITS) for share in stream.share_G],
        "lags": lags,
        "streams": streams,
    }


def _reorder(stream: Stream, name: str) -> NDArray[np.uint16]:
    """The sequences in the order that `name` says."""
    if name == "shuffled":
        bin_T = stream.bin_T.copy()
        np.random.default_rng(0).shuffle(bin_T)
        return bin_T
    if name == "blended":
        return blend(stream.share_G, len(stream.bin_T)) if stream.bins else stream.bin_T
    return np.sort(stream.bin_T) if name == "unbucketed" else stream.bin_T


def correlate(bin_T: NDArray[np.uint16], lags: list[int]) -> list[float | None]:
    """Autocorrelation of a stream's bin at each lag.

    r(k) = (P[x_t = x_{t+k}] - sum p^2) / (1 - sum p^2), p the bins' shares: 1 where the bin `k`
    sequences later is always the same, 0 where it is independent, negative where bins take turns.
    None where there is only one bin.
    """
    share_G = np.bincount(bin_T) / max(len(bin_T), 1)
    chance = float(share_G @ share_G)
    if chance > 1 - 1e-12:
        return [None] * len(lags)
    equal = [count_equal(bin_T, lag) / (len(bin_T) - lag) for lag in lags]
    return [round((each - chance) / (1 - chance), _DIGITS) for each in equal]


def _measure_runs(bin_T: NDArray[np.uint16], bins: tuple[str, ...]) -> dict[str, Any]:
    longest, number = find_longest_run(bin_T) if len(bin_T) else (0, 0)
    return {"longest_run": int(longest), "longest_run_bin": bins[number] if bins else ""}


def _measure_deviation(bin_T: NDArray[np.uint16], stream: Stream) -> dict[str, Any]:
    if not len(bin_T):
        return {"largest_deviation": 0.0, "largest_deviation_bin": ""}
    largest, number = find_largest_deviation(bin_T, stream.share_G, stream.window)
    return {
        "largest_deviation": round(float(largest), _DIGITS),
        "largest_deviation_bin": stream.bins[int(number)],
    }
