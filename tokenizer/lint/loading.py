"""A processor for any parsed model, also for one that SentencePiece refuses.

Lint has to go on where SentencePiece stops, at the first duplicate piece or missing byte.  A
refused model is repaired in a copy in which no id moves: a later twin gets a name that no text
holds, a missing unknown or byte piece is appended.  What was refused, and why, is kept.
"""

from __future__ import annotations

from pathlib import Path

import sentencepiece

from tokenizer.model import ModelProto, PieceType
from tongwen.errors import TongwenError

_NO_TEXT = "\U0010ffff"
"""A noncharacter: the names of pieces that were renamed begin with it."""


def open_processor(
    model: ModelProto, path: Path
) -> tuple[sentencepiece.SentencePieceProcessor, str]:
    """The processor of a model or of its repaired copy, and SentencePiece's refusal ("" if none).

    Raises:
        TongwenError: SentencePiece refuses the repaired copy, too.
    """
    try:
        return _open(model), ""
    except (RuntimeError, OSError, ValueError) as error:
        refusal = str(error)
    try:
        return _open(repair_model(model)), refusal
    except (RuntimeError, OSError, ValueError) as error:
        raise TongwenError(
            f"SentencePiece cannot use {path.name}: {error}",
            where=str(path),
            expected="a model whose pieces and normaliser are whole",
            do="get the file again from where it was published",
        ) from None


def make_plain(model: ModelProto) -> ModelProto:
    """A copy that encodes text as it is: no normaliser, no dummy prefix, spaces not escaped."""
    plain = type(model)()
    plain.CopyFrom(model)
    spec = plain.normalizer_spec
    spec.precompiled_charsmap = b""
    spec.add_dummy_prefix = spec.remove_extra_whitespaces = spec.escape_whitespaces = False
    return plain


def repair_model(model: ModelProto) -> ModelProto:
    """A copy that SentencePiece loads, in which every id means what it meant."""
    copy = type(model)()
    copy.CopyFrom(model)
    _rename_twins(copy)
    _mend_unknown(copy)
    _mend_bytes(copy)
    return copy


def list_twins(model: ModelProto) -> list[tuple[int, int]]:
    """(first id, later id) of pieces with the same text, whatever their types."""
    first: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for number, piece in enumerate(model.pieces):
        if first.setdefault(piece.piece, number) != number:
            found.append((first[piece.piece], number))
    return found


def _open(model: ModelProto) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())


def _rename_twins(model: ModelProto) -> None:
    named = enumerate(model.pieces)
    nameless = [number for number, piece in named if not piece.piece or "\0" in piece.piece]
    for number in (*(later for _, later in list_twins(model)), *nameless):
        model.pieces[number].piece = f"{_NO_TEXT}{number}"
        model.pieces[number].type = int(PieceType.UNUSED)


def _mend_unknown(model: ModelProto) -> None:
    unknown = [piece for piece in model.pieces if piece.type == PieceType.UNKNOWN]
    for piece in unknown[1:]:
        piece.type = int(PieceType.CONTROL)
    if not unknown:
        model.pieces.add(piece=f"{_NO_TEXT}unk", type=int(PieceType.UNKNOWN))


def _mend_bytes(model: ModelProto) -> None:
    names = [f"<0x{byte:02X}>" for byte in range(256)]
    there = {piece.piece for piece in model.pieces if piece.type == PieceType.BYTE}
    for piece in model.pieces:
        if piece.type == PieceType.BYTE and piece.piece not in names:
            piece.type = int(PieceType.CONTROL)
    if there:
        model.trainer_spec.byte_fallback = True
    if model.trainer_spec.byte_fallback:
        others = {piece.piece: piece for piece in model.pieces}
        for name in names:
            if name in others:
                others[name].type = int(PieceType.BYTE)
            else:
                model.pieces.add(piece=name, type=int(PieceType.BYTE))
