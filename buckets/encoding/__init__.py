"""Documents to token ids on disk, once, in bounded memory.

`store` encodes and keeps, `sorting` and `reorder` make the index in the order of use.
"""

from __future__ import annotations

from buckets.encoding.assemble import Encoder, encode_documents
from buckets.encoding.ids import format_ids, parse_ids
from buckets.encoding.index import INDEX, DocumentIndex
from buckets.encoding.store import Choose, Picked, TokenStore

__all__ = [
    "INDEX",
    "Choose",
    "DocumentIndex",
    "Encoder",
    "Picked",
    "TokenStore",
    "encode_documents",
    "format_ids",
    "parse_ids",
]
