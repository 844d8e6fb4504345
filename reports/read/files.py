"""Reading the outputs of a run that may be half done: what is not finished is None."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tongwen.errors import TongwenError
from tongwen.run import RunFolder

Row = dict[str, Any]


def find_file(run: RunFolder, output: str, name: str) -> Path | None:
    """A file of a finished output; None while the output is not finished.

    Raises:
        TongwenError: the output is finished but the file is gone.
    """
    if run.record(output) is None:
        return None
    path = run.path(output) / name
    if not path.exists():
        raise _broken(path, "the file is not there")
    return path


def find_optional(run: RunFolder, output: str, name: str) -> Path | None:
    """A file that a finished output may have; None where it has none or is not finished."""
    path = run.path(output) / name
    return path if run.record(output) is not None and path.exists() else None


def read_rows(
    run: RunFolder, output: str, name: str, columns: Sequence[str], optional: Sequence[str] = ()
) -> list[Row] | None:
    """All rows of a small Parquet file; None while its output is not finished.

    Args:
        optional: columns that an older run may lack; the rows then hold None.

    Raises:
        TongwenError: the file is gone, is not Parquet or lacks a column.
    """
    path = find_file(run, output, name)
    if path is None:
        return None
    present = [column for column in optional if column in list_columns(path)]
    blank = dict.fromkeys(column for column in optional if column not in present)
    rows: list[Row] = []
    for batch in read_batches(path, [*columns, *present]):
        rows += [{**row, **blank} for row in batch.to_pylist()]
    return rows


def list_columns(path: Path) -> list[str]:
    """Names of the columns of a Parquet file.

    Raises:
        TongwenError: it is not Parquet.
    """
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, str(error)) from None


def read_batches(
    path: Path, columns: Sequence[str], batch_size: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """Record batches of a Parquet file, in bounded memory.

    Raises:
        TongwenError: it is not Parquet or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            lacking = [name for name in columns if name not in file.schema_arrow.names]
            if lacking:
                raise _broken(path, "it has no column " + ", ".join(lacking))
            yield from file.iter_batches(batch_size, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, str(error)) from None


def read_json(run: RunFolder, output: str, name: str) -> Any:
    """A JSON file; None while its output is not finished.

    Raises:
        TongwenError: the file is gone or is not JSON.
    """
    path = find_file(run, output, name)
    return None if path is None else _load_json(path)


def read_optional_json(run: RunFolder, output: str, name: str, keys: Sequence[str]) -> Row | None:
    """A JSON object that a finished output may have; None where there is none.

    Raises:
        TongwenError: the file is not JSON, or lacks one of the keys.
    """
    path = find_optional(run, output, name)
    if path is None:
        return None
    found = _load_json(path)
    lacking = [key for key in keys if not isinstance(found, dict) or key not in found]
    if lacking:
        raise _broken(path, "it has no " + ", ".join(lacking))
    return found


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _broken(path, str(error)) from None


def read_lines(run: RunFolder, output: str, name: str) -> Iterator[Row]:
    """The objects of a JSON lines file, one by one; none while its output is not finished.

    Raises:
        TongwenError: the file is gone or a line is not JSON.
    """
    path = find_file(run, output, name)
    if path is None:
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise _broken(path, f"line {number}: {error}") from None


def list_missing(run: RunFolder, outputs: Sequence[str]) -> list[str]:
    """Those of the outputs that are not finished, in the order given."""
    return [name for name in outputs if run.record(name) is None]


def _broken(path: Path, why: str) -> TongwenError:
    return TongwenError(
        f"an output cannot be read: {why}",
        where=str(path),
        expected="the file as tongwen wrote it",
        do=f"remove the folder {path.parent} and run again",
    )
