"""Ids to text, compiled, as SentencePiece does it.

Byte pieces in a row become characters where they are valid UTF-8 and U+FFFD, one each, where they
are not; control pieces become nothing; the blank that stands for the beginning is taken away.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenizer.encoding.compiled import kernel, part
from tokenizer.model import SPACE, ModelProto, PieceType

_TEXT, _BYTE, _OTHER = np.uint8(0), np.uint8(1), np.uint8(2)
_i64, _u8, _u32 = np.int64, np.uint8, np.uint32


class Surfaces(NamedTuple):
    """What every id stands for.

    Attributes:
        data: uint8, the texts of all ids in a row.
        start_N: int64, where each begins, and the end.
        kind_N: uint8, 0 text, 1 byte, 2 control or unknown.
        opens_N: uint8, whether the text begins with `▁`.
        strips: whether the blank at the beginning is taken away.
        strips_all: whether all blanks at the beginning are.
    """

    data: NDArray[np.uint8]
    start_N: NDArray[np.int64]
    kind_N: NDArray[np.uint8]
    opens_N: NDArray[np.uint8]
    strips: bool
    strips_all: bool


def build_surfaces(model: ModelProto) -> Surfaces:
    """The table of a model."""
    texts = [_show(piece, model.trainer_spec.unk_surface) for piece in model.pieces]
    kinds = {PieceType.NORMAL: _TEXT, PieceType.USER_DEFINED: _TEXT, PieceType.BYTE: _BYTE}
    start_N = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=start_N[1:])
    rules = model.normalizer_spec
    return Surfaces(
        np.frombuffer(b"".join(texts) or b"\0", np.uint8),
        start_N,
        np.array([kinds.get(piece.type, _OTHER) for piece in model.pieces], np.uint8),
        np.array([piece.piece.startswith(SPACE) for piece in model.pieces], np.uint8),
        rules.add_dummy_prefix or rules.remove_extra_whitespaces,
        rules.remove_extra_whitespaces,
    )


def _show(piece: Any, unknown: str) -> bytes:
    if piece.type == PieceType.BYTE:
        return bytes([int(piece.piece[3:5], 16)])
    if piece.type == PieceType.CONTROL:
        return b""
    text = unknown if piece.type == PieceType.UNKNOWN else piece.piece.replace(SPACE, " ")
    return text.encode()


def decode_documents(
    surfaces: Surfaces, ids: NDArray[np.int64], offset_T: NDArray[np.int64]
) -> pa.LargeStringArray:
    """The text of each document, whose ids are ids[offset_T[i]:offset_T[i + 1]]."""
    length_N = np.maximum(np.diff(surfaces.start_N), 3)
    room = int(length_N[ids[offset_T[0] : offset_T[-1]]].sum()) if len(ids) else 0
    out, end_T = np.empty(room, np.uint8), np.zeros(len(offset_T), np.int64)
    size = _decode(surfaces, ids, offset_T, out, end_T)
    buffers = (pa.py_buffer(end_T), pa.py_buffer(out[:size]))
    return pa.LargeStringArray.from_buffers(len(offset_T) - 1, *buffers)


@kernel
def _decode(surfaces: Any, ids: Any, offset_T: Any, out: Any, end_T: Any) -> Any:
    size = 0
    for number in range(len(offset_T) - 1):
        size = _decode_one(surfaces, ids, offset_T[number], offset_T[number + 1], out, size)
        end_T[number + 1] = size
    return size


@part
def _decode_one(surfaces: Any, ids: Any, start: Any, stop: Any, out: Any, size: Any) -> Any:
    """Append one document; returns the new size."""
    first, at = size, start
    opening, taken = True, False
    while at < stop:
        token = ids[at]
        if surfaces.kind_N[token] == _BYTE:
            at, size = _decode_bytes(surfaces, ids, at, stop, out, size)
            continue
        if taken or size > first:
            opening = False
        begin, taken = surfaces.start_N[token], False
        if surfaces.kind_N[token] == _TEXT and opening and surfaces.strips:
            begin += _i64(surfaces.opens_N[token])
            taken = surfaces.opens_N[token] > _u8(0) and not surfaces.strips_all
        for place in range(begin, surfaces.start_N[token + 1]):
            out[size] = surfaces.data[place]
            size += 1
        at += 1
    return size


@part
def _decode_bytes(surfaces: Any, ids: Any, at: Any, stop: Any, out: Any, size: Any) -> Any:
    """Append the characters of a run of byte pieces; returns where it ends and the new size."""
    end = at
    while end < stop and surfaces.kind_N[ids[end]] == _BYTE:
        end += 1
    while at < end:
        length = _measure_valid(surfaces, ids, at, end)
        if length == 0:
            out[size], out[size + 1], out[size + 2] = _u8(0xEF), _u8(0xBF), _u8(0xBD)
            size, at = size + 3, at + 1
        for _ in range(length):
            out[size] = surfaces.data[surfaces.start_N[ids[at]]]
            size, at = size + 1, at + 1
    return at, size


@part
def _measure_valid(surfaces: Any, ids: Any, at: Any, end: Any) -> Any:
    """Bytes of the valid character that begins at a byte piece; 0 where there is none."""
    first = _u32(surfaces.data[surfaces.start_N[ids[at]]])
    if first < _u32(0x80):
        return 1
    length = 2 if first < _u32(0xE0) else 3 if first < _u32(0xF0) else 4
    if first < _u32(0xC0) or first >= _u32(0xF8) or at + length > end:
        return 0
    code = first & _u32(0xFF >> (length + 1))
    for place in range(at + 1, at + length):
        byte = _u32(surfaces.data[surfaces.start_N[ids[place]]])
        if byte >> _u32(6) != _u32(2):
            return 0
        code = _u32((code << _u32(6)) | (byte & _u32(63)))
    least = 0x80 if length == 2 else 0x800 if length == 3 else 0x10000
    surrogate = code >> _u32(11) == _u32(0x1B)
    return 0 if code < _u32(least) or surrogate or code > _u32(0x10FFFF) else length
