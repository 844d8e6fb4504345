"""tokenizer: kept documents and a LLaMA vocabulary in, a larger vocabulary and the proof of it out.

Pieces are learned by continuing byte-pair encoding where the base model stopped, inside runs of
Han characters, and appended after the base's own, so that ids and English text stay as they are.
Reading order: `files` and `model` (the base), `learning` (`sources`, `learn`, `choose`, `build`:
the pieces), `merge`, `export` and `megatron` (the files), `lint` (what is proven about them),
`encoding` (text to ids), `comparing` (tokens per character, costs), `starting` (where the new
rows start), `steps` (all of it).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizer.encoding.encoder import Encoder
    from tokenizer.files import resolve_model
    from tokenizer.model import load_model

_HOMES = {"Encoder": "encoding.encoder", "load_model": "model", "resolve_model": "files"}

__all__ = ["Encoder", "load_model", "resolve_model"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that `import tokenizer` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tokenizer' has no attribute {name!r}")
    return getattr(import_module(f"tokenizer.{_HOMES[name]}"), name)
