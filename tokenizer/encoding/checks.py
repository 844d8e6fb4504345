"""Which models the compiled encoder takes: those that it encodes exactly, and no others."""

from __future__ import annotations

import math
from typing import Any

from tokenizer.encoding.pairs import SYMBOL_BITS
from tokenizer.model import ModelProto, PieceType
from tongwen.errors import TongwenError

_BPE = 2
_KINDS = {1: "a unigram", 2: "a BPE", 3: "a word", 4: "a character"}
_MERGING = (PieceType.NORMAL, PieceType.USER_DEFINED)


def load_processor(model: ModelProto, where: str) -> Any:
    """SentencePiece's own processor of a model that can be encoded.

    Raises:
        TongwenError: the model is not BPE, is damaged, or has what only SentencePiece handles.
    """
    import sentencepiece

    kind = model.trainer_spec.model_type
    if kind != _BPE:
        raise TongwenError(
            f"the model is {_KINDS.get(kind, 'an unknown')} model of SentencePiece, not a BPE one",
            where=where,
            expected="a BPE model, such as LLaMA-2's or Mistral v1's tokenizer.model",
            do="choose another; `tokenizer.compare` takes models of every kind",
        )
    if problem := _find_problem(model):
        raise TongwenError(
            f"the model cannot be encoded with: {problem}",
            where=where,
            expected="normal, byte, control, user-defined and one unknown piece, each text once",
            do="choose another model, or one exported without such pieces",
        )
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    except RuntimeError as error:
        raise TongwenError(
            f"SentencePiece refuses the model: {error}",
            where=where,
            expected="a whole SentencePiece .model file",
            do="fetch or build the file again",
        ) from None


def _find_problem(model: ModelProto) -> str:
    """What the compiled encoder would get wrong, in words; empty where there is nothing."""
    if len(model.pieces) >= 1 << (SYMBOL_BITS - 1):
        return f"{len(model.pieces):,} pieces, more than {1 << (SYMBOL_BITS - 1):,}"
    if model.denormalizer_spec.precompiled_charsmap:
        return "rules that change text when it is decoded"
    merging = {piece.piece for piece in model.pieces if piece.type in _MERGING}
    for number, piece in enumerate(model.pieces):
        if math.isnan(piece.score):
            return f"piece {number} ({piece.piece!r}) has no number as its score"
        if piece.type == PieceType.UNUSED:
            return f"piece {number} ({piece.piece!r}) is of type UNUSED"
        if piece.type not in _MERGING and piece.piece in merging:
            return f"piece {number} ({piece.piece!r}) is there twice, as a normal and another type"
        if piece.type == PieceType.CONTROL and len(piece.piece) == 1:
            return f"the control piece {piece.piece!r} is a character of ordinary text"
    return ""
