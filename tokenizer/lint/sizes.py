"""Rules about what a model needs as a whole: special pieces, bytes, sizes."""

from __future__ import annotations

from tokenizer.lint.finding import Found
from tokenizer.lint.subject import Subject
from tokenizer.model import PieceType

_DIVISOR = 128
"""Megatron pads a vocabulary to a multiple of this (make-vocab-size-divisible-by) times TP."""

_SIZES = (1, 2, 4, 8, 16, 32, 64)


def check_loading(subject: Subject) -> Found:
    """Whether SentencePiece itself takes the file."""
    return Found(int(bool(subject.refusal)), [subject.refusal] if subject.refusal else [])


def check_declared_size(subject: Subject) -> Found:
    """Whether trainer_spec says how many pieces there are."""
    said = subject.model.trainer_spec.vocab_size
    line = f"trainer_spec.vocab_size = {said:,}, there are {subject.size:,} pieces"
    return Found(int(said != subject.size), [line] if said != subject.size else [])


def check_specials(subject: Subject) -> Found:
    """Whether there is a piece for unknown text, beginning, end and padding."""
    missing = [name for name in ("unk", "bos", "eos", "pad") if _lacks(subject, name)]
    lines = [f"{name}: {_explain_lack(subject, name)}" for name in missing]
    return Found(len(missing), lines, "note" if missing == ["pad"] else None)


def _lacks(subject: Subject, name: str) -> bool:
    number: int = getattr(subject.model.trainer_spec, f"{name}_id")
    if not 0 <= number < subject.size:
        return True
    kind = PieceType.UNKNOWN if name == "unk" else PieceType.CONTROL
    return subject.model.pieces[number].type != kind


def _explain_lack(subject: Subject, name: str) -> str:
    number: int = getattr(subject.model.trainer_spec, f"{name}_id")
    if not 0 <= number < subject.size:
        return "there is none"
    kind = PieceType(subject.model.pieces[number].type).name
    return f"{subject.show(number)} is there as {kind}"


def check_bytes(subject: Subject) -> Found:
    """Whether each byte has a piece, so that no character is lost."""
    pieces = subject.model.pieces
    there = {piece.piece for piece in pieces if piece.type == PieceType.BYTE}
    names = [f"<0x{byte:02X}>" for byte in range(256)]
    missing = [name for name in names if name not in there]
    lines: list[str] = []
    if len(missing) == 256:
        lines.append("there are none: a character without a piece becomes <unk> and is lost")
    elif missing:
        lines.append(f"missing: {', '.join(missing)}")
    if bool(there) != bool(subject.model.trainer_spec.byte_fallback):
        lines.append(f"trainer_spec.byte_fallback says {not there}")
    return Found(len(missing) or len(lines), lines, "error" if there and lines else None)


def check_parallel(subject: Subject) -> Found:
    """Which tensor-parallel sizes divide the vocabulary, and what Megatron pads it to."""
    uneven = [size for size in subject.tensor_parallel if subject.size % size]
    sizes = sorted({*_SIZES, *subject.tensor_parallel})
    return Found(len(uneven), [describe_parallel(subject.size, size) for size in sizes])


def describe_parallel(rows: int, size: int) -> str:
    """What a tensor-parallel size means for a vocabulary, in one line."""
    step = _DIVISOR * size
    padded = -(-rows // step) * step
    left = -rows % size
    share = f"{rows // size:,} rows each" if not left else f"{left:,} short of equal shares"
    more = padded - rows
    return f"TP {size}: {share}; Megatron, multiple of {step:,}: {padded:,} rows, {more:,} unused"
