"""How the encoder's loops are compiled: as the corpus's, with a folder of their own.

Numba keeps machine code until the function's own file changes, but these functions are inlined in
each other across files.  So the folder is named after the contents of all of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config

_config: Any = numba_config
_HOME = Path(__file__).parent
_INLINED = _HOME.parents[1] / "corpus" / "hashing" / "bits.py"


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function that lets go of Python's lock; its machine code is kept."""
    return _compile(function, _nrt=True)


def part(function: Callable[..., Any]) -> Any:
    """A function inside kernels that makes no array: it is inlined and counts no owners."""
    return _compile(function, _nrt=False, forceinline=True)


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    folder = _find_folder()
    compiler = numba.njit(nogil=True, error_model="numpy", cache=folder is not None, **options)
    before, _config.CACHE_DIR = _config.CACHE_DIR, str(folder or "")
    try:
        return compiler(function)
    finally:
        _config.CACHE_DIR = before


@cache
def _find_folder() -> Path | None:
    """Beside the sources or in the user's cache; None where neither can be written."""
    sources = [*sorted(_HOME.glob("*.py")), _INLINED]
    contents = b"".join(source.read_bytes() for source in sources)
    digest = hashlib.blake2b(contents, digest_size=8).hexdigest()
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    places = [_config.CACHE_DIR] if _config.CACHE_DIR else [_HOME / "__pycache__", user]
    for place in places:
        try:
            folder = Path(place).expanduser() / "tongwen" / f"encoding-{digest}"
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None
