"""Bins cut by tokens: documents longer than a training sequence may go on in the next bucket.

A group's long documents are laid end to end and cut into as many equal bins as there are buckets.
A cut falls where it is nearest to equal among the places where packing cuts a long document anyway
(whole sequences) and the documents' ends, so it breaks nothing more, and a later part never lies in
an earlier bucket.  Short documents stay whole and fill up what is uneven (see `plan`).

    long documents of 1,300 and 700 tokens, sequences of 512, 2 buckets: a cut wanted at 1,000
    places to cut  0  512  1,024  1,300  1,812  2,000      -> 1,024, and 976 in the second bin

The price: at most one document for each bin is met in two buckets.  Nothing crosses a sequence's
boundary in training, so what it learns from a part is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Parts:
    """Parts of documents, in the order of the documents and of their tokens.

    Attributes:
        document_K: int64, index of the document.
        start_K: int32, the part's first token in its document.
        length_K: int32, tokens.
        bucket_K: int32.
    """

    document_K: NDArray[np.int64]
    start_K: NDArray[np.int32]
    length_K: NDArray[np.int32]
    bucket_K: NDArray[np.int32]


def cut_bins(length_D: NDArray[np.int32], sequence_length: int, num_buckets: int) -> Parts:
    """Documents, laid end to end, in one bin for each bucket.

    Args:
        length_D: tokens of each document, in their order.
        sequence_length: tokens between the places where a document may be cut.

    Returns:
        No bin is empty where there are as many places to cut as buckets; with fewer, no two of the
        pieces between them share a bin.
    """
    document_K, start_K, length_K = cut_pieces(length_D, sequence_length)
    edges = np.concatenate([np.zeros(1, np.int64), np.cumsum(length_K)])
    bucket_K = _choose_buckets(edges, num_buckets)
    new = np.ones(len(document_K), np.bool_)
    new[1:] = (document_K[1:] != document_K[:-1]) | (bucket_K[1:] != bucket_K[:-1])
    first = np.flatnonzero(new)
    if len(first):
        length_K = np.add.reduceat(length_K, first)
    return Parts(
        document_K[first],
        start_K[first].astype(np.int32),
        length_K.astype(np.int32),
        bucket_K[first].astype(np.int32),
    )


def cut_pieces(
    length_D: NDArray[np.int32], sequence_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Full sequences and a rest of each document, in order: document, start, length."""
    length = length_D.astype(np.int64)
    pieces_D = -(-length // sequence_length)
    document_Q = np.repeat(np.arange(len(length)), pieces_D)
    number_Q = np.arange(len(document_Q)) - np.repeat(np.cumsum(pieces_D) - pieces_D, pieces_D)
    start_Q = number_Q * sequence_length
    length_Q = np.minimum(length[document_Q] - start_Q, sequence_length)
    return document_Q, start_Q, length_Q


def _choose_buckets(edges: NDArray[np.int64], num_buckets: int) -> NDArray[np.int64]:
    """The bucket of each piece between two edges."""
    num_pieces = len(edges) - 1
    numbers = np.arange(num_pieces)
    if num_pieces < num_buckets:
        return numbers * num_buckets // max(num_pieces, 1)
    inner = np.arange(1, num_buckets)
    wanted = inner * (int(edges[-1]) / num_buckets)
    after = np.searchsorted(edges, wanted).clip(1, num_pieces)
    cuts = after - (wanted - edges[after - 1] < edges[after] - wanted)
    # No two cuts at one edge, and a piece left for every bucket to come.
    cuts = np.maximum.accumulate(np.maximum(cuts, inner) - inner) + inner
    cuts = np.minimum(cuts, num_pieces - num_buckets + inner)
    return np.searchsorted(cuts, numbers, side="right")
