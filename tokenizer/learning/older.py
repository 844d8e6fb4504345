"""The pieces that exist already: how each comes about, and the runs as they segment them.

SentencePiece merges two neighbours whenever their text is a piece, the best score first.  Inside a
stretch whose edges nothing has crossed this goes as if the stretch stood alone.  So a text that
stands as two neighbours stands as the same two everywhere, and the halves of a piece can be found
by segmenting its text alone.  That makes pairs of ids (`halves`) as good as pairs of texts.

A piece that its own text is not segmented to is asleep: no text can produce it.  A new piece may
wake it, and it is then merged wherever it comes about, before anything newer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from tokenizer.learning.pairs import find_pair, make_key

_SHIFT = np.uint64(32)
_WORST = np.int64(2**62)


@dataclass(frozen=True)
class Halves:
    """The two pieces that a piece is merged from, and its rank (lower is merged first)."""

    left: str
    right: str
    rank: int


def find_halves(text: str, ranks: dict[str, int]) -> Halves | None:
    """How a piece comes about when its text stands alone, or None if it does not."""
    parts = list(text)
    halves = None
    while len(parts) > 1:
        found = [
            (ranks[joined], at)
            for at in range(len(parts) - 1)
            if (joined := parts[at] + parts[at + 1]) in ranks
        ]
        if not found:
            return None
        rank, at = min(found)
        halves = Halves(parts[at], parts[at + 1], rank)
        parts[at : at + 2] = [halves.left + halves.right]
    return halves


class Sleepers:
    """The pieces that no text can produce, and what wakes them.

    Args:
        texts: their texts.
        ranks: rank of every piece, these among them.
    """

    def __init__(self, texts: list[str], ranks: dict[str, int]) -> None:
        self._texts, self._ranks = sorted(texts), dict(ranks)
        self._next = max(ranks.values(), default=-1) + 1
        self._joined = "\0".join(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def wake(self, text: str) -> list[Halves]:
        """Learn a new piece; how the pieces that it wakes come about."""
        self._ranks[text] = self._next
        self._next += 1
        if text not in self._joined:
            return []
        found = {each: find_halves(each, self._ranks) for each in self._texts if text in each}
        woken = [halves for halves in found.values() if halves]
        if woken:
            self._texts = [each for each in self._texts if not found.get(each)]
            self._joined = "\0".join(self._texts)
        return woken


@njit(cache=True)
def segment_runs(text, pieces, pairs, made, ranks):  # pyright: ignore
    """Merge older pieces in every run: the lowest rank first, then the leftmost.

    Args:
        pairs: the halves of the older pieces.
        made, ranks: id and rank of the piece, an entry of `pairs`.

    The time of a run with such pieces grows with its length times the number of merges.
    """
    cells, first_halves = text.cells, _mark_first_halves(pairs, len(pieces.lengths))
    longest = _find_longest_run(cells)
    parts, entries = np.empty(longest, np.int32), np.empty(longest, np.int64)
    begin = 1
    while begin < len(cells):
        size, any_found = 0, False
        while cells[begin + size, 0] > 0:
            parts[size], entries[size] = cells[begin + size, 0], -1
            if first_halves[parts[size]]:
                entries[size] = find_pair(pairs, make_key(parts[size], cells[begin + size + 1, 0]))
                any_found = any_found or entries[size] >= 0
            size += 1
        if any_found:
            left = _segment_run(pairs, made, ranks, parts, entries, size)
            _write_parts(cells, pieces.lengths, begin, parts[:left])
        begin += size + 1


@njit(cache=True)
def _mark_first_halves(pairs, num_ids):  # pyright: ignore
    marks = np.zeros(num_ids, np.bool_)
    for key in pairs.keys:
        marks[key >> _SHIFT] = True
    return marks


@njit(cache=True)
def _find_longest_run(cells):  # pyright: ignore
    longest, begin = 0, 0
    for at in range(len(cells)):
        if cells[at, 0] == 0:
            longest, begin = max(longest, at - begin), at
    return longest


@njit(cache=True)
def _segment_run(pairs, made, ranks, parts, entries, size):  # pyright: ignore
    """Merge the parts of a run in place; returns how many are left.

    `entries` holds what each part and the next one are the halves of, or -1.
    """
    while size > 1:
        best = _find_lowest(entries, ranks, size - 1)
        if best < 0:
            break
        parts[best] = made[entries[best]]
        size -= 1
        for at in range(best + 1, size):
            parts[at] = parts[at + 1]
            entries[at] = entries[at + 1]
        if best > 0:
            entries[best - 1] = find_pair(pairs, make_key(parts[best - 1], parts[best]))
        if best + 1 < size:
            entries[best] = find_pair(pairs, make_key(parts[best], parts[best + 1]))
    return size


@njit(cache=True)
def _find_lowest(entries, ranks, size):  # pyright: ignore
    best, lowest = np.int64(-1), _WORST
    for at in range(size):
        if entries[at] >= 0 and ranks[entries[at]] < lowest:
            best, lowest = np.int64(at), ranks[entries[at]]
    return best


@njit(cache=True)
def _write_parts(cells, lengths, begin, parts):  # pyright: ignore
    at = np.int64(begin)
    for part in parts:
        end = at + np.int64(lengths[part])
        cells[at:end, 0] = -1
        cells[at, 0] = cells[end - 1, 0] = part
        at = end
