"""How the loops of the proof are compiled: as the corpus's, with a folder of their own."""

from __future__ import annotations

from pathlib import Path

from corpus import compiled
from corpus.compiled import Compiler

_HOME = Path(__file__).parent
_NAMES = ("compiled", "streams", "kernels")

compiler = Compiler(
    "proof", _HOME, [Path(compiled.__file__), *(_HOME / f"{name}.py" for name in _NAMES)]
)
kernel = compiler.kernel
