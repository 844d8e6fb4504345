"""Packed training sequences as Megatron's indexed datasets.

`files` has the two files' layout, a writer and a reader of it.
"""

from __future__ import annotations

from buckets.shards.files import (
    LEARN,
    OPENS,
    PADDING,
    Mode,
    PackedSequence,
    Run,
    ShardReader,
    ShardWriter,
    bin_path,
    choose_dtype,
    idx_path,
)

__all__ = [
    "LEARN",
    "OPENS",
    "PADDING",
    "Mode",
    "PackedSequence",
    "Run",
    "ShardReader",
    "ShardWriter",
    "bin_path",
    "choose_dtype",
    "idx_path",
]
