"""SentencePiece models made piece by piece, for tests of the encoder."""

from __future__ import annotations

from collections.abc import Sequence

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as schema

from tokenizer.model import ModelProto, PieceType

BPE = 2


def make_model(
    pieces: Sequence[tuple[str, float]],
    *,
    users: Sequence[tuple[str, float]] = (),
    byte_fallback: bool = True,
    prefix: bool = True,
    kind: int = BPE,
) -> ModelProto:
    """A BPE model with an identity normaliser: <unk>, <s>, </s>, bytes, users' pieces, pieces."""
    model = schema.ModelProto()  # pyright: ignore[reportAttributeAccessIssue]
    model.trainer_spec.model_type = kind
    model.trainer_spec.byte_fallback = byte_fallback
    rules = model.normalizer_spec
    rules.name = "identity"
    rules.add_dummy_prefix, rules.remove_extra_whitespaces = prefix, False
    add_pieces(model, [("<unk>", 0.0)], PieceType.UNKNOWN)
    add_pieces(model, [("<s>", 0.0), ("</s>", 0.0)], PieceType.CONTROL)
    if byte_fallback:
        add_pieces(model, [(f"<0x{byte:02X}>", 0.0) for byte in range(256)], PieceType.BYTE)
    add_pieces(model, users, PieceType.USER_DEFINED)
    add_pieces(model, pieces, PieceType.NORMAL)
    return model


def add_pieces(model: ModelProto, pieces: Sequence[tuple[str, float]], kind: PieceType) -> None:
    """Append pieces of one type."""
    for text, score in pieces:
        model.pieces.add(piece=text, score=score, type=int(kind))


def load_oracle(model: ModelProto) -> sentencepiece.SentencePieceProcessor:
    """SentencePiece itself."""
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
