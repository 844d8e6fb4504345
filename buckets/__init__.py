"""buckets: documents and a tokenizer in, balanced and packed Megatron shards out.

A bucket is one shard that holds one bin of every category x language, so that every stretch of
training sees the whole mixture.  Rooms, in the order of the work: `choosing` (which documents, how
many tokens), `encoding` (their ids on disk), `planning` (which bucket), `packing` (which sequence),
`shards` (the files), `building` (all of it), `lineage` (where every token is, and changes of that),
`proof` (that all of it is so); `held_out` (the evaluation), `steps` (the run).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buckets.building import build_buckets
    from buckets.packing import Packing, pack_bucket
    from buckets.shards import Mode, PackedSequence, ShardReader, ShardWriter, choose_dtype

_HOMES = {
    "Mode": "shards",
    "PackedSequence": "shards",
    "Packing": "packing",
    "ShardReader": "shards",
    "ShardWriter": "shards",
    "build_buckets": "building",
    "choose_dtype": "shards",
    "pack_bucket": "packing",
}

__all__ = [
    "Mode",
    "PackedSequence",
    "Packing",
    "ShardReader",
    "ShardWriter",
    "build_buckets",
    "choose_dtype",
    "pack_bucket",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that `import buckets` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'buckets' has no attribute {name!r}")
    return getattr(import_module(f"buckets.{_HOMES[name]}"), name)
