"""A block of a file becomes a record batch of documents and its rejects.

Most lines are taken by compiled loops (`scan`, `unpack`, `blake2`, `characters`) that make whole
columns.  The lines they are not sure of go, one by one, through `json.loads` and
`Rules.make_document`, which define what a line means, and come back to their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus.documents import DOCUMENTS, to_batch
from corpus.reading import blake2, scan
from corpus.reading.blocks import Block, list_lines
from corpus.reading.characters import detect_languages, is_utf8
from corpus.reading.files import InputFile
from corpus.reading.json_bytes import find_line_ends
from corpus.reading.readers import Fields, longest_line, parse_line
from corpus.reading.records import BAD_FILE, Document, Reject, Rules, UnusableError
from corpus.reading.streams import BOM, Line
from corpus.reading.unpack import name_lines, to_buffers, to_strings, unpack_strings
from tongwen.recipe import Columns


class Categorizer(Protocol):
    """Gives a category to lines that name none."""

    def fill(
        self,
        file: str,
        texts: pa.Array,
        sources: pa.Array,
        languages: pa.Array,
        categories: pa.Array,
    ) -> pa.Array:
        """The categories; "" in them is filled where one is known, all else stays."""
        ...


@dataclass(frozen=True)
class Parsed:
    """Documents, in the columns of the documents table, and rejects; both in the order of lines."""

    documents: pa.RecordBatch
    rejects: Sequence[Reject]


@dataclass(frozen=True)
class Rows:
    """Numbered tables of fields, from a file that does not consist of lines."""

    rows: Sequence[tuple[int, Fields | UnusableError]]


class Parser:
    """Makes the documents of one file; the threads of an engine may share it."""

    def __init__(
        self, file: InputFile, max_characters: int, categorizer: Categorizer | None = None
    ) -> None:
        self.rules = _make_rules(file, max_characters)
        self.default, self.categorizer = file.stem, categorizer
        self.max_bytes = longest_line(max_characters)
        self._wanted = _Wanted.of(file.source.columns)

    def parse(self, block: Block | Rows) -> Parsed:
        """The documents and rejects of a block."""
        if isinstance(block, Rows):
            rows, rejects = self._make_documents(block.rows)
            batch = to_batch([row for _, row in rows], DOCUMENTS)
        elif block.broken:
            rejects = [UnusableError(BAD_FILE, block.broken).to_reject(self._file, block.first)]
            batch = to_batch([], DOCUMENTS)
        elif block.cut:
            line = Line(block.first, _without_mark(block.first, block.data[: block.size]), cut=True)
            _, rejects = self._make_documents([(line.number, parse_line(line))])
            batch = to_batch([], DOCUMENTS)
        else:
            batch, rejects = self._parse_lines(block)
        return Parsed(self._name_categories(batch), rejects)

    @property
    def _file(self) -> str:
        return self.rules.origin

    def _parse_lines(self, block: Block) -> tuple[pa.RecordBatch, list[Reject]]:
        found = _scan(block, self._wanted, (self.max_bytes, self.rules.max_characters))
        batch = self._make_batch(block.first, found)
        if not len(found.unsure):
            return batch, []
        lines = (self._cut_line(*line) for line in list_lines(block, found.unsure))
        tables = ((line.number, parse_line(line)) for line in lines if line.data.strip())
        documents, rejects = self._make_documents(tables)
        numbers = [number for number, _ in documents]
        slow = to_batch([document for _, document in documents], DOCUMENTS)
        return _merge(batch, found.rows + block.first, slow, np.array(numbers, np.int64)), rejects

    def _cut_line(self, number: int, data: bytes) -> Line:
        whole = len(data) <= self.max_bytes
        return Line(number, _without_mark(number, data[: self.max_bytes]), cut=not whole)

    def _make_documents(
        self, tables: Iterable[tuple[int, Fields | UnusableError]]
    ) -> tuple[list[tuple[int, Document]], list[Reject]]:
        documents: list[tuple[int, Document]] = []
        rejects: list[Reject] = []
        for line, fields in tables:
            try:
                if isinstance(fields, UnusableError):
                    raise fields
                documents.append((line, self.rules.make_document(fields, line)))
            except UnusableError as error:
                rejects.append(error.to_reject(self._file, line))
        return documents, rejects

    def _make_batch(self, first: int, found: _Found) -> pa.RecordBatch:
        strings = [
            unpack_strings(found.data, found.spans[:, column]) for column in range(scan.NUM_COLUMNS)
        ]
        text, prompt = strings[scan.TEXT], strings[scan.PROMPT]
        columns = {
            "id": _hash(prompt, text),
            "text": text,
            "prompt": prompt,
            "category": fill_empty(strings[scan.CATEGORY], self.rules.category),
            "language": self._fill_language(strings[scan.LANGUAGE], text),
            "source": fill_empty(strings[scan.SOURCE], self.rules.source),
            "origin": name_lines(self._file, found.rows + first),
        }
        return pa.record_batch([columns[name] for name in DOCUMENTS.names], schema=DOCUMENTS)

    def _fill_language(self, given: pa.Array, text: pa.Array) -> pa.Array:
        return fill_empty(given, self.rules.language or (lambda: detect_languages(text)))

    def _name_categories(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        category = batch["category"]
        if self.categorizer is not None and batch.num_rows:
            facts = (batch["text"], batch["source"], batch["language"], category)
            category = self.categorizer.fill(self._file, *facts)
        place = DOCUMENTS.names.index("category")
        return batch.set_column(place, DOCUMENTS.field(place), fill_empty(category, self.default))


@dataclass(frozen=True)
class _Wanted:
    """The fields that a file's lines are searched for, as `scan.scan_lines` takes them."""

    names: NDArray[np.uint8]
    name_ends: NDArray[np.int64]
    choices: NDArray[np.int64]

    @staticmethod
    def of(columns: Columns) -> _Wanted:
        """The fields that `Rules.make_document` would look at."""
        fields, chosen = ["target"], []
        for has_target in (False, True):
            known = (
                (columns.text or ("target" if has_target else "text"),),
                (columns.prompt or ("source" if has_target else ""),),
                (columns.category or "category",),
                (columns.language,) if columns.language else ("language", "lang"),
                (columns.source or ("origin" if has_target else "source"),),
            )
            chosen.append(known)
            fields += [name for names in known for name in names if name not in ("", *fields)]
        choices = np.full((2, scan.NUM_COLUMNS, 2), -1, np.int64)
        for has_target, known in enumerate(chosen):
            for column, names in enumerate(known):
                places = [fields.index(name) for name in names if name]
                choices[has_target, column, : len(places)] = places
        encoded = [name.encode() for name in fields]
        names = np.frombuffer(b"".join(encoded), np.uint8)
        return _Wanted(names, np.cumsum([len(name) for name in encoded]), choices)


