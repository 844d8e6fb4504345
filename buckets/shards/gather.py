"""The two loops over a bucket's pieces, compiled: their runs, and their tokens.

A piece opens with tokens that bear no loss: BOS and prompt at the document's beginning, the first
token of a piece that goes on (what comes before it lies in another sequence).  So `learn` and
`opens` never meet, and a shifted copy of the tokens is a right set of targets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from buckets.shards import layout
from corpus import compiled
from corpus.compiled import Compiler

_HOME = Path(__file__).parent
_FILES = (_HOME / "gather.py", Path(layout.__file__), Path(compiled.__file__))
_compiler = Compiler("shards", _HOME, _FILES)
kernel, part = _compiler.kernel, _compiler.part

MISPLACED, OUTSIDE = -1, -2
"""What the kernels return for a piece at a wrong place, and for one outside of the store."""

_LEARN, _OPENS, _PADDING = (np.int8(mode) for mode in (layout.LEARN, layout.OPENS, layout.PADDING))


@kernel
def lay_runs(  # pyright: ignore
    document_Q: Any,
    start_Q: Any,
    length_Q: Any,
    sequence_Q: Any,
    offset_Q: Any,
    prompt_U: Any,
    size: Any,
    length_R: Any,
    mode_R: Any,
    first_N: Any,
    piece_N: Any,
) -> Any:
    """Runs of all sequences, in order.

    Args:
        document_Q, start_Q, length_Q, sequence_Q, offset_Q, prompt_U: as of `write_packed`.
        size: tokens of a sequence.
        length_R, mode_R: filled; with no room they are only counted.
        first_N, piece_N: filled with the first run and the first piece of each sequence, and their
            numbers at the end.

    Returns:
        The number of runs, or MISPLACED.
    """
    fill = len(length_R) > 0
    runs, piece = 0, 0
    for sequence in range(len(first_N) - 1):
        first_N[sequence], piece_N[sequence] = runs, piece
        at = 0
        while piece < len(length_Q) and sequence_Q[piece] == sequence:
            length = np.int64(length_Q[piece])
            if offset_Q[piece] != at or length < 1 or at + length > size:
                return MISPLACED
            prompt = np.int64(prompt_U[document_Q[piece]]) - np.int64(start_Q[piece])
            opening = min(max(prompt, 1), length)
            runs = _add(fill, runs, opening, _OPENS, length_R, mode_R)
            runs = _add(fill, runs, length - opening, _LEARN, length_R, mode_R)
            at += length
            piece += 1
        runs = _add(fill, runs, size - at, _PADDING, length_R, mode_R)
    first_N[len(first_N) - 1], piece_N[len(first_N) - 1] = runs, piece
    return runs if piece == len(length_Q) else MISPLACED


@part
def _add(fill: Any, runs: Any, length: Any, mode: Any, length_R: Any, mode_R: Any) -> Any:
    """A run more, unless it is empty; returns how many there are."""
    if length == 0:
        return runs
    if fill:
        length_R[runs], mode_R[runs] = length, mode
    return runs + 1


@kernel
def gather(  # pyright: ignore
    tokens: Any,
    place_U: Any,
    document_Q: Any,
    start_Q: Any,
    length_Q: Any,
    piece_N: Any,
    size: Any,
    padding: Any,
    out: Any,
) -> Any:
    """Tokens of some sequences, one after another.

    Args:
        tokens: the store.
        place_U, document_Q, start_Q, length_Q: as of `write_packed`.
        piece_N: first piece of each of the sequences, and of what comes after them.
        size: tokens of a sequence.
        padding: id of the room that pieces leave.
        out: filled; (len(piece_N) - 1) * size tokens.

    Returns:
        0, or OUTSIDE.
    """
    for sequence in range(len(piece_N) - 1):
        at, stop = sequence * size, (sequence + 1) * size
        for piece in range(piece_N[sequence], piece_N[sequence + 1]):
            start = place_U[document_Q[piece]] + np.int64(start_Q[piece])
            length = np.int64(length_Q[piece])
            if start < 0 or start + length > len(tokens):
                return OUTSIDE
            _copy(tokens, np.uint64(start), np.uint64(length), out, np.uint64(at))
            at += length
        out[at:stop] = padding
    return 0


@part
def _copy(tokens: Any, start: Any, length: Any, out: Any, at: Any) -> Any:
    """A slice of the store; unsigned, since signed indices are tested at each access."""
    for step in range(length):
        out[at + step] = tokens[start + step]
