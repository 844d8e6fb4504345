"""corpus: raw files in; documents, duplicates and statistics out.

The rooms, in reading order:

    reading     files (what the recipe names), paths, blocks, scan, unpack, parsing, parts;
                readers and records say what a line must hold
    documents   the shards; `sources` reads them again, `kept` without what went; `engine`
    hashing     shingles (what similar means), tokens, lanes, hashes, kernels, signatures
    dedup       partitions, grouping, sketches, lsh (candidates), verify, keepers, decide,
                duplicates (all of that); sketch, known, query (earlier runs); lines,
                paragraphs, cuts (boilerplate); curate (one call)
    counting    statistics, character_classes, tables, views; sql (questions to them)
    categories, audit
    alone       documents of some files, without a recipe
    steps       the outputs
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpus.counting.sql import open_statistics, query_statistics
    from corpus.dedup.curate import deduplicate
    from corpus.dedup.duplicates import find_duplicates
    from corpus.dedup.query import query_sketch
    from corpus.hashing.shingles import (
        hash_shingle,
        hash_shingles,
        hash_tokens_128,
        jaccard,
        join_shingle,
        split_shingles,
    )
    from corpus.hashing.signatures import minhash, to_datasketch
    from corpus.kept import choose_held_out, read_kept
    from corpus.reading.language import detect_language

_HOMES = {
    "choose_held_out": "kept",
    "deduplicate": "dedup.curate",
    "detect_language": "reading.language",
    "find_duplicates": "dedup.duplicates",
    "hash_shingle": "hashing.shingles",
    "hash_shingles": "hashing.shingles",
    "hash_tokens_128": "hashing.shingles",
    "jaccard": "hashing.shingles",
    "join_shingle": "hashing.shingles",
    "minhash": "hashing.signatures",
    "open_statistics": "counting.sql",
    "query_sketch": "dedup.query",
    "query_statistics": "counting.sql",
    "read_kept": "kept",
    "split_shingles": "hashing.shingles",
    "to_datasketch": "hashing.signatures",
}

__all__ = [
    "choose_held_out",
    "deduplicate",
    "detect_language",
    "find_duplicates",
    "hash_shingle",
    "hash_shingles",
    "hash_tokens_128",
    "jaccard",
    "join_shingle",
    "minhash",
    "open_statistics",
    "query_sketch",
    "query_statistics",
    "read_kept",
    "split_shingles",
    "to_datasketch",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that `import corpus` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'corpus' has no attribute {name!r}")
    return getattr(import_module(f"corpus.{_HOMES[name]}"), name)
