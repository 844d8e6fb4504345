"""Packed training sequences as Megatron's indexed datasets.

`layout` has the two files' layout, `packed` writes whole buckets, `writer` writes sequence by
sequence, `reader` reads, `export` turns a stage into datasets for an unchanged Megatron-LM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buckets.shards.layout import (
    LEARN,
    OPENS,
    PADDING,
    Mode,
    Run,
    bin_path,
    choose_dtype,
    idx_path,
)
from buckets.shards.reader import PackedSequence, ShardReader
from buckets.shards.writer import ShardWriter

if TYPE_CHECKING:
    from buckets.shards.packed import ShardSummary, write_packed

__all__ = [
    "LEARN",
    "OPENS",
    "PADDING",
    "Mode",
    "PackedSequence",
    "Run",
    "ShardReader",
    "ShardSummary",
    "ShardWriter",
    "bin_path",
    "choose_dtype",
    "idx_path",
    "write_packed",
]


def __getattr__(name: str) -> object:
    """Writing whole buckets needs a compiler, which a reader does without."""
    if name in ("ShardSummary", "write_packed"):
        from buckets.shards import packed

        return getattr(packed, name)
    raise AttributeError(name)
