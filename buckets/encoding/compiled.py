"""How the store's loops are compiled: as the corpus's, with a folder of their own."""

from __future__ import annotations

from pathlib import Path

from corpus import compiled
from corpus.compiled import Compiler

_HOME = Path(__file__).parent

compiler = Compiler(
    "store",
    _HOME,
    [_HOME / "assemble.py", _HOME / "ids.py", _HOME / "origins.py", Path(compiled.__file__)],
)
kernel = compiler.kernel
