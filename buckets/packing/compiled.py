"""How the loops of packing are compiled: as the corpus's, with a folder of their own."""

from __future__ import annotations

from pathlib import Path

from corpus import compiled
from corpus.compiled import Compiler
from corpus.reading import vectors

_HOME = Path(__file__).parent
_NAMES = ("compiled", "fit", "deal", "join")

compiler = Compiler(
    "packing",
    _HOME,
    [Path(compiled.__file__), Path(vectors.__file__), *(_HOME / f"{name}.py" for name in _NAMES)],
)
kernel, part = compiler.kernel, compiler.part
