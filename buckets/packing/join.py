"""From the pieces to whole sequences, compiled: bins, what waits for what, where pieces lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from buckets.packing.compiled import kernel

_i32 = np.int32


@kernel
def find_majority(  # pyright: ignore
    first_M: Any, pieces_R: Any, part_R: Any, rest_R: Any, bin_U: Any, num_bins: Any
) -> Any:
    """int32, the bin with most tokens of each sequence of `group_pieces`; of several the first."""
    tokens_G = np.zeros(num_bins, np.int64)
    bin_M = np.empty(len(first_M) - 1, _i32)
    for sequence in range(len(bin_M)):
        pieces = pieces_R[first_M[sequence] : first_M[sequence + 1]]
        for piece in pieces:
            tokens_G[bin_U[part_R[piece]]] += rest_R[piece]
        best = bin_U[part_R[pieces[0]]]
        for piece in pieces:
            group = bin_U[part_R[piece]]
            more = tokens_G[group] - tokens_G[best]
            if more > 0 or (more == 0 and group < best):
                best = group
        for piece in pieces:
            tokens_G[bin_U[part_R[piece]]] = 0
        bin_M[sequence] = best
    return bin_M


@kernel
def average_places(  # pyright: ignore
    first_M: Any, pieces_R: Any, part_R: Any, bin_U: Any, bin_M: Any
) -> Any:
    """float64, the mean index of those parts of each sequence that are of its bin."""
    place_M = np.empty(len(bin_M), np.float64)
    for sequence in range(len(bin_M)):
        total = count = 0
        for piece in pieces_R[first_M[sequence] : first_M[sequence + 1]]:
            if bin_U[part_R[piece]] == bin_M[sequence]:
                total, count = total + part_R[piece], count + 1
        place_M[sequence] = total / count
    return place_M


@kernel
def find_closers(  # pyright: ignore
    part_R: Any, sequence_R: Any, full_U: Any, begin_U: Any, num_full: Any
) -> Any:
    """int32, for each full sequence the one with the rest of its part; -1 if there is no rest.

    Sequences are numbered: the full ones first, then those of `best_fit`.
    """
    closer_F = np.full(num_full, _i32(-1))
    for piece in range(len(part_R)):
        part = part_R[piece]
        for full in range(begin_U[part], begin_U[part] + full_U[part]):
            closer_F[full] = num_full + sequence_R[piece]
    return closer_F


@kernel
def lay_pieces(  # pyright: ignore
    order_N: Any,
    full_F: Any,
    begin_U: Any,
    first_M: Any,
    pieces_R: Any,
    part_R: Any,
    rest_R: Any,
    offset_R: Any,
    full_U: Any,
    sequence_length: Any,
) -> Any:
    """The pieces in the order of the sequences: document_Q, start_Q, length_Q, sequence_Q,
    offset_Q of a `Packing`."""
    num_full, total = len(full_F), len(full_F) + len(part_R)
    document_Q = np.empty(total, np.int64)
    start_Q, length_Q = np.empty(total, _i32), np.empty(total, _i32)
    sequence_Q, offset_Q = np.empty(total, _i32), np.empty(total, _i32)
    q = 0
    for place in range(len(order_N)):
        number = order_N[place]
        if number < num_full:
            part = full_F[number]
            document_Q[q], length_Q[q], offset_Q[q] = part, sequence_length, 0
            start_Q[q] = (number - begin_U[part]) * sequence_length
            sequence_Q[q] = place
            q += 1
            continue
        mixed = number - num_full
        for piece in pieces_R[first_M[mixed] : first_M[mixed + 1]]:
            part = part_R[piece]
            document_Q[q], length_Q[q], offset_Q[q] = part, rest_R[piece], offset_R[piece]
            start_Q[q] = full_U[part] * sequence_length
            sequence_Q[q] = place
            q += 1
    return document_Q, start_Q, length_Q, sequence_Q, offset_Q
