"""buckets: documents and a tokenizer in, balanced and packed Megatron shards out.

A bucket is one shard that holds one bin of every category x language, so that every stretch of
training sees the whole mixture.  Reading order: `candidates` (which documents there are), `tokens`
(their ids), `mixture` (which are used), `plan` (which bucket), `packing` (which sequence), `shards`
(the files), `writing` and `tables` (all of them), `held_out` (the evaluation), `steps` (the run).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buckets.mixture import choose_documents
    from buckets.packing import Packing, pack_documents
    from buckets.plan import assign_buckets
    from buckets.shards import Mode, PackedSequence, ShardReader, ShardWriter, choose_dtype

_HOMES = {
    "Mode": "shards",
    "PackedSequence": "shards",
    "Packing": "packing",
    "ShardReader": "shards",
    "ShardWriter": "shards",
    "assign_buckets": "plan",
    "choose_documents": "mixture",
    "choose_dtype": "shards",
    "pack_documents": "packing",
}

__all__ = [
    "Mode",
    "PackedSequence",
    "Packing",
    "ShardReader",
    "ShardWriter",
    "assign_buckets",
    "choose_documents",
    "choose_dtype",
    "pack_documents",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that `import buckets` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'buckets' has no attribute {name!r}")
    return getattr(import_module(f"buckets.{_HOMES[name]}"), name)
