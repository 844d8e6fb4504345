"""The bytes of a file of lines, cut into blocks of whole lines.

A block is what is parsed at once: some MB, whatever the lines are like.  Where the cuts fall never
shows in the documents.  The price: a line that is longer than a block makes one of its own, up to
the length from which it is read past and only its start is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.reading.json_bytes import count_newlines
from corpus.reading.streams import BadFileError
from corpus.reading.vectors import PADDING

BLOCK_BYTES, BLOCK_LINES = 4_000_000, 50_000
"""A block holds at most so many lines, because each may become a reject with its excerpt."""
_END = b"\n"


@dataclass(frozen=True)
class Block:
    """Whole lines of a file.

    Attributes:
        first: the number of the first line, from 1.
        data: the lines, each with its newline, and `PADDING` zeros.
        num_lines: how many they are.
        cut: it is the start of one line that was too long (without a newline).
        broken: why the file cannot be read further, with the line at which it breaks.
    """

    first: int
    data: bytes = bytes(PADDING)
    num_lines: int = 0
    cut: bool = False
    broken: str = ""

    @property
    def size(self) -> int:
        return len(self.data) - PADDING

    @property
    def bytes(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.data, np.uint8)


class _Cutter:
    """Collects pieces; `whole` are those with complete lines, `open` those of the last line."""

    def __init__(self, max_bytes: int, block_bytes: int) -> None:
        self.max_bytes, self.block_bytes, self.number = max_bytes, block_bytes, 1
        self._whole: list[memoryview] = []
        self._open: list[memoryview] = []
        self._num_whole = self._num_open = 0
        self._skipping = False

    def feed(self, piece: memoryview, behind: int) -> Iterator[Block]:
        """Take a piece whose last newline ends at `behind` (0: it has none)."""
        if behind and self._skipping:
            first = bytes(piece).index(_END) + 1
            piece, behind = piece[first:], behind - first
            yield from self._take_whole()
            yield self._take_cut()
        if behind:
            self._whole += [*self._open, piece[:behind]]
            self._num_whole += self._num_open + behind
            self._open, self._num_open = [], 0
        self._hold(piece[behind:])
        if self._num_whole + self._num_open >= self.block_bytes:
            yield from self._take_whole()

    def finish(self) -> Iterator[Block]:
        """What is left; the last line need not have a newline."""
        yield from self._take_whole()
        if self._skipping:
            yield self._take_cut()
        elif self._num_open:
            self._open.append(memoryview(_END))
            self._whole, self._open, self._num_whole = self._open, [], self._num_open + 1
            yield from self._take_whole()

    def fail(self, error: BadFileError) -> Iterator[Block]:
        """The whole lines that are left, and the failure; half a line would pass for a whole."""
        yield from self._take_whole()
        yield Block(self.number, broken=str(error))

    def _hold(self, rest: memoryview) -> None:
        """Keep the start of a line; of one that is too long no more than is shown of it."""
        room = self.max_bytes - self._num_open
        self._num_open += len(rest)
        if not self._skipping and len(rest):
            self._open.append(rest[: max(0, room)])
        self._skipping = self._num_open > self.max_bytes

    def _take_whole(self) -> Iterator[Block]:
        """What there is of whole lines."""
        if not self._num_whole:
            return
        data = b"".join((*self._whole, bytes(PADDING)))
        self._whole, self._num_whole = [], 0
        num_lines = int(count_newlines(np.frombuffer(data, np.uint8), len(data) - PADDING))
        for block in _split_block(Block(self.number, data, num_lines)):
            self.number += block.num_lines
            yield block

    def _take_cut(self) -> Block:
        data = b"".join((*self._open, bytes(PADDING)))
        self._open, self._num_open, self._skipping = [], 0, False
        self.number += 1
        return Block(self.number - 1, data, 1, cut=True)


def _split_block(block: Block) -> Iterator[Block]:
    """The block, or blocks of as many lines as one may hold."""
    if block.num_lines <= BLOCK_LINES:
        yield block
        return
    ends, start = np.flatnonzero(block.bytes[: block.size] == ord(_END)) + 1, 0
    for line in range(0, block.num_lines, BLOCK_LINES):
        num_lines = min(BLOCK_LINES, block.num_lines - line)
        stop = int(ends[line + num_lines - 1])
        yield Block(block.first + line, block.data[start:stop] + bytes(PADDING), num_lines)
        start = stop


def cut_blocks(
    pieces: Iterator[bytes], max_bytes: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Blocks of whole lines, in order; the last one tells where a damaged file breaks off.

    Args:
        max_bytes: a longer line is read past; its start comes as a block of its own.
        block_bytes: from which on a block is complete.
    """
    cutter = _Cutter(max_bytes, block_bytes)
    try:
        for piece in pieces:
            whole = memoryview(piece)
            for start in range(0, len(piece), block_bytes):
                stop = min(start + block_bytes, len(piece))
                behind = piece.rfind(_END, start, stop) + 1
                yield from cutter.feed(whole[start:stop], max(0, behind - start))
    except BadFileError as error:
        yield from cutter.fail(error)
        return
    yield from cutter.finish()


def list_lines(block: Block, places: NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    """Number and bytes (without newline) of the lines at some places of a block."""
    ends = np.flatnonzero(block.bytes[: block.size] == ord(_END))
    for place in places:
        start = int(ends[place - 1]) + 1 if place else 0
        yield block.first + int(place), block.data[start : int(ends[place])]
