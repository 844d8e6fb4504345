"""Loops over a stream: an array with one number, its bin, for each sequence of a stage.

Compiled, since each is a pass with a state: what may take a tenth of a second at 100,000 sequences
should take a minute at 250 million (1T tokens).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from buckets.proof.compiled import kernel


@kernel
def find_majority(  # pyright: ignore
    sequence_Q: NDArray[np.int32],
    bin_Q: NDArray[np.int32],
    length_Q: NDArray[np.int32],
    num_bins: int,
    stream_T: NDArray[np.uint16],
) -> int:
    """The bin with most tokens of each sequence (of equals the first); returns their number T.

    Args:
        sequence_Q: of each piece, growing; a sequence without a piece is left out.
        stream_T: filled, with room for as many sequences as there are pieces.
    """
    tokens_G = np.zeros(num_bins, np.int64)
    count, first = 0, 0
    while first < len(sequence_Q):
        stop = first
        while stop < len(sequence_Q) and sequence_Q[stop] == sequence_Q[first]:
            tokens_G[bin_Q[stop]] += length_Q[stop]
            stop += 1
        stream_T[count] = np.argmax(tokens_G)
        count += 1
        for place in range(first, stop):
            tokens_G[bin_Q[place]] = 0
        first = stop
    return count


@kernel
def blend(weight_G: NDArray[np.float64], size: int) -> NDArray[np.uint16]:  # pyright: ignore
    """The bin of each of `size` samples as Megatron blends data sets.

    Sample t is taken from the bin that is farthest behind: with the largest w max(t, 1) - n, where
    w is its weight and n how many were taken from it; of equals the first.  That is
    `build_blending_indices` in megatron/core/datasets/helpers.cpp.
    """
    taken_G = np.zeros(len(weight_G), np.int64)
    stream_T = np.empty(size, np.uint16)
    for place in range(size):
        at = max(float(place), 1.0)
        best, farthest = 0, weight_G[0] * at - float(taken_G[0])
        for number in range(1, len(weight_G)):
            behind = weight_G[number] * at - float(taken_G[number])
            if behind > farthest:
                best, farthest = number, behind
        stream_T[place] = best
        taken_G[best] += 1
    return stream_T


@kernel
def count_equal(stream_T: NDArray[np.uint16], lag: int) -> int:  # pyright: ignore
    """How many sequences have the bin of the one `lag` places later."""
    equal = 0
    for place in range(len(stream_T) - lag):
        equal += stream_T[place] == stream_T[place + lag]
    return equal


@kernel
def find_longest_run(stream_T: NDArray[np.uint16]) -> tuple[int, int]:  # pyright: ignore
    """Length and bin of the longest run of one bin; of equals the first."""
    longest, at, run = 0, 0, 0
    for place in range(len(stream_T)):
        same = place > 0 and stream_T[place] == stream_T[place - 1]
        run = run + 1 if same else 1
        if run > longest:
            longest, at = run, place
    return longest, int(stream_T[at])


@kernel
def find_largest_deviation(  # pyright: ignore
    stream_T: NDArray[np.uint16], share_G: NDArray[np.float64], window: int
) -> tuple[float, int]:
    """The farthest that a bin's share of any `window` sequences in a row is from `share_G`.

    From one window to the next two bins change, so only those two are looked at.
    """
    count_G = np.zeros(len(share_G), np.int64)
    for place in range(window):
        count_G[stream_T[place]] += 1
    deviation_G = np.abs(count_G / window - share_G)
    worst = int(np.argmax(deviation_G))
    largest = deviation_G[worst]
    for place in range(window, len(stream_T)):
        for number, step in ((stream_T[place], 1), (stream_T[place - window], -1)):
            count_G[number] += step
        for number in (stream_T[place], stream_T[place - window]):
            deviation = abs(count_G[number] / window - share_G[number])
            if deviation > largest:
                worst, largest = int(number), deviation
    return float(largest), worst  # pyright: ignore[reportArgumentType]
