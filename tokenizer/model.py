"""A SentencePiece BPE model as a plain table of pieces, scores and types.

Everything here works on the model's own protobuf: what is not touched keeps its bytes.  Only BPE
models can be continued: a unigram model holds log probabilities that say nothing about the order
of merges, and a vocabulary made of both encodes as neither.
"""

from __future__ import annotations

import json
import re
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


_LARGEST = 1 << 28
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
    _check_texts(model, path)
    return model


def load_model(path: Path) -> ModelProto:
    """Read a SentencePiece BPE model that can be extended.

    Raises:
        TongwenError: the file is not a SentencePiece model or a damaged one, is of another kind
            (unigram, ...), changes text before it splits it, or has no byte pieces, so that a
            character it lacks would be lost.
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
    _check_loads(model, path)
    return model


def _check_texts(model: ModelProto, path: Path) -> None:
    for number, piece in enumerate(model.pieces):
        if not _is_text(piece):
            raise _call_damaged(path, f"piece {number} is not UTF-8")


def _is_text(piece: Any) -> bool:
    """Protobuf gives bytes, or an error, for text that is not UTF-8."""
    try:
        return isinstance(piece.piece, str)
    except UnicodeDecodeError:
        return False


def _check_loads(model: ModelProto, path: Path) -> None:
    """SentencePiece itself refuses pieces that are there twice, empty or no byte after all."""
    import sentencepiece

    try:
        sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    except (RuntimeError, ValueError) as error:
        reason = str(error).removeprefix("INTERNAL: ").rstrip(".")
        raise _call_damaged(path, f"SentencePiece does not load it ({reason})") from None


def _call_damaged(path: Path, why: str) -> TongwenError:
    return TongwenError(
        f"{path.name} is damaged: {why}",
        where=str(path),
        expected="a SentencePiece .model as it was published",
        do="copy or download the file again, and compare its size and hash",
    )


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
    if path.is_dir():
        inside = path / "tokenizer.model"
        raise TongwenError(
            f"{path.name} is a folder, not a tokenizer file",
            where=str(path),
            expected="a SentencePiece .model file",
            do=f"name {inside}" if inside.is_file() else "name the tokenizer.model in it",
        )
    try:
        if path.stat().st_size > _LARGEST:
            raise TongwenError(
                f"{path.name} has {path.stat().st_size / 1e6:,.0f} MB, no tokenizer is so large",
                where=str(path),
                expected="a SentencePiece .model file, a megabyte or two",
                do="name the tokenizer.model, not the weights",
            )
        return path.read_bytes()
    except OSError as error:
        raise TongwenError(f"cannot read the tokenizer: {error}", where=str(path)) from None


def _refuse(path: Path, data: bytes) -> TongwenError:
    found = _recognise(data)
    if found is None and b"<unk>" in data[:256]:
        return _call_damaged(path, "it is cut off, or bytes of it have changed")
    return TongwenError(
        f"{path.name} is not a SentencePiece model but {found or 'something else'}",
        where=str(path),
        expected="a SentencePiece .model file",
        do="name the tokenizer.model of the base",
    )


_STARTS = {
    b"version https://git-lfs": "a Git LFS pointer: the file itself was not downloaded",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "compressed with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x80\x02": "a Python pickle",
    b"#version:": "a merges.txt",
}


def _recognise(data: bytes) -> str | None:
    """What a file is that is no SentencePiece model."""
    if not data:
        return "an empty file"
    start = data[:64].lstrip()
    for head, name in _STARTS.items():
        if start.startswith(head):
            return name
    if b"\n[UNK]\n" in data and b"\n[CLS]\n" in data:
        return "a WordPiece vocab.txt"
    if start.startswith((b"{", b"[")):
        return _recognise_json(data)
    return "ranks of tiktoken" if re.match(rb"[A-Za-z0-9+/]+={0,2} \d+\n", data) else None


def _recognise_json(data: bytes) -> str:
    try:
        table = json.loads(data)
        kind = table["model"].get("type") or "unnamed"
        return f"a tokenizer.json of Hugging Face, of kind {kind}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "JSON"
