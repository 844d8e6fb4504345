"""A SentencePiece BPE model as a plain table of pieces, scores and types.

Everything here works on the model's own protobuf: what is not touched keeps its bytes.  Only BPE
models can be continued: a unigram model holds log probabilities that say nothing about the order
of merges, and a vocabulary made of both encodes as neither.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any

from tongwen.errors import TongwenError

ModelProto = Any
"""`sentencepiece_model_pb2.ModelProto`: generated code without types."""

SPACE = "▁"
"""What SentencePiece writes for a space (U+2581)."""


class PieceType(IntEnum):
    """Type of a piece, as SentencePiece numbers them."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


_KINDS = {1: "a unigram", 2: "a BPE", 3: "a word", 4: "a character"}


def parse_model(path: Path) -> ModelProto:
    """Read any SentencePiece model.

    Raises:
        TongwenError: the file is something else.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2 as schema

    model = schema.ModelProto()  # pyright: ignore[reportAttributeAccessIssue]
    data = _read(path)
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise _refuse(path, data) from None
    if not model.pieces or not model.HasField("trainer_spec"):
        raise _refuse(path, data)
    return model


def load_model(path: Path) -> ModelProto:
    """Read a SentencePiece BPE model that can be extended.

    Raises:
        TongwenError: the file is not a SentencePiece model, is of another kind (unigram, ...),
            changes text before it splits it, or has no byte pieces, so that a character it lacks
            would be lost.
    """
    model = parse_model(path)
    kind = model.trainer_spec.model_type
    if kind != 2:
        kind_name = _KINDS.get(kind, "an unknown")
        raise TongwenError(
            f"{path.name} is {kind_name} model of SentencePiece, not a BPE one",
            where=str(path),
            expected="a BPE model, such as LLaMA-2's or Mistral v1's tokenizer.model",
            do="choose a base whose merges can be continued",
        )
    _check_text_is_kept(model, path)
    if sum(piece.type == PieceType.BYTE for piece in model.pieces) != 256:
        raise TongwenError(
            f"{path.name} has no byte pieces",
            where=str(path),
            expected="256 pieces <0x00> ... <0xFF>, which hold every character it has no piece for",
            do="choose a base with byte fallback, such as LLaMA-2's tokenizer.model",
        )
    return model


def _check_text_is_kept(model: ModelProto, path: Path) -> None:
    spec = model.normalizer_spec
    if spec.precompiled_charsmap or spec.remove_extra_whitespaces:
        raise TongwenError(
            f"{path.name} normalises text ({spec.name or 'removes spaces'}) before it splits it",
            where=str(path),
            expected="a base that keeps every character, as LLaMA's does (identity)",
            do="choose another base: full-width punctuation and spaces would be lost",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TongwenError(f"cannot read the tokenizer: {error}", where=str(path)) from None


def _refuse(path: Path, data: bytes) -> TongwenError:
    start = data[:64].lstrip()
    if not data:
        found = "an empty file"
    elif start.startswith((b"{", b"[")):
        found = "JSON"
    elif start.startswith(b"version https://git-lfs"):
        found = "a Git LFS pointer: the file itself was not downloaded"
    else:
        found = "something else"
    return TongwenError(
        f"{path.name} is not a SentencePiece model but {found}",
        where=str(path),
        expected="a SentencePiece .model file",
        do="name the tokenizer.model of the base",
    )
