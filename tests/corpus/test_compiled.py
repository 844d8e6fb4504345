"""Machine code kept from an earlier run is that of the sources as they are."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from corpus import compiled

HOME = Path(compiled.__file__).parent


def list_imports(path: Path) -> set[str]:
    """Modules of the corpus that a file imports names from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("corpus."):
            found.add((node.module or "").removeprefix("corpus.").replace(".", "/"))
    return found


def test_whatever_kernels_take_from_other_files_names_their_folder() -> None:
    for name in compiled._SHARED:
        assert list_imports(HOME / f"{name}.py") <= set(compiled._SHARED), name


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from corpus import compiled
folder = compiled.compiler.folder
import pyarrow as pa
from corpus import minhash
print(folder, minhash(pa.array(["one two three"]), num_perm=16)[0].as_py()[0])
"""


def run(home: Path, cache: Path) -> tuple[str, str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", SCRIPT, str(home)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    folder, value = done.stdout.split()
    return folder, value


def test_a_changed_constant_of_another_file_is_compiled_in(tmp_path: Path) -> None:
    home = tmp_path / "installed"
    for package in ("corpus", "tongwen"):
        for source in (HOME.parent / package).rglob("*.py"):
            copy = home / source.relative_to(HOME.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    first = run(home, tmp_path)
    assert run(home, tmp_path) == first
    shingles = home / "corpus" / "hashing" / "shingles.py"
    text = shingles.read_text(encoding="utf-8")
    shingles.write_text(text.replace("0x2D358DCCAA6C78A5", "0x2D358DCCAA6C78A7"), encoding="utf-8")
    second = run(home, tmp_path)
    assert second[0] != first[0]
    assert second[1] != first[1]
