"""A JSON file that is one array of objects, element by element.

Many instruction data sets come so.  The file is never held as a whole: elements are parsed from a
buffer that grows only while one is not complete.  What follows a broken element cannot be found
again, so the rest of the file is then one `bad_file`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from corpus.reading.records import BAD_FILE, EXCERPT, WRONG_TYPE, UnusableError
from corpus.reading.streams import BOM, BadFileError

Fields = dict[str, Any]
Numbered = Iterator[tuple[int, Fields | UnusableError]]

_START, _BETWEEN = re.compile(r"\s*\[?"), re.compile(r"[\s,]*")


def peek(blocks: Iterator[bytes]) -> bytes:
    """The blocks up to the first that is not white space, joined.

    Raises:
        BadFileError: they cannot be read.
    """
    start = bytearray()
    for block in blocks:
        start += block
        if block.removeprefix(BOM).strip():
            break
    return bytes(start)


def read_array(blocks: Iterator[bytes], max_bytes: int) -> Numbered:
    """Number (from 1) and fields of each element.

    Args:
        max_bytes: an element larger than this ends the reading.
    """
    buffer, number = _Buffer(blocks, max_bytes), 0
    try:
        buffer.skip(_START)
        while (element := buffer.take()) is not None:
            number += 1
            is_table = isinstance(element, dict)
            detail = f"element {number} is not a JSON object"
            excerpt = "" if is_table else str(element)[: 4 * EXCERPT]
            yield number, element if is_table else UnusableError(WRONG_TYPE, detail, excerpt)
    except (BadFileError, UnicodeDecodeError, ValueError, RecursionError) as error:
        yield number + 1, UnusableError(BAD_FILE, str(error), buffer.show())


class _Buffer:
    """Text of the file that is read; what lies before `at` is parsed."""

    def __init__(self, blocks: Iterator[bytes], max_bytes: int) -> None:
        self.text, self.at = "", 0
        self._blocks, self._max_bytes = blocks, max_bytes
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._parse = json.JSONDecoder().raw_decode

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Pass over characters, reading on until something else comes."""
        while True:
            match = pattern.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text) or not self._grow(1):
                return

    def take(self) -> Any:
        """The next element; None at the end of the array.

        Raises:
            BadFileError, ValueError: the array is broken or its element too large.
        """
        self.skip(_BETWEEN)
        if self.text.startswith("]", self.at):
            return None
        while True:
            try:
                element, self.at = self._parse(self.text, self.at)
                return element
            except json.JSONDecodeError:
                left = len(self.text) - self.at
                if left > self._max_bytes or not self._grow(left):
                    raise

    def show(self) -> str:
        """The start of what is not parsed."""
        return self.text[self.at : self.at + 4 * EXCERPT]

    def _grow(self, characters: int) -> bool:
        """Read at least so many characters more; False at the end of the file."""
        parts, length = [self.text[self.at :]], 0
        for block in self._blocks:
            parts.append(self._decode(block))
            length += len(parts[-1])
            if length >= characters:
                break
        self.text, self.at = "".join(parts), 0
        return length > 0
