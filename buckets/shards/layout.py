"""The two files of a shard: names, types and the layout of the index.

The layout is that of `megatron/core/datasets/indexed_dataset.py` (format "MMIDIDX" version 1, with
its `multimodal` mode byte), so that Megatron reads these files and this package reads Megatron's.
One packed training sequence is one document of the index; the runs of tokens inside it, which
belong to one document or are padding, are the index's sequences, each with a mode of three bits.
No loss-mask file is needed beside it.

    .bin   the tokens, uint16 where the vocabulary is below 65,500 and int32 otherwise
    .idx   9 bytes b"MMIDIDX\\0\\0", uint64 version 1, uint8 dtype code,
           uint64 runs, uint64 sequences + 1,
           int32[runs] lengths, int64[runs] byte offsets in .bin,
           int64[sequences + 1] first run of each sequence, int8[runs] modes

The price: 13 bytes of disk for each run, most of them for offsets that follow from the lengths.
"""

from __future__ import annotations

import struct
from enum import IntFlag
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQQ")
INT32_CODE, UINT16_CODE = 4, 8
DTYPES = {INT32_CODE: np.dtype("<i4"), UINT16_CODE: np.dtype("<u2")}
_UINT16_BELOW = 65_500


class Mode(IntFlag):
    """What a run of tokens is.

    Attributes:
        LEARN: the loss counts these tokens.
        OPENS: the run's first token starts a document (or goes on with one that was split);
            attention does not reach back over it.
        PADDING: no document; never learned.
    """

    LEARN = 1
    OPENS = 2
    PADDING = 4


LEARN, OPENS, PADDING = Mode.LEARN, Mode.OPENS, Mode.PADDING
ALL_BITS = int(LEARN | OPENS | PADDING)

Run = tuple[NDArray[np.integer], int]
"""Token ids and their mode."""


def choose_dtype(num_pieces: int) -> np.dtype[np.integer]:
    """Megatron's rule (`DType.optimal_dtype`): uint16 only for fewer than 65,500 pieces."""
    return DTYPES[UINT16_CODE if num_pieces < _UINT16_BELOW else INT32_CODE]


def bin_path(prefix: Path) -> Path:
    """The tokens' file of a shard."""
    return prefix.with_name(prefix.name + ".bin")


def idx_path(prefix: Path) -> Path:
    """The index file of a shard."""
    return prefix.with_name(prefix.name + ".idx")


def partial_path(path: Path) -> Path:
    """Where a file of a shard lies until it is whole."""
    return path.with_name(f".{path.name}.partial")
