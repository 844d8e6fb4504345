"""Outputs that are whole or absent, each with the record of how it came to be.

An output is a folder.  It is built under a hidden name beside its place, every file is flushed to
disk, `record.json` is written last and the folder is renamed.  So the presence of a record means
that the output is complete, and a run that is killed anywhere goes on by building what has no
record.  The record holds the fingerprint of the configuration and of the inputs: an output with
the same fingerprint is not built again, one with another is a loud error that names what changed.

The price: an output is read once more to take its SHA-256.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from tongwen.errors import TongwenError

RECORD = "record.json"
FORMAT = 1
TIMED = (
    *("timings.json", "timings.jsonl", "tensorboard", "report.html", "report.md", "logs"),
    "stats.duckdb",
)
"""Names of files and folders whose bytes depend on the clock (or on DuckDB's threads); they have no
SHA-256 in a record."""

_PACKAGES = ("tongwen", "numpy", "pyarrow", "duckdb", "sentencepiece", "tokenizers", "numba")
_SAMPLE, _NUM_SAMPLES = 1 << 20, 16

Counts = dict[str, int | float | str]


@dataclass(frozen=True)
class FileEntry:
    """A file of an output: its size and, unless it depends on the clock, its SHA-256."""

    bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Record:
    """What `record.json` holds.

    Attributes:
        identity: of an amended output, the `content` it had before; empty otherwise.
        changes: of an amended output, what was done to it, oldest first.
    """

    kind: str
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, FileEntry]
    counts: Counts = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    identity: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)
    format: int = FORMAT

    @property
    def files_with_hash(self) -> dict[str, str]:
        """Name -> SHA-256 of every file that does not depend on the clock."""
        return {name: each.sha256 for name, each in self.files.items() if each.sha256}

    @property
    def content(self) -> str:
        """SHA-256 over the names and hashes of the files: the identity of what was made.

        An amended output keeps its first one, so that what was begun with it can go on.
        """
        if self.identity:
            return self.identity
        lines = [f"{name} {sha256}" for name, sha256 in sorted(self.files_with_hash.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def fingerprint(kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """SHA-256 of a canonical JSON text.  Raises TypeError for a value that JSON cannot hold."""
    table = {"format": FORMAT, "kind": kind, "config": config, "inputs": inputs}
    text = json.dumps(table, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def identify_file(path: Path) -> str:
    """Identity of an input file: its size and BLAKE2b of it, or of 16 spread MiB of a larger one.

    A file of 10 TB is identified as fast as one of 16 MB; a change that keeps the size and touches
    none of the 16 places is not noticed.
    """
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    step = max(_SAMPLE, (size - _SAMPLE) // (_NUM_SAMPLES - 1)) if size > _SAMPLE else _SAMPLE
    with path.open("rb") as file:
        for index in range(_NUM_SAMPLES):
            file.seek(index * step)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(folder: Path) -> Record | None:
    """The record of an output; None where there is none.

    Raises:
        TongwenError: the record cannot be read.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        files = {name: FileEntry(**entry) for name, entry in table.pop("files").items()}
        return Record(files=files, **table)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TongwenError(
            f"the record cannot be read: {error}",
            where=str(path),
            expected="the JSON that tongwen wrote",
            do=f"remove the folder {folder} and run again",
        ) from None


def produce(
    folder: Path,
    *,
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    build: Callable[[Path], Counts],
    resumable: bool = False,
) -> tuple[Record, bool]:
    """Build an output unless it is there.

    Args:
        folder: where the output belongs.
        config: everything of the recipe that changes the result (JSON values).
        inputs: name -> fingerprint or identity of everything that is read.
        build: writes the files into the folder it is given and returns the counts to record.
        resumable: `build` goes on in a folder that an earlier, killed run left behind.

    Returns:
        The record, and whether anything was built.

    Raises:
        TongwenError: the output exists and was made with another configuration or other inputs,
            or the disk is full.
    """
    mark = fingerprint(kind, config, inputs)
    record = read_record(folder)
    if record is not None:
        _check_same(record, mark, config, inputs, folder)
        return record, False
    work = folder.with_name(f".{folder.name}.partial")
    _prepare(work, mark, resumable=resumable)
    started = time.monotonic()
    try:
        counts = build(work)
        (work / "fingerprint").unlink(missing_ok=True)
        record = Record(
            kind=kind,
            fingerprint=mark,
            config=dict(config),
            inputs=dict(inputs),
            files=list_files(work),
            counts=counts,
            versions=_versions(),
            seconds=round(time.monotonic() - started, 3),
            peak_memory_bytes=_peak_memory(),
        )
        publish(work, folder, record)
    except Exception as error:
        if _is_disk_full(error):
            raise _disk_full(work, keep=resumable) from error
        raise
    return record, True


def _prepare(work: Path, mark: str, *, resumable: bool) -> None:
    """A killed run's leftovers go, unless they can be continued and are of the same fingerprint."""
    note = work / "fingerprint"
    same = note.exists() and note.read_text(encoding="utf-8") == mark
    if work.exists() and not (resumable and same):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    write_text(note, mark)


def publish(work: Path, folder: Path, record: Record) -> None:
    """Write the record into a finished work folder and put it in its place."""
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False, sort_keys=True)
    write_text(work / RECORD, text + "\n")
    _flush(work)
    if folder.exists():
        shutil.rmtree(folder)
    work.rename(folder)
    _flush(folder.parent)


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, flush it and rename it."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def list_files(work: Path) -> dict[str, FileEntry]:
    """Flush every file below a folder to disk and identify it."""
    entries: dict[str, FileEntry] = {}
    for path in sorted(path for path in work.rglob("*") if path.is_file()):
        name = path.relative_to(work)
        timed = any(part in TIMED for part in name.parts)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        entries[name.as_posix()] = FileEntry(
            bytes=path.stat().st_size, sha256=None if timed else hash_file(path)
        )
    return entries


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _peak_memory() -> int:
    """Peak resident bytes, so far, of this process or the largest of its ended children."""
    import resource

    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    # Linux reports KiB.
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024


