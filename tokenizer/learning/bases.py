"""What a base must hold so that it can be continued, and what is worth knowing about it.

Appended pieces get lower scores than all of the base's, so whatever order the base has stays before
them, and its encoding of text without a new piece is kept: that is true of LLaMA-2 and as true of
vocabularies that somebody has extended already (Chinese-LLaMA-2, where 23,296 pieces share the
score 0) or learned from Chinese (Baichuan, ChatGLM2, InternLM).  These are therefore allowed, and
what is odd about them is said: it stays odd, and new pieces are learned from what it makes of text.
Refused is a base whose order cannot be kept, or that would stop new pieces from being produced.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from tokenizer.learning.characters import is_cjk_only
from tokenizer.lint.proof import find_unreachable
from tokenizer.model import SPACE, ModelProto, PieceType
from tongwen.errors import TongwenError

_EXACT = 1 << 24
_FEW = 100
"""LLaMA-2 has none of several Chinese characters, Mistral 3."""
_SPECIAL = {
    "bos": (PieceType.CONTROL,),
    "eos": (PieceType.CONTROL,),
    "unk": (PieceType.UNKNOWN,),
}


def check_base(model: ModelProto, path: Path, num_pieces: int) -> list[str]:
    """Remarks about a base that pieces are to be appended to, each one sentence.

    Args:
        model: from `load_model`.
        num_pieces: how many are appended.

    Raises:
        TongwenError: a score is no number, the new scores would not be exact, it has no beginning
            or end of text, or a piece that comes before all merges holds Chinese text.
    """
    scores = {piece.piece: piece.score for piece in model.pieces if piece.type == PieceType.NORMAL}
    _check_scores(scores, path, num_pieces)
    _check_specials(model, path)
    _check_user_defined(model, path)
    return [*_describe_scores(scores, path.name), *_describe_pieces(model, path.name)]


def _check_scores(scores: dict[str, float], path: Path, num_pieces: int) -> None:
    odd = next((text for text, score in scores.items() if not math.isfinite(score)), None)
    if odd is not None:
        raise _refuse(
            path,
            f"the score of {odd!r} is {scores[odd]}",
            "scores that are numbers: they are the order of the merges",
        )
    lowest = min(score for text, score in scores.items() if text.strip(SPACE))
    if abs(lowest) + num_pieces >= _EXACT:
        raise _refuse(
            path,
            f"the lowest score is {lowest:,.0f}, so {num_pieces:,} lower ones are not exact",
            f"scores above {num_pieces - _EXACT:,}, whole numbers that float32 tells apart",
        )


def _check_specials(model: ModelProto, path: Path) -> None:
    for name, kinds in _SPECIAL.items():
        number = getattr(model.trainer_spec, f"{name}_id")
        if not 0 <= number < len(model.pieces) or model.pieces[number].type not in kinds:
            raise _refuse(
                path,
                f"it has no {name} piece (id {number})",
                "the control pieces <s> and </s> and an unknown piece, as LLaMA has them",
            )


def _check_user_defined(model: ModelProto, path: Path) -> None:
    for piece in model.pieces:
        if piece.type == PieceType.USER_DEFINED and any(map(is_cjk_only, piece.piece)):
            raise _refuse(
                path,
                f"its user-defined piece {piece.piece!r} is cut out before any merge, "
                "so no learned piece could hold it",
                "user-defined pieces without Chinese characters",
            )


def _describe_scores(scores: dict[str, float], name: str) -> list[str]:
    written = [score for text, score in scores.items() if text.strip(SPACE)]
    remarks: list[str] = []
    broken = sum(score != math.floor(score) for score in written)
    if broken:
        remarks.append(
            f"{name}: {broken:,} scores are not whole numbers, as those of a unigram are; "
            "they are taken for an order of merges"
        )
    shared = {score: number for score, number in Counter(written).items() if number > 1}
    if shared:
        score = max(shared, key=lambda score: shared[score])
        remarks.append(
            f"{name}: {sum(shared.values()):,} pieces share their score with others "
            f"({shared[score]:,} have {score:g}); the leftmost of them in a text merges first"
        )
    return remarks


def _describe_pieces(model: ModelProto, name: str) -> list[str]:
    remarks: list[str] = []
    words = sum(sum(map(is_cjk_only, piece.piece)) > 1 for piece in model.pieces)
    if words > _FEW:
        remarks.append(
            f"{name}: {words:,} pieces of several Chinese characters are there already; "
            "new ones are learned from what they leave"
        )
    dead = [model.pieces[number].piece for number in find_unreachable(model)]
    dead = [text for text in dead if text.strip(SPACE)]
    if dead:
        remarks.append(
            f"{name}: {len(dead):,} of its pieces cannot be produced and stay so "
            f"({', '.join(map(repr, dead[:3]))})"
        )
    return remarks


def _refuse(path: Path, why: str, expected: str) -> TongwenError:
    return TongwenError(
        f"{path.name} cannot be continued: {why}",
        where=f"tokenizer.base ({path})",
        expected=expected,
        do="choose another base, such as LLaMA-2's tokenizer.model",
    )
