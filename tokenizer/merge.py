"""Appending pieces to a SentencePiece BPE model so that nothing that was there changes.

In a BPE model a score is an order: the higher one merges first.  New pieces get the scores after
the base's lowest, in the order they were learned, so every merge of the base still comes first
and text that meets no new piece is segmented as before.  Ids of the base stay, new ones follow.
Scores are whole numbers of float32, exact below 2^24.

LLaMA's pieces of spaces alone have the score -10^9 and are left out of "the base's lowest": a new
piece takes the one space in front of it, and the spaces before that are merged as they were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tokenizer.model import SPACE, ModelProto, PieceType

_EXACT = 1 << 24


def append_pieces(base: ModelProto, texts: Sequence[str]) -> ModelProto:
    """A copy of a model with the pieces after its own, scored in that order.

    Args:
        texts: pieces without a space, but for one in front, written `▁`.

    Raises:
        ValueError: a piece is there already or holds another space, or the scores would leave what
            float32 holds exactly.
    """
    model = type(base)()
    model.CopyFrom(base)
    known = {piece.piece for piece in base.pieces}
    start = math.floor(_find_lowest_score(base))
    if abs(start) + len(texts) >= _EXACT:
        raise ValueError(f"scores down to {start - len(texts)} are not exact in float32")
    for number, text in enumerate(texts, 1):
        if text in known or SPACE in text[1:] or " " in text or text == SPACE:
            raise ValueError(f"the piece {text!r} is there already or holds a space")
        known.add(text)
        model.pieces.add(piece=text, score=float(start - number), type=int(PieceType.NORMAL))
    model.trainer_spec.vocab_size = len(model.pieces)
    return model


def _find_lowest_score(model: ModelProto) -> float:
    return min(
        piece.score
        for piece in model.pieces
        if piece.type == PieceType.NORMAL and piece.piece.strip(SPACE)
    )
