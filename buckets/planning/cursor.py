"""The stream of a cell's documents, taken bin by bin.

Documents come in the order of the index, epoch after epoch, so nothing is used a second time before
all was used once.  A bin takes whole documents while they fit.  At its edge the next few documents
wait together, and those that fit the room best are taken out of turn; the others come first in the
next bin.  A document longer than a training sequence is cut at whole sequences, where packing cuts
it anyway, so that a bin's edge breaks nothing more.

    room 1,000, sequences of 512; to come: 300 | 600 | 400 | 90 | 1,300
    300 and 600 fit in turn; of the others 90 fits the room of 100 best; 400 and 1,300 wait

The price: up to `WAITING` documents in memory for each cell, and one more comparison for each of
them and bin.  A bin misses its target by some tokens where documents are short, and by less than
half a sequence where they are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WAITING = 64
_BLOCK = 8192
_UNLIMITED = 1 << 40
_NAMES = ("row_U", "epoch_U", "start_U", "length_U")


@dataclass(frozen=True)
class Uses:
    """Uses of documents, or of parts of long ones, in the order taken.

    Attributes:
        row_U: int64, row of the index.
        epoch_U: int32, 1 for a document's first use.
        start_U, length_U: int32, tokens [start, start + length) of the document.
    """

    row_U: NDArray[np.int64]
    epoch_U: NDArray[np.int32]
    start_U: NDArray[np.int32]
    length_U: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.row_U)

    @property
    def num_tokens(self) -> int:
        return int(self.length_U.sum(dtype=np.int64))

    def cut(self, first: int, stop: int) -> Uses:
        """Those from `first` to `stop`."""
        return Uses(*(getattr(self, name)[first:stop] for name in _NAMES))

    def pick(self, order: NDArray[np.int64]) -> Uses:
        """These, in this order."""
        return Uses(*(getattr(self, name)[order] for name in _NAMES))


def join_uses(parts: list[Uses]) -> Uses:
    """One after another."""
    empty = Uses(np.empty(0, np.int64), *(np.empty(0, np.int32) for _ in range(3)))
    return Uses(*(np.concatenate([getattr(p, n) for p in (empty, *parts)]) for n in _NAMES))


@dataclass(eq=False)
class _Item:
    row: int
    epoch: int
    start: int
    length: int


class Cursor:
    """The place reached in a cell's stream.

    Args:
        blocks: the stream, some documents at a time.
        sequence_length: tokens between the places where a document may be cut.
    """

    def __init__(self, blocks: Iterator[Uses], sequence_length: int) -> None:
        self._sequence_length = sequence_length
        self._blocks = blocks
        self._ahead = join_uses([])
        self._waiting: list[_Item] = []
        self._ended = False

    def take(self, room: int, *, least: int = 0, leave: int = 0) -> Uses:
        """The next bin.

        Args:
            room: tokens to be filled, as near as documents allow.
            least: items taken even where they do not fit.
            leave: pieces (whole documents, sequences of longer ones) to leave for later bins; what
                `least` asks for comes before that.
        """
        most = _UNLIMITED
        if leave and (left := self._count_left(leave + _BLOCK)) < leave + _BLOCK:
            most = max(left - leave, least)
        taken, room, most = self._take_waiting(room, most)
        whole, room, most = self._take_in_turn(room, most)
        taken += self._take_singly(room, most)
        taken += self._force(least - len(whole) - len(taken))
        return join_uses([whole, _to_uses(_merge(taken))])

    def _take_waiting(self, room: int, most: int) -> tuple[list[_Item], int, int]:
        """What waits from the bin before comes first; returns it, and what room and pieces are
        left."""
        taken: list[_Item] = []
        for item in list(self._waiting):
            size = self._fit(item, min(room, most * self._sequence_length))
            if size:
                taken.append(self._remove(self._waiting.index(item), size))
                room -= size
                most -= self._count_pieces(size)
        return taken, room, most

    def _take_in_turn(self, room: int, most: int) -> tuple[Uses, int, int]:
        """Whole documents while they fit; returns them, and what room and pieces are left."""
        found: list[Uses] = []
        while room > 0 and len(self._waiting) < WAITING and self._look_ahead():
            ends = np.cumsum(self._ahead.length_U, dtype=np.int64)
            pieces = np.cumsum(self._count_pieces(self._ahead.length_U), dtype=np.int64)
            fit = int(np.searchsorted(ends, room, side="right"))
            count = min(fit, int(np.searchsorted(pieces, most, side="right")))
            found.append(self._ahead.cut(0, count))
            room -= int(ends[count - 1]) if count else 0
            most -= int(pieces[count - 1]) if count else 0
            self._ahead = self._ahead.cut(count, len(ends))
            if len(self._ahead):
                break
        return join_uses(found), room, most

    def _take_singly(self, room: int, most: int) -> list[_Item]:
        """What fits best among those that wait, again and again; one more if that is nearer.

        Args:
            most: pieces to take, a sequence of a long document being one.
        """
        taken: list[_Item] = []
        self._fill_waiting()
        while room > 0 and most > 0 and self._waiting:
            reach = min(room, most * self._sequence_length)
            place, size = self._choose(reach)
            if not size:
                size = self._smallest(place)
                if 2 * room <= size:
                    break
            taken.append(self._remove(place, size))
            room -= size
            most -= self._count_pieces(size)
            self._fill_waiting()
        return taken

    def _choose(self, room: int) -> tuple[int, int]:
        """What fills the room best and its tokens; the smallest and 0, where nothing fits."""
        places = range(len(self._waiting))
        sizes = [self._fit(item, room) for item in self._waiting]
        best = max(places, key=lambda i: (sizes[i], -i))
        if sizes[best]:
            return best, sizes[best]
        return min(places, key=lambda i: (self._smallest(i), i)), 0

    def _force(self, count: int) -> list[_Item]:
        taken: list[_Item] = []
        for _ in range(count):
            self._fill_waiting()
            if self._waiting:
                place, _ = self._choose(0)
                taken.append(self._remove(place, self._smallest(place)))
        return taken

    def _fit(self, item: _Item, room: int) -> int:
        """Tokens of an item that fit into the room: all, or whole sequences of a long one."""
        if item.length <= room:
            return item.length
        if item.length <= self._sequence_length:
            return 0
        return max(room, 0) // self._sequence_length * self._sequence_length

    def _count_pieces(self, length: Any) -> Any:
        return -(-length // self._sequence_length)

    def _smallest(self, place: int) -> int:
        return min(self._waiting[place].length, self._sequence_length)

    def _remove(self, place: int, size: int) -> _Item:
        item = self._waiting[place]
        taken = _Item(item.row, item.epoch, item.start, size)
        if size == item.length:
            del self._waiting[place]
        else:
            item.start, item.length = item.start + size, item.length - size
        return taken

    def _fill_waiting(self) -> None:
        while len(self._waiting) < WAITING and self._look_ahead():
            count = min(WAITING - len(self._waiting), len(self._ahead))
            self._waiting += _to_items(self._ahead.cut(0, count))
            self._ahead = self._ahead.cut(count, len(self._ahead))

    def _look_ahead(self) -> bool:
        """Read on where nothing is ahead; False at the end of the stream."""
        while not len(self._ahead) and not self._ended:
            block = next(self._blocks, None)
            self._ended = block is None
            self._ahead = self._ahead if block is None else block
        return bool(len(self._ahead))

    def _count_left(self, enough: int) -> int:
        """Pieces left in the stream, counted until there are `enough`."""
        pieces = sum(self._count_pieces(item.length) for item in self._waiting)
        while True:
            ahead = int(self._count_pieces(self._ahead.length_U).sum())
            block = None if pieces + ahead >= enough or self._ended else next(self._blocks, None)
            if block is None:
                self._ended |= pieces + ahead < enough
                return pieces + ahead
            self._ahead = join_uses([self._ahead, block])


def read_stream(rows: NDArray, first: int, epochs: int) -> Iterator[Uses]:
    """What is left of a cell's documents in each epoch, in order.

    Args:
        rows: the cell's rows of the index, with `length` and `used`.
        first: number of the first of them in the index.
        epochs: how often the rows may be gone through.
    """
    for epoch in range(1, epochs + 1):
        for at in range(0, len(rows), _BLOCK):
            block = rows[at : at + _BLOCK]
            length = block["length"].astype(np.int64)
            start = np.clip(block["used"] - (epoch - 1) * length, 0, length)
            left = np.flatnonzero(start < length)
            yield Uses(
                first + at + left,
                np.full(len(left), epoch, np.int32),
                start[left].astype(np.int32),
                (length - start)[left].astype(np.int32),
            )


def _merge(items: list[_Item]) -> list[_Item]:
    """Neighbouring parts of one use become one."""
    merged: list[_Item] = []
    for item in sorted(items, key=lambda item: (item.epoch, item.row, item.start)):
        last = merged[-1] if merged else None
        if last and (last.row, last.epoch) == (item.row, item.epoch):
            last.length += item.length
        else:
            merged.append(item)
    return merged


def _to_uses(items: list[_Item]) -> Uses:
    return Uses(
        np.array([item.row for item in items], np.int64),
        np.array([item.epoch for item in items], np.int32),
        np.array([item.start for item in items], np.int32),
        np.array([item.length for item in items], np.int32),
    )


def _to_items(uses: Uses) -> list[_Item]:
    columns = (uses.row_U, uses.epoch_U, uses.start_U, uses.length_U)
    return [_Item(*values) for values in zip(*(c.tolist() for c in columns), strict=True)]
