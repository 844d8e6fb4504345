"""Every kind of input file as numbered tables of fields, in bounded memory.

A reader yields `(line, fields)` or `(line, UnusableError)`; it never stops at a bad line.  A file
that breaks off gives what could be read and one last `bad_file`.  A text file is one document,
whatever blank lines or form feeds it holds.  Blank lines of a JSONL file are passed over.

For JSON lines this is the definition, and what samples are read with; `parsing` reads whole files
of them, takes most lines with compiled loops, and asks `parse_line` about the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from corpus.reading.arrays import Fields, Numbered, peek, read_array
from corpus.reading.files import InputFile, detect_format
from corpus.reading.paths import AnyPath, measure, open_binary
from corpus.reading.records import (
    BAD_FILE,
    BAD_JSON,
    BAD_UTF8,
    EXCERPT,
    TOO_LONG,
    WRONG_TYPE,
    UnusableError,
)
from corpus.reading.streams import BOM, BadFileError, Line, read_blocks, split_lines
from tongwen.errors import TongwenError

Advance = Callable[[int], None]

KNOWN_FIELDS = ("text", "target", "source", "category", "language", "lang", "origin")
_BATCH_ROWS = 256
_LINE_ROOM = 1 << 20
_SAMPLE_BYTES = 1 << 24


def read_file(file: InputFile, max_characters: int, advance: Advance = lambda _: None) -> Numbered:
    """The lines of a file; those of a Parquet file are its rows, those of a text file are one.

    Args:
        max_characters: of a document; a line that must hold more is not kept in memory.
        advance: told how many bytes of the file were taken.
    """
    if file.form == "parquet":
        columns = tuple(value for _, value in file.source.columns if value)
        return _read_parquet(file.path, (*KNOWN_FIELDS, *columns), advance)
    blocks = read_blocks(file.path, file.compression, advance)
    if file.form == "text":
        return _read_text(blocks, max_characters, file.source.columns.text or "text")
    return _read_json(blocks, file.form, longest_line(max_characters))


def longest_line(max_characters: int) -> int:
    """Bytes from which a line is read past.

    A character is at most 6 bytes in JSON (`\\u4e2d`), and other fields take some room.
    """
    return 6 * max_characters + _LINE_ROOM


def sample_lines(path: Path) -> Iterator[Fields]:
    """The usable tables of a file from its start, for a first look; no error is raised.

    Raises:
        TongwenError: the file's name does not tell its kind.
    """
    form, compression, _ = detect_format(path)
    if form == "parquet":
        lines = _read_parquet(path, KNOWN_FIELDS, lambda _: None)
    elif form == "text":
        return iter([{"text": _read_start(path, compression)}])
    else:
        lines = _read_json(read_blocks(path, compression), form, _SAMPLE_BYTES)
    return (fields for _, fields in lines if not isinstance(fields, UnusableError))


def _read_start(path: Path, compression: str) -> str:
    data = bytearray()
    with suppress(BadFileError):
        for block in read_blocks(path, compression):
            data += block
            if len(data) >= _SAMPLE_BYTES:
                break
    return data.removeprefix(BOM).decode("utf-8", "ignore")


def _read_json(blocks: Iterator[bytes], form: str, max_bytes: int) -> Numbered:
    is_array, blocks = find_array(blocks, form)
    return read_array(blocks, max_bytes) if is_array else _read_lines(blocks, max_bytes)


def find_array(blocks: Iterator[bytes], form: str) -> tuple[bool, Iterator[bytes]]:
    """Whether a .json file is one array (it starts with a bracket) rather than lines; its bytes."""
    if form == "jsonl":
        return False, blocks
    try:
        start = peek(blocks)
    except BadFileError as error:
        return False, _fail(error)
    return start.removeprefix(BOM).lstrip().startswith(b"["), chain((start,), blocks)


def _fail(error: BadFileError) -> Iterator[bytes]:
    raise error
    yield b""


def _read_lines(blocks: Iterator[bytes], max_bytes: int) -> Numbered:
    number = 0
    try:
        for line in split_lines(blocks, max_bytes):
            number = line.number
            if line.data.strip():
                yield number, parse_line(line)
    except BadFileError as error:
        yield number + 1, UnusableError(BAD_FILE, str(error))


def parse_line(line: Line) -> Fields | UnusableError:
    """The fields of a line, or why it has none."""
    if line.cut:
        detail = f"the line has more than {len(line.data)} bytes"
        return UnusableError(TOO_LONG, detail, _show(line.data))
    try:
        fields = json.loads(line.data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return _bad_utf8(error, line.data)
    except (ValueError, RecursionError) as error:
        return UnusableError(BAD_JSON, str(error), _show(line.data))
    if not isinstance(fields, dict):
        return UnusableError(WRONG_TYPE, "the line is not a JSON object", _show(line.data))
    return fields


def _bad_utf8(error: UnicodeDecodeError, data: bytes) -> UnusableError:
    detail = f"byte {error.start} is {data[error.start]:#04x}: {error.reason}"
    return UnusableError(BAD_UTF8, detail, _show(data[max(0, error.start - EXCERPT // 2) :]))


def _show(data: bytes | bytearray) -> str:
    return data[: 4 * EXCERPT].decode("utf-8", "replace")


def _read_text(blocks: Iterator[bytes], max_characters: int, name: str) -> Numbered:
    limit, data = 4 * max_characters + 3, bytearray()
    try:
        for block in blocks:
            data += block
            if len(data) > limit:
                detail = f"the file has more than {max_characters} characters"
                yield 1, UnusableError(TOO_LONG, detail, _show(data))
                return
    except BadFileError as error:
        # Half a text would pass for a whole one.
        yield 1, UnusableError(BAD_FILE, str(error), _show(data))
        return
    try:
        yield 1, {name: bytes(data).removeprefix(BOM).decode("utf-8")}
    except UnicodeDecodeError as error:
        yield 1, _bad_utf8(error, bytes(data))


def _read_parquet(path: AnyPath, names: tuple[str, ...], advance: Advance) -> Numbered:
    import pyarrow as pa

    row = 0
    try:
        for fields in _read_parquet_rows(path, names, advance):
            row += 1
            yield row, fields
    except (pa.ArrowException, OSError) as error:
        yield row + 1, UnusableError(BAD_FILE, str(error).split("\n")[0])


def _read_parquet_rows(
    path: AnyPath, names: tuple[str, ...], advance: Advance
) -> Iterator[Fields | UnusableError]:
    import pyarrow.parquet as pq

    with open_binary(path) as handle, pq.ParquetFile(handle, pre_buffer=False) as file:
        columns = [name for name in file.schema_arrow.names if name in names]
        total = file.metadata.num_rows
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            values = [_to_values(batch.column(name)) for name in batch.schema.names]
            for row in range(batch.num_rows):
                yield _decode_row(batch.schema.names, [column[row] for column in values])
            advance(measure(path) * batch.num_rows // total)


def _to_values(column: Any) -> list[Any]:
    """Strings as bytes, because Arrow does not check that they are UTF-8."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_binary()).to_pylist()
    values = column.to_pylist()
    # A binary column is not text; a list of numbers is rejected as such.
    return [list(value) if isinstance(value, bytes) else value for value in values]


def _decode_row(names: list[str], values: list[Any]) -> Fields | UnusableError:
    fields: Fields = {}
    for name, value in zip(names, values, strict=True):
        try:
            fields[name] = value.decode("utf-8") if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            return _bad_utf8(error, value)
    # A null is a field that the row does not have.
    return {name: value for name, value in fields.items() if value is not None}


def refuse_unreadable(path: AnyPath) -> None:
    """Raise a TongwenError where a local file cannot even be opened."""
    if not isinstance(path, Path):
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise TongwenError(
            f"cannot open the file: {error.strerror}",
            where=str(path),
            do="make it readable, or take it out of corpus.inputs",
        ) from None
