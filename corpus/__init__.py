"""corpus: raw files in; documents, duplicates and statistics out.

Reading order: `files` (what the recipe names), `streams` and `readers` (lines of every format),
`records` (a line becomes a document or a reject), `documents` (the shards), `shingles` (what
similar means), `signatures` (MinHash), `kernels`, `tokens`, `lanes` and `hashes` (how), `lsh`
(candidates), `verify` (who stays), `duplicates` (all of that), `kept` (what others read),
`statistics` (with `character_classes`, `measures`, `tables`, `views`), `sql` (questions to them),
`steps` (the outputs).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpus.curate import deduplicate
    from corpus.duplicates import find_duplicates
    from corpus.kept import choose_held_out, read_kept
    from corpus.language import detect_language
    from corpus.shingles import (
        hash_shingle,
        hash_shingles,
        hash_tokens_128,
        jaccard,
        join_shingle,
        split_shingles,
    )
    from corpus.signatures import minhash, to_datasketch
    from corpus.sql import open_statistics, query_statistics

_HOMES = {
    "choose_held_out": "kept",
    "deduplicate": "curate",
    "detect_language": "language",
    "find_duplicates": "duplicates",
    "hash_shingle": "shingles",
    "hash_shingles": "shingles",
    "hash_tokens_128": "shingles",
    "jaccard": "shingles",
    "join_shingle": "shingles",
    "minhash": "signatures",
    "open_statistics": "sql",
    "query_statistics": "sql",
    "read_kept": "kept",
    "split_shingles": "shingles",
    "to_datasketch": "signatures",
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