def _check_same(
    record: Record,
    mark: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    folder: Path,
) -> None:
    if record.fingerprint == mark:
        return
    config = json.loads(json.dumps(config))
    changes = _differences(record.config, config) + _differences(record.inputs, dict(inputs))
    raise TongwenError(
        "the output was made with another recipe or other inputs:\n    "
        + "\n    ".join(changes or ["the format of the output (another version of tongwen)"]),
        where=str(folder),
        expected="the recipe and inputs it was made with",
        do="change them back, use another [run] folder, or build it and all that follows again: "
        f"tongwen run RECIPE --redo {'/'.join(folder.parts[-2:])}",
    )


def _differences(before: Any, after: Any, key: str = "") -> list[str]:
    """Human-readable differences of two JSON values, each with its dotted key."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[str] = []
        for name in sorted({*before, *after}):
            inner = f"{key}.{name}" if key else str(name)
            found += _differences(before.get(name), after.get(name), inner)
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for i, (a, b) in pairs for line in _differences(a, b, f"{key}.{i}")]
    return [f"{key}: was {_short(before)}, is {_short(after)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _is_disk_full(error: BaseException) -> bool:
    """Arrow, DuckDB and safetensors wrap the error of the operating system in their own."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or os.strerror(errno.ENOSPC) in str(error)


def _disk_full(work: Path, *, keep: bool) -> TongwenError:
    if not keep:
        shutil.rmtree(work, ignore_errors=True)
    return TongwenError(
        "the disk is full",
        where=str(work),
        expected="room for the output; no unfinished output stands in its place",
        do="free some space or move [run] folder, then run again: it goes on where it stopped",
    )
