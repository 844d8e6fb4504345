"""Byte-pair encoding of counted runs, continued piece by piece; compiled.

The runs are kept exactly as SentencePiece would segment them with the pieces so far, so every
piece that is learned can be produced.  The best pair is the one with the highest count; of equal
ones that with the smallest id of the left half, then of the right one, where characters come first,
by code point, then the older pieces by rank, then the new ones in order.  Without older pieces and
anchors these are the merges of Hugging Face's BpeTrainer, one for one (its `max_token_length` m
lets pieces of m - 1 characters be learned, and of two always).

A merge costs its own places and a look-up for every distinct neighbour (`applying`); only pairs
that can still be among the wanted ones are listed at all (`counting`).  The price is 8 bytes a
position, 4 a listed place (about as many as positions) and 30 a listed pair, and while pairs are
counted, up to 256 MiB more: 100 million characters of Chinese peak at 2.1 GB, the runs included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenizer.learning.applying import apply_merge, make_scratch
from tokenizer.learning.counting import list_pairs
from tokenizer.learning.heap import build_heap, drop_best, find_best, push
from tokenizer.learning.older import Halves, Sleepers, find_halves, segment_runs
from tokenizer.learning.pairs import ENTRIES, PLACES, add_pair, make_key, make_pairs, make_room
from tokenizer.learning.stretch import Pieces, count_uses, describe, list_texts, make_text
from tokenizer.learning.waking import apply_waking

_CHUNK = 512
_WORK = 1 << 24
_DONE, _EMPTY, _FULL = 0, 1, 2
_LONGEST = 255
_SHIFT = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class Merge:
    """A piece that was learned: its halves, and their weighted count at that moment."""

    left: str
    right: str
    count: int

    @property
    def text(self) -> str:
        """The piece."""
        return self.left + self.right


class Merger:
    """Learns pieces from runs.

    Args:
        codes: code points of the runs, with a 0 before, between and after them.
        weights: how often each position occurs; with `starts`, how often each stretch does.
        anchors: 1 at each position whose character makes a piece safe for English text.
        older: pieces of two characters or more that exist already, with the rank that orders them
            (lower is merged first; equal ranks: the leftmost).
        longest: characters of the longest piece that is learned, at most 255.
        min_count: how often a pair must occur.
        starts: where the stretches of `codes` that `weights` are of begin, and where the last ends.

    Attributes:
        exhausted: whether the runs support no piece more than have been learned.
    """

    def __init__(
        self,
        codes: NDArray[np.int32],
        weights: NDArray[np.integer],
        anchors: NDArray[np.uint8],
        older: list[tuple[str, int]],
        *,
        longest: int,
        min_count: int,
        starts: NDArray[np.int64] | None = None,
    ) -> None:
        assert codes[0] == 0 and codes[-1] == 0 and len(codes) < 1 << 31
        assert 2 <= longest <= _LONGEST
        ranks = dict(older)
        self._texts = list_texts(codes, ranks)
        self._numbers = {text: number for number, text in enumerate(self._texts)}
        self._pieces = describe(self._texts, codes, anchors)
        self._text = make_text(codes, weights, starts, self._texts)
        self._sleepers = self._segment(ranks)
        self._longest, self._min_count = longest, max(min_count, 1)
        self._floor = np.iinfo(np.int64).max
        self._pairs = make_pairs(0, 0)
        self._heap = build_heap(self._pairs.counts, self._pairs.keys, 0)
        self._scratch = make_scratch(0, len(self._pieces.lengths))
        self.exhausted = False

    def learn(self, num_pieces: int) -> Iterator[Merge]:
        """The next pieces, best first; fewer than asked for where the runs support no more."""
        while num_pieces > 0 and not self.exhausted:
            self._grow_ids()
            found = np.zeros((min(num_pieces, _CHUNK), 3), np.int64)
            size, state = self._learn_some(found)
            yield from self._name(found[:size])
            num_pieces -= size
            if state == _FULL:
                self._make_room()
            if state == _EMPTY:
                self._list_pairs(num_pieces)

    def count_uses(self) -> dict[str, int]:
        """How often (weighted) each piece and character is a token of the runs as they are now."""
        counts = count_uses(self._text, self._pieces)[: len(self._texts)].tolist()
        return dict(zip(self._texts[1:], counts[1:], strict=True))

    def split(self) -> list[list[str]]:
        """The runs as they are segmented now (for tests and small input)."""
        lines: list[list[str]] = []
        at, cells = 0, self._text.cells
        while at < len(cells) - 1:
            if cells[at, 0] == 0:
                lines.append([])
            else:
                lines[-1].append(self._texts[cells[at, 0]])
            at += int(self._pieces.lengths[cells[at, 0]])
        return [line for line in lines if line]

    def _segment(self, ranks: dict[str, int]) -> Sleepers:
        """Merge the older pieces in the runs; returns those that do not come about."""
        halves = {text: find_halves(text, ranks) for text in ranks}
        awake = {text: found for text, found in halves.items() if found}
        numbers = self._numbers
        pairs = make_pairs(len(awake), 0)
        for found in awake.values():
            add_pair(pairs, make_key(numbers[found.left], numbers[found.right]), 0, 0)
        made = np.array([numbers[text] for text in awake], np.int32)
        order = np.array([found.rank for found in awake.values()], np.int64)
        if awake:
            segment_runs(self._text, self._pieces, pairs, made, order)
        return Sleepers([text for text in ranks if text not in awake], ranks)

    def _grow_ids(self) -> None:
        """Ids for another chunk."""
        size = len(self._pieces.lengths)
        if len(self._texts) + _CHUNK > size:
            lengths, anchored = (np.resize(array, 2 * size + _CHUNK) for array in self._pieces)
            self._pieces = Pieces(lengths, anchored)
            self._scratch = make_scratch(len(self._scratch.places), len(lengths))

    def _list_pairs(self, wanted: int) -> None:
        """List pairs that were not frequent enough so far, if any are left to list."""
        self.exhausted = self._floor <= self._min_count
        if self.exhausted or not wanted:
            return
        self._pairs = make_pairs(0, 0)
        self._pairs, self._floor = list_pairs(
            self._text,
            self._pieces,
            longest=self._longest,
            wanted=wanted,
            floor=self._floor,
            min_count=self._min_count,
        )
        size = int(self._pairs.used[ENTRIES])
        self._heap = build_heap(self._pairs.counts, self._pairs.keys, size)
        places = int(self._pairs.sizes[:size].max(initial=0))
        self._scratch = make_scratch(places, len(self._pieces.lengths))

    def _make_room(self) -> None:
        """Room for the best pair's new ones."""
        best = find_best(self._heap, self._pairs.keys, self._pairs.counts, self._floor)
        places = 2 * int(self._pairs.sizes[best]) + 2
        self._pairs, self._heap = make_room(self._pairs, self._floor, places, places)

    def _learn_some(self, found: NDArray[np.int64]) -> tuple[int, int]:
        """Learn at most a chunk; returns how many pieces, and why no more."""
        limits = np.array([self._longest, self._floor], np.int64)
        if len(self._sleepers):
            return self._learn_one(found, limits)
        return self._learn_fast(found, limits)

    def _learn_fast(self, found: NDArray[np.int64], limits: NDArray[np.int64]) -> tuple[int, int]:
        state = (self._text, self._pieces, self._pairs, self._heap, self._scratch)
        return _learn(*state, limits, len(self._texts), found)

    def _learn_one(self, found: NDArray[np.int64], limits: NDArray[np.int64]) -> tuple[int, int]:
        """Learn one piece, which may wake older ones."""
        entry, state = _find_next(self._pieces, self._pairs, self._heap, limits)
        if entry < 0:
            return 0, state
        entry, key = int(entry), int(self._pairs.keys[entry])
        left, right = key >> 32, key & 0xFFFFFFFF
        text = self._texts[left] + self._texts[right]
        woken = self._sleepers.wake(text)
        if not woken:
            return self._learn_fast(found[:1], limits)
        made, used = len(self._texts), int(self._pairs.used[ENTRIES])
        found[0] = left, right, self._pairs.counts[entry]
        drop_best(self._heap, self._pairs.keys)
        _describe_next(self._pieces, left, right, made)
        rules, state = self._make_rules(woken, text), (self._text, self._pieces, self._pairs)
        apply_waking(*state, entry, (left, right, made), rules, limits)
        _push_all(self._pairs, self._heap, used)
        return 1, _DONE

    def _make_rules(self, woken: list[Halves], text: str) -> NDArray[np.int64]:
        """Ids of the halves and of the piece, and its rank, for each piece that `text` wakes."""
        numbers = self._numbers | {text: len(self._texts)}
        rules = [
            (numbers[one.left], numbers[one.right], numbers[one.left + one.right], one.rank)
            for one in woken
        ]
        return np.array(rules, np.int64)

    def _name(self, found: NDArray[np.int64]) -> list[Merge]:
        merges: list[Merge] = []
        for left, right, count in found.tolist():
            merges.append(Merge(self._texts[left], self._texts[right], count))
            self._numbers[merges[-1].text] = len(self._texts)
            self._texts.append(merges[-1].text)
        return merges


