"""A whole bucket from a packing and the token store, block by block.

What a sequence holds is known before (a packing), its tokens lie in a mapped file.  A compiled loop
gathers some megabytes of sequences into one buffer, which is checked, hashed and written while it
is in the processor's cache.

The price: 5 bytes of memory for each run (a document has one or two) until the index is written,
and the store is read in the order of the sequences, which is random in that file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from buckets.shards.files import ShardFiles
from buckets.shards.gather import MISPLACED, OUTSIDE, gather, lay_runs
from buckets.shards.layout import choose_dtype

if TYPE_CHECKING:
    from buckets.packing import Packing

_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class ShardSummary:
    """What was written.

    Attributes:
        num_tokens: tokens of documents, padding aside.
    """

    num_sequences: int
    num_tokens: int
    bin_sha256: str
    idx_sha256: str


def write_packed(
    prefix: Path,
    packing: Packing,
    place_U: NDArray[np.int64],
    prompt_U: NDArray[np.int32],
    tokens: NDArray[np.integer],
    *,
    num_pieces: int,
    padding: int,
    release: Callable[[], None] = lambda: None,
) -> ShardSummary:
    """Write a packed bucket; `packing.document_Q` counts parts, of which there are U.

    Args:
        prefix: path of the shard without `.bin/.idx`.
        place_U: index in `tokens` of each part's first token.
        prompt_U: how many of a part's first tokens belong to BOS and prompt; less than 1 for one
            that begins behind them in its document.
        tokens: the store, uint16 or int32 by `choose_dtype(num_pieces)`.
        num_pieces: size of the vocabulary.
        padding: id of the room that is left.
        release: called after each block, so that the store can give mapped pages back.

    Raises:
        ValueError: an id outside of the vocabulary, a part outside of the store, or pieces that
            do not lie one behind the other in their sequences.
    """
    _check_arguments(prefix, place_U, prompt_U, tokens, num_pieces, padding)
    place_U, prompt_U = place_U.astype(np.int64, copy=False), np.ascontiguousarray(prompt_U)
    length_R, mode_R, first_N, piece_N = _lay_runs(prefix, packing, prompt_U)
    with ShardFiles(prefix, tokens.dtype) as files:
        size = packing.sequence_length
        rows = max(1, _BLOCK_BYTES // (size * tokens.dtype.itemsize))
        buffer = np.empty(min(rows, packing.num_sequences) * size, tokens.dtype)
        for start in range(0, packing.num_sequences, rows):
            block_N = piece_N[start : start + rows + 1]
            block = buffer[: (len(block_N) - 1) * size]
            _gather(prefix, packing, place_U, tokens, block_N, padding, block)
            _check_ids(prefix, block, num_pieces)
            files.append(block)
            release()
        digests = files.finish(length_R, mode_R, first_N)
    num_tokens = int(packing.length_Q.sum(dtype=np.int64))
    return ShardSummary(packing.num_sequences, num_tokens, digests.bin_sha256, digests.idx_sha256)


def _check_arguments(
    prefix: Path,
    place_U: NDArray[np.int64],
    prompt_U: NDArray[np.int32],
    tokens: NDArray[np.integer],
    num_pieces: int,
    padding: int,
) -> None:
    if tokens.dtype != choose_dtype(num_pieces):
        raise ValueError(f"{prefix}: {tokens.dtype} for a vocabulary of {num_pieces} pieces")
    if not 0 <= padding < num_pieces:
        raise ValueError(f"{prefix}: padding with {padding}, {num_pieces} pieces")
    if len(place_U) != len(prompt_U):
        raise ValueError(f"{prefix}: places of {len(place_U)} parts, prompts of {len(prompt_U)}")


def _lay_runs(
    prefix: Path, packing: Packing, prompt_U: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
    """length_R, mode_R, and the first run and the first piece of each sequence."""
    document_Q = packing.document_Q
    if len(document_Q) and not 0 <= document_Q.min() <= document_Q.max() < len(prompt_U):
        raise ValueError(f"{prefix}: pieces of parts that are not there")
    pieces = (document_Q, packing.start_Q, packing.length_Q, packing.sequence_Q, packing.offset_Q)
    first_N, piece_N = np.empty((2, packing.num_sequences + 1), np.int64)
    length_R, mode_R = np.empty(0, np.int32), np.empty(0, np.int8)
    for _ in ("count", "fill"):
        num_runs = lay_runs(
            *pieces, prompt_U, packing.sequence_length, length_R, mode_R, first_N, piece_N
        )
        if num_runs == MISPLACED:
            raise ValueError(f"{prefix}: pieces overlap, leave a gap or go beyond their sequence")
        if not len(length_R):
            length_R, mode_R = np.empty(num_runs, np.int32), np.empty(num_runs, np.int8)
    return length_R, mode_R, first_N, piece_N


def _gather(
    prefix: Path,
    packing: Packing,
    place_U: NDArray[np.int64],
    tokens: NDArray[np.integer],
    piece_N: NDArray[np.int64],
    padding: int,
    block: NDArray[np.integer],
) -> None:
    pieces = (packing.document_Q, packing.start_Q, packing.length_Q)
    size = packing.sequence_length
    if gather(tokens, place_U, *pieces, piece_N, size, padding, block) == OUTSIDE:
        raise ValueError(f"{prefix}: a piece lies outside of the token store")


def _check_ids(prefix: Path, block: NDArray[np.integer], num_pieces: int) -> None:
    """As unsigned numbers, the negative ones are too large as well."""
    largest = block.view(f"<u{block.dtype.itemsize}").max()
    if largest >= num_pieces:
        raise ValueError(f"{prefix}: an id outside of the vocabulary of {num_pieces} pieces")
