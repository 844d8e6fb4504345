"""Bytes and lines of plain, .gz and .zst files in bounded memory.

Compressed input is fed to the decoder 8 KiB at a time, so that a file which unpacks ten thousand
times its size still comes in pieces of some 80 MB.  What can be read of a truncated or corrupt file
is passed on before `BadFileError` is raised.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from corpus.reading.paths import AnyPath, read_pieces

BOM = b"\xef\xbb\xbf"
_PLAIN_BLOCK, _PACKED_BLOCK = 1 << 20, 1 << 13
_MAX_WINDOW = 1 << 31
"""Files made with `zstd --long=31` need a window of 2 GiB; others take what they need."""


class BadFileError(Exception):
    """The rest of a file cannot be read."""


@dataclass(frozen=True)
class Line:
    """A line without its end; `cut` where it was longer than asked for (`data` is its start)."""

    number: int
    data: bytes
    cut: bool = False


def read_blocks(
    path: AnyPath, compression: str, advance: Callable[[int], None] = lambda _: None
) -> Iterator[bytes]:
    """Unpacked bytes of a file, in pieces.

    Args:
        compression: "", "gz" or "zst"; files of several members or frames are read to the end.
        advance: told how many bytes of the file (as it lies on the disk) were taken.

    Raises:
        BadFileError: the file is truncated or corrupt, or the disk fails.
        TongwenError: a remote file cannot be read.
    """
    unpack = {"": _copy, "gz": _unpack_gz, "zst": _unpack_zst}[compression]
    try:
        yield from unpack(_take(path, _PACKED_BLOCK if compression else 0, advance))
    except OSError as error:
        raise BadFileError(f"cannot be read: {error.strerror or error}") from None


def _take(path: AnyPath, size: int, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The file in pieces; those for a decoder are cut out of larger ones."""
    for piece in read_pieces(path, _PLAIN_BLOCK):
        for start in range(0, len(piece), size or len(piece)):
            block = piece[start : start + size] if size else piece
            advance(len(block))
            yield block


def _copy(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield from blocks


def _unpack_gz(blocks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    started = False
    for block in blocks:
        while block.lstrip(b"\0") or started:
            started = True
            yield _decode(decoder.decompress, block)
            if not decoder.eof:
                break
            block, started = decoder.unused_data, False
            decoder = zlib.decompressobj(wbits=31)
    if started:
        raise BadFileError("truncated: the gzip stream has no end")


def _unpack_zst(blocks: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    factory = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    decoder = factory.decompressobj()
    started = False
    for block in blocks:
        while block or started:
            started = True
            yield _decode(decoder.decompress, block)
            if not decoder.eof:
                break
            block, started = decoder.unused_data, False
            decoder = factory.decompressobj()
    if started:
        raise BadFileError("truncated: the zstd frame has no end")


def _decode(decompress: Callable[[bytes], bytes], block: bytes) -> bytes:
    import zstandard

    try:
        return decompress(block)
    except (zlib.error, zstandard.ZstdError) as error:
        raise BadFileError(f"corrupt: {error}") from None


def split_lines(blocks: Iterator[bytes], max_bytes: int) -> Iterator[Line]:
    """Lines of the blocks, numbered from 1; a byte-order mark at the start is dropped.

    A longer line than `max_bytes` is read past, never held: its start comes as a `cut` line.
    """
    assembler = _Assembler(max_bytes)
    try:
        for block in blocks:
            yield from assembler.feed(block)
    except BadFileError:
        assembler.drop()
        raise
    yield from assembler.finish()


class _Assembler:
    """Joins pieces of blocks into lines, never holding more than `max_bytes` of one."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.number = max_bytes, 0
        self.parts: list[bytes] = []
        self.length = 0

    def feed(self, block: bytes) -> Iterator[Line]:
        first, *others = block.split(b"\n")
        self._hold(first)
        for piece in others:
            yield self._close()
            self._hold(piece)

    def finish(self) -> Iterator[Line]:
        if self.length:
            yield self._close()

    def drop(self) -> None:
        self.parts, self.length = [], 0

    def _hold(self, piece: bytes) -> None:
        room = self.max_bytes - self.length
        if room > 0:
            self.parts.append(piece[:room])
        self.length += len(piece)

    def _close(self) -> Line:
        data, cut = b"".join(self.parts), self.length > self.max_bytes
        self.drop()
        self.number += 1
        if self.number == 1:
            data = data.removeprefix(BOM)
        return Line(self.number, data, cut)
