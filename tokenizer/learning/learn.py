"""Candidates: the missing characters, then merges, in the order they would be appended in.

Characters are covered by frequency: the rarest that make up the last 0.05 % of running text stay
bytes, for one piece each would cost more than it gives.  Then byte-pair encoding goes on from what
the base's own merges make of each run (see `merging`), so that the result is one BPE model and not
two poured together: every piece has two parts that are pieces, and can be produced.

Where a corpus is too small for the size wanted, the common characters of GB 2312 that the
vocabulary lacks fill it up; beyond those, a smaller size is asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tokenizer.learning.characters import Kind, is_cjk_only, list_common_characters
from tokenizer.learning.merging import Merger
from tokenizer.learning.runs import LONGEST_RUN, Runs
from tokenizer.model import SPACE, ModelProto, PieceType
from tongwen.errors import TongwenError
from tongwen.progress import progress

_PART = 1 << 18


@dataclass(frozen=True)
class Piece:
    """A piece to append.

    Attributes:
        count: weighted occurrences when it was made; 0 for a filler.
        kind: `list`: a user asked for it; `step`: such a piece is merged from it; `filler`: a
            common character that the text did not ask for.
    """

    text: str
    count: int
    kind: Literal["character", "merge", "list", "step", "filler"]


@dataclass(frozen=True)
class Limits:
    """What a learned piece must keep to; see the fields of `[tokenizer]` in a recipe."""

    max_piece_length: int = 16
    character_coverage: float = 0.9995
    min_count: int = 2


def learn_pieces(
    runs: Runs, base: ModelProto, kinds: NDArray[np.uint8], num_pieces: int, limits: Limits
) -> list[Piece]:
    """Exactly `num_pieces` pieces that the base lacks, in the order they are appended in.

    Args:
        runs: what is learned from.
        base: a BPE model, from `load_model`.
        kinds: `Kind` of every code point, as the runs were made with.

    Raises:
        TongwenError: the runs do not support so many pieces.
    """
    found = learn_candidates(runs, base, kinds, num_pieces, limits)
    return fill_up(found, base, num_pieces)


def learn_candidates(
    runs: Runs, base: ModelProto, kinds: NDArray[np.uint8], num_pieces: int, limits: Limits
) -> list[Piece]:
    """The next `num_pieces` pieces, or as many as the runs support; see `learn_pieces`."""
    known = {piece.piece for piece in base.pieces if piece.type == PieceType.NORMAL}
    counts = _count_characters(runs)
    covered = _cover(counts, limits.character_coverage)
    pieces = _choose_characters(counts, covered, known)[:num_pieces]
    known.update(piece.text for piece in pieces)
    merger = _make_merger(runs, kinds, known, base, limits)
    with progress("learning pieces", total=num_pieces - len(pieces), unit="pieces") as advance:
        for merge in merger.learn(num_pieces - len(pieces)):
            pieces.append(Piece(merge.text, merge.count, "merge"))
            advance(1)
    return pieces


def fill_up(
    pieces: list[Piece], base: ModelProto, num_pieces: int, banned: Collection[str] = ()
) -> list[Piece]:
    """The first `num_pieces`; where there are fewer, common characters of GB 2312 follow.

    Args:
        banned: characters that are not taken.

    Raises:
        TongwenError: there are not so many of them either; says how far the corpus gets.
    """
    known = {piece.piece for piece in base.pieces} | {piece.text for piece in pieces} | {*banned}
    fillers = [Piece(text, 0, "filler") for text in list_common_characters() if text not in known]
    if len(pieces) + len(fillers) < num_pieces:
        raise _explain_shortage([*pieces, *fillers], num_pieces, len(base.pieces))
    return [*pieces, *fillers][:num_pieces]


def _count_characters(runs: Runs) -> NDArray[np.int64]:
    counts = np.zeros(0x110000)
    for begin in range(0, len(runs.weights), _PART):
        bounds = runs.starts[begin : begin + _PART + 1]
        spread = np.repeat(runs.weights[begin : begin + _PART], np.diff(bounds))
        counts += np.bincount(runs.codes[bounds[0] : bounds[-1]], spread, minlength=len(counts))
    return counts.astype(np.int64)


def _cover(counts: NDArray[np.int64], share: float) -> NDArray[np.intp]:
    """The most frequent characters that together make up `share` of the running ones."""
    counts = counts.copy()
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    total = np.cumsum(counts[order])
    needed = int(np.searchsorted(total, share * total[-1])) + 1 if len(order) else 0
    return order[:needed]


def _choose_characters(
    counts: NDArray[np.int64], covered: NDArray[np.intp], known: set[str]
) -> list[Piece]:
    found = ((chr(code), int(counts[code])) for code in covered)
    return [
        Piece(text, count, "character")
        for text, count in found
        if text not in known and is_cjk_only(text)
    ]


def _make_merger(
    runs: Runs, kinds: NDArray[np.uint8], known: set[str], base: ModelProto, limits: Limits
) -> Merger:
    """A character without a piece becomes a wall: its bytes never merge with anything."""
    in_model = np.zeros(0x110000, np.bool_)
    in_model[[ord(text) for text in known if len(text) == 1]] = True
    codes = np.where(in_model[runs.codes], runs.codes, 0).astype(np.int32)
    return Merger(
        codes,
        runs.weights,
        (kinds[codes] >= Kind.CJK_PUNCTUATION).astype(np.uint8),
        _list_older(base, kinds),
        longest=min(limits.max_piece_length, LONGEST_RUN),
        min_count=limits.min_count,
        starts=runs.starts,
    )


def _list_older(base: ModelProto, kinds: NDArray[np.uint8]) -> list[tuple[str, int]]:
    """The base's pieces that can stand in a run, with a rank: equal scores share one."""
    found = [
        (piece.piece, piece.score)
        for piece in base.pieces
        if piece.type == PieceType.NORMAL
        and 2 <= len(piece.piece) <= LONGEST_RUN
        and piece.piece.strip(SPACE)
        and all(kinds[ord(character)] for character in piece.piece)
    ]
    order = {score: rank for rank, score in enumerate(sorted({-score for _, score in found}))}
    return [(text, order[-score]) for text, score in found]


def _explain_shortage(pieces: list[Piece], wanted: int, base_size: int) -> TongwenError:
    kinds = [piece.kind for piece in pieces]
    return TongwenError(
        f"the corpus supports {len(pieces):,} new pieces, not the {wanted:,} asked for: "
        f"{kinds.count('character'):,} characters, {kinds.count('merge'):,} merges, "
        f"{kinds.count('list') + kinds.count('step'):,} listed ones and their steps, and "
        f"{kinds.count('filler'):,} common characters of GB 2312",
        where=f"tokenizer.size = {base_size + wanted}",
        expected=f"at most {base_size + len(pieces)}",
        do="lower tokenizer.size or min_count, or learn from more text",
    )


def refuse_size(path: Path, size: int, base_size: int) -> TongwenError:
    """The error for a size that leaves no room for pieces."""
    return TongwenError(
        f"the base has {base_size:,} pieces, so the extended vocabulary cannot have {size:,}",
        where=f"tokenizer.size = {size} (base: {path})",
        expected=f"more than {base_size}",
        do="raise tokenizer.size",
    )
