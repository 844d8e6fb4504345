"""How the encoder's loops are compiled: as the corpus's, with a folder of their own.

Every file of the room is inlined in others, so all of them name the folder.
"""

from __future__ import annotations

from pathlib import Path

from corpus import compiled
from corpus.compiled import Compiler

_HOME = Path(__file__).parent
_CORPUS = Path(compiled.__file__).parent

compiler = Compiler(
    "encoding",
    _HOME,
    [*sorted(_HOME.glob("*.py")), _CORPUS / "compiled.py", _CORPUS / "hashing" / "bits.py"],
)
kernel, part = compiler.kernel, compiler.part
