"""The files a training is about to read are those that were recorded, of the right vocabulary.

Sizes are compared each time.  Hashes are compared once: `logs/checked.json` notes which files had
which, so a training that goes on reads only those that were changed (on record) since.

The price: the shards are read once more, at the speed of the disk, before a training of days.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.record import FileEntry, Record, hash_file, write_text
from tongwen.run import RunFolder

CHECKED = "checked.json"


def hash_shards(record: Record, prefixes: Sequence[Path]) -> tuple[str, ...]:
    """What identifies each shard: the hashes of its tokens and of its index, as recorded."""
    files = record.files_with_hash
    names = [(f"{prefix.name}.bin", f"{prefix.name}.idx") for prefix in prefixes]
    return tuple(f"{files.get(tokens, '')}{files.get(index, '')}" for tokens, index in names)


def list_taken(record: Record) -> tuple[int, ...]:
    """Numbers of the buckets that takedowns have changed."""
    takedowns = [change for change in record.changes if change.get("kind") == "forget"]
    return tuple(sorted({int(n) for change in takedowns for n in change.get("buckets", ())}))


def check_vocabulary_of(run: RunFolder, record: Record) -> None:
    """Check that buckets were made with the vocabulary that is there now.

    Raises:
        TongwenError: it is another one.
    """
    name = "tokenizer/vocabulary"
    vocabulary, used = run.record(name), record.inputs.get(name)
    if vocabulary is not None and used is not None and used != vocabulary.content:
        raise TongwenError(
            "the buckets were made with another vocabulary than the one that is there now",
            where=f"{record.kind}: made with {used[:12]}, there is {vocabulary.content[:12]}",
            expected="the tokenizer that gave the buckets their ids",
            do=f"build them again: tongwen run RECIPE --redo {record.kind}",
        )


def check_files(folder: Path, record: Record, logs: Path) -> None:
    """Check the shards of an output against its record.

    Args:
        folder: the output.
        logs: where to note which files were found right.

    Raises:
        TongwenError: a file is gone or was changed after it was recorded.
    """
    wanted = {name: entry for name, entry in record.files.items() if _is_shard(name)}
    for name, entry in wanted.items():
        _check_size(folder / name, entry)
    known = _read_checked(logs / CHECKED)
    new = {name: entry for name, entry in wanted.items() if known.get(name) != entry.sha256}
    total = sum(entry.bytes for entry in new.values())
    with progress("checking the buckets", total=total, unit="B") as advance:
        for name, entry in new.items():
            _check_hash(folder / name, entry)
            advance(entry.bytes)
    logs.mkdir(parents=True, exist_ok=True)
    found = {name: entry.sha256 for name, entry in wanted.items()}
    write_text(logs / CHECKED, json.dumps(found, indent=1, sort_keys=True) + "\n")


def _is_shard(name: str) -> bool:
    return "/" not in name and name.endswith((".bin", ".idx"))


def _read_checked(path: Path) -> dict[str, str]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _check_size(path: Path, entry: FileEntry) -> None:
    size = path.stat().st_size if path.is_file() else None
    if size != entry.bytes:
        what = "is not there" if size is None else f"has {size:,} bytes"
        raise _changed(path, f"it {what}", f"{entry.bytes:,} bytes, as record.json says")


def _check_hash(path: Path, entry: FileEntry) -> None:
    if hash_file(path) != entry.sha256:
        raise _changed(path, "its bytes are others", f"SHA-256 {entry.sha256}, as record.json says")


def _changed(path: Path, how: str, expected: str) -> TongwenError:
    return TongwenError(
        f"{path.name} was changed after the output was recorded: {how}",
        where=str(path),
        expected=expected,
        do="put the file back, or build the buckets again: tongwen run RECIPE --redo "
        + "/".join(path.parts[-3:-1]),
    )
