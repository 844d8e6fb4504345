"""Which files a recipe names, what kind each is and what its lines are called.

A line's `origin` is `FILE:LINE`.  Together with the content hash it identifies a document, so two
files must never share a name: that, and a file named by two inputs, is an error before any reading.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from corpus.reading.paths import AnyPath, RemotePath, find_remote, is_url
from tongwen.errors import TongwenError
from tongwen.recipe import CorpusRecipe, Input

SAMPLE = "sample:"
"""`sample:PATTERN` names files of the sample corpus, which is laid out in the run folder."""

FORMATS = {
    ".jsonl": "jsonl",
    ".json": "json",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
}
COMPRESSIONS = {".gz": "gz", ".zst": "zst"}


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
        origin: its name in `origin`, without the line.
        form: "jsonl", "json" (lines, or one array), "parquet" or "text".
        compression: "", "gz" or "zst".
        stem: its name without endings; the default category and source.
        source: the input of the recipe it belongs to.
    """

    path: AnyPath
    origin: str
    form: str
    compression: str
    stem: str
    source: Input


def find_files(recipe: CorpusRecipe, source: Input) -> tuple[AnyPath, ...]:
    """The files that an input names, absolute, each once, sorted.

    Raises:
        TongwenError: a pattern matches no file, or a store cannot be asked (see `paths`).
    """
    found = {path for pattern in source.paths for path in _find_pattern(recipe, pattern)}
    return tuple(sorted(found, key=lambda path: path.as_posix()))


def _find_pattern(recipe: CorpusRecipe, pattern: str) -> Sequence[AnyPath]:
    if not is_url(pattern):
        return _find_local(recipe, pattern.removeprefix("file://"))
    found = find_remote(pattern)
    if not found:
        raise TongwenError(
            f"no file matches {pattern!r}",
            where="corpus.inputs",
            expected="at least one file; a folder is written URL/*.jsonl or URL/**/*.jsonl",
            do="correct the URL",
        )
    return found


def _find_local(recipe: CorpusRecipe, pattern: str) -> list[Path]:
    base, rest = recipe.home.absolute(), str(Path(pattern).expanduser())
    if pattern.startswith(SAMPLE):
        base, rest = recipe.folder / "sample", pattern.removeprefix(SAMPLE) or "*"
    folder = Path(rest).anchor or str(base)
    literal = base / rest
    # Path.glob would take hidden files too.
    names = (
        [rest] if literal.is_file() else glob.glob(rest, root_dir=folder, recursive=True)  # noqa: PTH207
    )
    paths = [Path(os.path.normpath(Path(folder) / name)) for name in names]
    files = [path for path in paths if path.is_file()]
    if not files:
        raise TongwenError(
            f"no file matches {pattern!r}",
            where=f"corpus.inputs, looked in {_looked_in(Path(folder), rest)}",
            expected="at least one file; a folder is written FOLDER/*.jsonl or FOLDER/**/*.jsonl",
            do="correct the path; a relative one starts at the recipe's folder",
        )
    return files


def _looked_in(folder: Path, rest: str) -> Path:
    """The deepest existing folder before the first part that is a glob."""
    place = folder
    for part in Path(rest).parts:
        if glob.has_magic(part) or not (place / part).is_dir():
            break
        place /= part
    return Path(os.path.normpath(place))


def name_origin(recipe: CorpusRecipe, path: AnyPath) -> str:
    """The name of a file in `origin`: relative to the recipe's folder where it lies below it, else
    with its parent folder; `sample/NAME` for the sample corpus, wherever the run folder is; the URL
    of a remote file."""
    if isinstance(path, RemotePath):
        return path.url
    for base, prefix in ((recipe.folder / "sample", "sample"), (recipe.home.absolute(), "")):
        if path.is_relative_to(base):
            return (Path(prefix) / path.relative_to(base)).as_posix()
    return "/".join(path.parts[-2:]).lstrip("/")


def list_inputs(recipe: CorpusRecipe) -> tuple[InputFile, ...]:
    """Every file of the recipe in reading order: the inputs as written, each one's files sorted.

    Raises:
        TongwenError: a pattern matches nothing, a file's kind is not known, a file belongs to two
            inputs or two files would have the same origin.
    """
    files = tuple(
        _describe(recipe, path, source)
        for source in recipe.corpus.inputs
        for path in find_files(recipe, source)
    )
    paths = [file.path.as_posix() for file in files]
    _refuse_twins(paths, "is named by two inputs", "name each file in one [[corpus.inputs]] only")
    origins = [file.origin for file in files]
    _refuse_twins(origins, "is the origin of two files", "rename the parent folder of one")
    return files


def _refuse_twins(names: Sequence[str], what: str, do: str) -> None:
    for name in _find_twins(names):
        raise TongwenError(f"{name!r} {what}", where="corpus.inputs", do=do)


def _find_twins(names: Sequence[str]) -> Iterator[str]:
    return (name for name, following in pairwise(sorted(names)) if name == following)


def _describe(recipe: CorpusRecipe, path: AnyPath, source: Input) -> InputFile:
    form, compression, stem = detect_format(path, source.format)
    return InputFile(path, name_origin(recipe, path), form, compression, stem, source)


def detect_format(path: AnyPath, form: str = "auto") -> tuple[str, str, str]:
    """Form, compression and stem (see `InputFile`) by a file's name.

    Raises:
        TongwenError: the name tells nothing and `form` is "auto", or a Parquet file is compressed
            from outside.
    """
    compression = COMPRESSIONS.get(path.suffix.lower(), "")
    inner = Path(path.stem) if compression else Path(path.name)
    known = FORMATS.get(inner.suffix.lower())
    stem = inner.stem if known else inner.name
    form = (known or "") if form == "auto" else form
    if not form or (form == "parquet" and compression):
        raise TongwenError(
            f"what kind of file is {path.name!r}?",
            where=str(path),
            expected=f"{', '.join(FORMATS)}, plain, .gz or .zst (Parquet plain only)",
            do='rename it, or set format = "jsonl" ("parquet", "text") in its [[corpus.inputs]]',
        )
    return form, compression, stem
