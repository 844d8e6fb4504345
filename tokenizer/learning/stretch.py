"""Runs as a sequence of pieces, eight bytes a character; compiled.

A position holds the id of a piece and a weight.  The id stands at the first and at the last
position of the piece's stretch, and -1 at those between: from any piece the next one is `length`
positions ahead and the one before ends just behind, so neighbours cost one cache line and no links.
Pieces only grow.  A position that held piece `a` as its first, and holds it still, is therefore
still the first position of that `a`: whoever noted it can see by the id alone whether it holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_HEAVY = 1 << 31
_WITHIN = np.int32(-1)
_CODES = 0x110000


class Text(NamedTuple):
    """Runs with walls around them.

    Attributes:
        cells: (positions, 2): id of the piece; its weight, or -1 - n for `heavy[n]`.
        heavy: the weights of 2^31 and more.
    """

    cells: NDArray[np.int32]
    heavy: NDArray[np.int64]


class Pieces(NamedTuple):
    """What the ids stand for, with room for more than there are; id 0 is a wall.

    Attributes:
        lengths: characters.
        anchored: 1 where a character makes the piece safe for English text.
    """

    lengths: NDArray[np.uint8]
    anchored: NDArray[np.uint8]


def list_texts(codes: NDArray[np.int32], ranks: dict[str, int]) -> list[str]:
    """The text of every id: the wall, characters by code point, older pieces by rank."""
    seen = np.zeros(_CODES, np.bool_)
    _mark(seen, codes, np.ones(0, np.uint8))
    seen[[ord(character) for text in ranks for character in text]] = True
    seen[0] = False
    older = sorted(ranks, key=lambda text: (ranks[text], text))
    return ["\0", *map(chr, np.flatnonzero(seen).tolist()), *older]


def describe(texts: list[str], codes: NDArray[np.int32], anchors: NDArray[np.uint8]) -> Pieces:
    """Lengths and anchors of all ids; `anchors` is 1 at the positions of safe characters."""
    safe = np.zeros(_CODES, np.bool_)
    _mark(safe, codes, anchors)
    anchored = [any(safe[ord(character)] for character in text) for text in texts]
    return Pieces(np.array([*map(len, texts)], np.uint8), np.array(anchored, np.uint8))


@njit(cache=True)
def _mark(marks, codes, chosen):  # pyright: ignore
    """Mark the codes at the chosen positions; without any, at all positions."""
    for at in range(len(codes)):
        if len(chosen) == 0 or chosen[at]:
            marks[codes[at]] = True


def make_text(
    codes: NDArray[np.int32],
    weights: NDArray[np.integer],
    starts: NDArray[np.int64] | None,
    texts: list[str],
) -> Text:
    """Every character as a piece of its own.

    Args:
        codes: code points, 0 for a wall.
        weights: one for each of the stretches `codes[starts[i] : starts[i + 1]]`, or, without
            `starts`, one for each position.
        starts: where the stretches begin, and the end of the last.
        texts: the text of every id.
    """
    heavy = np.unique(weights[weights >= _HEAVY]).astype(np.int64)
    if len(heavy):
        weights = np.where(weights >= _HEAVY, -1 - np.searchsorted(heavy, weights), weights)
    cells, ids = np.zeros((len(codes), 2), np.int32), np.zeros(_CODES, np.int32)
    singles = [(ord(text), number) for number, text in enumerate(texts) if len(text) == 1]
    ids[[code for code, _ in singles]] = [number for _, number in singles]
    _fill_ids(cells, codes, ids)
    if starts is None:
        cells[:, 1] = weights
    else:
        _fill_weights(cells, weights, starts)
    return Text(cells, heavy)


@njit(cache=True)
def _fill_ids(cells, codes, ids):  # pyright: ignore
    for at in range(len(codes)):
        cells[at, 0] = ids[codes[at]]


@njit(cache=True)
def _fill_weights(cells, weights, starts):  # pyright: ignore
    for run in range(len(weights)):
        for at in range(starts[run], starts[run + 1]):
            cells[at, 1] = weights[run]


@njit(cache=True, inline="always")
def weigh(text, code):  # pyright: ignore
    """The weight that a cell's second number stands for."""
    return np.int64(code) if code >= 0 else text.heavy[-1 - code]


@njit(cache=True, inline="always")
def join(cells, at, middle, span, made):  # pyright: ignore
    """Make one piece of the two that begin at `at` and at `middle`, `span` characters in all."""
    cells[middle - 1, 0] = _WITHIN
    cells[middle, 0] = _WITHIN
    cells[at, 0] = made
    cells[at + span - 1, 0] = made


@njit(cache=True, inline="always")
def can_pair(pieces, left, right, longest):  # pyright: ignore
    """Whether two pieces could make a learned one: not too long, and safe for English text."""
    span = np.int64(pieces.lengths[left]) + np.int64(pieces.lengths[right])
    return span <= longest and (pieces.anchored[left] or pieces.anchored[right])


@njit(cache=True)
def count_uses(text, pieces):  # pyright: ignore
    """The weight of all stretches of each id."""
    cells, at = text.cells, np.int64(0)
    counts = np.zeros(len(pieces.lengths), np.int64)
    while at < len(cells):
        counts[cells[at, 0]] += weigh(text, cells[at, 1])
        at += np.int64(pieces.lengths[cells[at, 0]])
    return counts
