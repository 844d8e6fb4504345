"""How loops are compiled, and where the machine code is kept between runs.

Numba compiles a function when it is first called, in some seconds, and keeps the code in a file.
It compiles again when the function's own source file changes, but not when a function from another
file does, which may be inlined in it.  So the code is kept in a folder named after the contents of
all files that others take functions and constants from.

Traps: numba promotes uint32 to uint64 and mixes of signed and unsigned to float, hence a cast at
each step; a signed index costs a test at each access; and an array that is handed on has its owners
counted, which costs more than a short function does, hence `part`.
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

config: Any = numba_config

_HOME = Path(__file__).parent
_SHARED = (
    "compiled",
    *(f"hashing/{name}" for name in ("bits", "code_points", "hashes", "joining", "kernels")),
    *(f"hashing/{name}" for name in ("lanes", "shingles", "tokens")),
    *(f"reading/{name}" for name in ("json_bytes", "scan", "vectors")),
)


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function that lets go of Python's lock; its machine code is kept."""
    return _compile(function)


def part(function: Callable[..., Any]) -> Any:
    """A function inside kernels that makes no array: those it gets belong to its caller."""
    return _compile(function, _nrt=False, forceinline=True)


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    folder = _find_folder()
    compiler = numba.njit(nogil=True, error_model="numpy", cache=folder is not None, **options)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder or "")
    try:
        return compiler(function)
    finally:
        config.CACHE_DIR = before


@cache
def _find_folder() -> Path | None:
    """Beside the sources or in the user's cache; None where neither can be written."""
    contents = b"".join((_HOME / f"{name}.py").read_bytes() for name in _SHARED)
    digest = hashlib.blake2b(contents, digest_size=8).hexdigest()
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    places = [config.CACHE_DIR] if config.CACHE_DIR else [_HOME / "__pycache__", user]
    for place in places:
        try:
            folder = Path(place).expanduser() / "tongwen" / f"kernels-{digest}"
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None
