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
from collections.abc import Callable, Iterable
from functools import cached_property
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


class Compiler:
    """Compiles functions of some files that are inlined in each other.

    Args:
        name: of the folder that their machine code is kept in.
        home: folder of the files; `__pycache__` in it is tried first.
        files: what a kernel may take functions and constants from.
    """

    def __init__(self, name: str, home: Path, files: Iterable[Path]) -> None:
        self._name, self._home, self._files = name, home, tuple(files)

    def kernel(self, function: Callable[..., Any]) -> Any:
        """A compiled function that lets go of Python's lock; its machine code is kept."""
        # Said, because one that is called from a `part` takes over its caller's choice.
        return self._compile(function, _nrt=True)

    def part(self, function: Callable[..., Any]) -> Any:
        """A function inside kernels that makes no array: those it gets belong to its caller."""
        return self._compile(function, _nrt=False, forceinline=True)

    def _compile(self, function: Callable[..., Any], **options: Any) -> Any:
        cache = self.folder is not None
        compiler = numba.njit(nogil=True, error_model="numpy", cache=cache, **options)
        before, config.CACHE_DIR = config.CACHE_DIR, str(self.folder or "")
        try:
            return compiler(function)
        finally:
            config.CACHE_DIR = before

    @cached_property
    def folder(self) -> Path | None:
        """Beside the sources or in the user's cache; None where neither can be written."""
        contents = b"".join(file.read_bytes() for file in self._files)
        digest = hashlib.blake2b(contents, digest_size=8).hexdigest()
        user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        places = [config.CACHE_DIR] if config.CACHE_DIR else [self._home / "__pycache__", user]
        for place in places:
            try:
                folder = Path(place).expanduser() / "tongwen" / f"{self._name}-{digest}"
                folder.mkdir(parents=True, exist_ok=True)
            except (OSError, RuntimeError):
                continue
            if os.access(folder, os.W_OK):
                return folder
        return None


compiler = Compiler("kernels", _HOME, (_HOME / f"{name}.py" for name in _SHARED))
kernel, part = compiler.kernel, compiler.part
