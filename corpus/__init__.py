"""corpus: raw files in; documents, duplicates and statistics out.

Reading order: `files` (what the recipe names), `streams` and `readers` (lines of every format),
`records` (a line becomes a document or a reject), `documents` (the shards), `shingles` (what
similar means), `signatures` and `kernels` (MinHash), `lsh` (candidates), `verify` (who stays),
`duplicates` (all of that), `kept` (what others read), `statistics`, `steps` (the outputs).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpus.duplicates import find_duplicates
    from corpus.kept import choose_held_out, read_kept
    from corpus.language import detect_language
    from corpus.shingles import hash_shingle, hash_shingles, jaccard, split_shingles
    from corpus.signatures import minhash

_HOMES = {
    "choose_held_out": "kept",
    "detect_language": "language",
    "find_duplicates": "duplicates",
    "hash_shingle": "shingles",
    "hash_shingles": "shingles",
    "jaccard": "shingles",
    "minhash": "signatures",
    "read_kept": "kept",
    "split_shingles": "shingles",
}

__all__ = [
    "choose_held_out",
    "detect_language",
    "find_duplicates",
    "hash_shingle",
    "hash_shingles",
    "jaccard",
    "minhash",
    "read_kept",
    "split_shingles",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that `import corpus` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'corpus' has no attribute {name!r}")
    return getattr(import_module(f"corpus.{_HOMES[name]}"), name)
