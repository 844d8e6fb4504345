"""A small base model, and edits that plant one defect into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenizer.lint import Report
from tokenizer.model import ModelProto, PieceType

ENGLISH = ["Hello world, this is a text.\nAnd a second  line\n\n", "x = y; while True: pass 1234"]

N = 3_079
"""Pieces of the small base."""

OF_THE_BASE = {"specials", "ties", "characters", "normal-forms", "parallel"}
"""Mistral's has no padding, 14 pieces of spaces with one score, a few invisible characters."""

Edit = Callable[[ModelProto], object]


def copy(model: ModelProto) -> ModelProto:
    other = type(model)()
    other.CopyFrom(model)
    return other


def add(text: str, score: float = -40_000.0, kind: PieceType = PieceType.NORMAL) -> Edit:
    def edit(model: ModelProto) -> None:
        model.pieces.add(piece=text, score=score, type=int(kind))
        model.trainer_spec.vocab_size = len(model.pieces)

    return edit


def find(model: ModelProto, text: str) -> Any:
    return next(piece for piece in model.pieces if piece.piece == text)


def list_found(report: Report) -> dict[str, str]:
    return {each.rule: each.severity for each in report.findings if each.severity != "ok"}


def shrink(base: ModelProto) -> ModelProto:
    """The first merges of the base and its letters: as good for planting, and quick."""
    model = copy(base)
    del model.pieces[:]
    letters = {letter for piece in list(base.pieces)[:1_500] for letter in piece.piece}
    letters |= {chr(code) for code in (*range(128), *range(0x4E00, 0x9FA6))}
    for number, piece in enumerate(base.pieces):
        if number < 1_500 or piece.piece in letters:
            model.pieces.add().CopyFrom(piece)
    model.pieces.add(piece="国人", score=-39_000.0, type=int(PieceType.NORMAL))
    del model.pieces[N - 1 : -1]
    model.trainer_spec.vocab_size = len(model.pieces)
    return model