@dataclass(frozen=True)
class _Found:
    """Rows that are certain, and lines that are not; both are places in the block, from 0."""

    data: NDArray[np.uint8]
    spans: NDArray[np.int32]
    rows: NDArray[np.int64]
    unsure: NDArray[np.int64]


def _scan(block: Block, wanted: _Wanted, limits: tuple[int, int]) -> _Found:
    ends = np.empty(block.num_lines, np.int64)
    find_line_ends(block.bytes, block.size, ends)
    first = len(BOM) if block.first == 1 and block.data.startswith(BOM) else 0
    data = block.bytes if is_utf8(block.bytes, block.size) else _hide_bad_lines(block, ends)
    spans = np.empty((len(ends), scan.NUM_COLUMNS, 3), np.int32)
    rows, unsure = np.empty_like(ends), np.empty_like(ends)
    num_rows, num_unsure = scan.scan_lines(
        data,
        first,
        ends,
        wanted.names,
        wanted.name_ends,
        wanted.choices,
        np.array(limits, np.int64),
        spans,
        rows,
        unsure,
    )
    return _Found(data, spans[:num_rows], rows[:num_rows], unsure[:num_unsure])


def _hide_bad_lines(block: Block, ends: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bytes with every line that is not UTF-8 overwritten by what is no table."""
    data, start = block.bytes.copy(), 0
    for end in ends.tolist():
        try:
            str(memoryview(block.data)[start:end], "utf-8")
        except UnicodeDecodeError:
            data[start:end] = ord("[")
        start = end + 1
    # As the bytes of every block are, so that nothing is compiled twice.
    data.flags.writeable = False
    return data


def _without_mark(number: int, data: bytes) -> bytes:
    return data.removeprefix(BOM) if number == 1 else data


def _hash(prompt: pa.Array, text: pa.Array) -> pa.Array:
    ids = blake2.hash_documents(*to_buffers(prompt), *to_buffers(text))
    ends = np.arange(len(ids) + 1, dtype=np.int32) * np.int32(blake2.HEX_DIGITS)
    return to_strings(ids.reshape(-1), ends)


def fill_empty(strings: pa.Array, default: str | Callable[[], pa.Array]) -> pa.Array:
    """Strings with `default` (one string, or an array of them) in the place of empty ones."""
    empty = np.diff(to_buffers(strings)[1]) == 0
    if not default or not empty.any():
        return strings
    value = pa.scalar(default, pa.string()) if isinstance(default, str) else default()
    return pc.call_function("if_else", [pa.array(empty), value, strings])


def _merge(
    one: pa.RecordBatch,
    one_lines: NDArray[np.int64],
    other: pa.RecordBatch,
    other_lines: NDArray[np.int64],
) -> pa.RecordBatch:
    """The rows of two batches in the order of their lines."""
    if not other.num_rows:
        return one
    order = np.argsort(np.concatenate([one_lines, other_lines]))
    both = pa.concat_batches([one, other])
    return both.take(pa.array(order))


def _make_rules(file: InputFile, max_characters: int) -> Rules:
    """The rules of a file's lines; a category that nobody names is left empty."""
    source = file.source
    return Rules(
        columns=source.columns,
        origin=file.origin,
        category=source.category or "",
        language=source.language or "",
        source=source.source or file.stem,
        max_characters=max_characters,
    )