@njit(cache=True)
def _find_next(pieces, pairs, heap, limits):  # pyright: ignore
    """The best pair, or -1 and why there is none: none counts enough, or its merge lacks room."""
    entry = find_best(heap, pairs.keys, pairs.counts, limits[1])
    if entry < 0:
        return entry, _EMPTY
    size = np.int64(pairs.sizes[entry])
    neighbours = 2 * min(size, len(pieces.lengths))
    if pairs.used[ENTRIES] + neighbours > len(pairs.keys) or pairs.used[PLACES] + 2 * size > len(
        pairs.places
    ):
        return np.int64(-1), _FULL
    return entry, _DONE


@njit(cache=True)
def _describe_next(pieces, left, right, made):  # pyright: ignore
    pieces.lengths[made] = pieces.lengths[left] + pieces.lengths[right]
    pieces.anchored[made] = pieces.anchored[left] | pieces.anchored[right]


@njit(cache=True)
def _push_all(pairs, heap, begin):  # pyright: ignore
    for entry in range(begin, pairs.used[ENTRIES]):
        push(heap, pairs.keys, pairs.counts[entry], entry)


@njit(cache=True)
def _learn(text, pieces, pairs, heap, scratch, limits, made, found):  # pyright: ignore
    """Learn until `found` is full or much work is done; returns how many, and why no more."""
    work = np.int64(0)
    for number in range(len(found)):
        entry, state = _find_next(pieces, pairs, heap, limits)
        if entry < 0 or work > _WORK:
            return number, state
        drop_best(heap, pairs.keys)
        left = np.int64(pairs.keys[entry] >> _SHIFT)
        right = np.int64(pairs.keys[entry] & _LOW)
        found[number, 0], found[number, 1] = left, right
        found[number, 2] = pairs.counts[entry]
        _describe_next(pieces, left, right, made)
        used = pairs.used[ENTRIES]
        work += apply_merge(text, pieces, pairs, scratch, entry, (left, right, made), limits)
        _push_all(pairs, heap, used)
        made += 1
    return len(found), _DONE
