"""Documents into buckets: every bucket gets one bin of every category x language, of equal tokens.

Bucket by bucket, each cell's cursor gives what brings the cell to its share of the stage so far, so
what one bin is short of the next one makes up for.  In a bin of several cells (texts and questions
of one category, small categories joined) the largest cell comes last and fills up the bin.

The price: the lengths of the documents are read once before, to know what a group holds; a plan
then exists for one bucket at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from buckets.choosing.cells import Cell
from buckets.encoding import DocumentIndex
from buckets.planning.bins import Group, name_bins, refuse_too_long
from buckets.planning.cursor import Cursor, Uses, join_uses, read_stream

_BLOCK = 1 << 18


@dataclass(frozen=True)
class BucketPlan:
    """What one bucket holds.

    Attributes:
        bucket: its number in the stage.
        uses: parts of documents, bin by bin.
        bin_U, cell_U: int32, number of the bin and of the cell of each.
        target_G: int64, tokens that each bin was meant to have.
    """

    bucket: int
    uses: Uses
    bin_U: NDArray[np.int32]
    cell_U: NDArray[np.int32]
    target_G: NDArray[np.int64]


@dataclass(frozen=True)
class Supply:
    """What a cell gives to a stage.

    Attributes:
        tokens: asked of it.
        pieces: whole documents, and sequences of longer ones, that this takes; each use counted.
        limit: the key of the last document that this takes.
        longest: row of the longest document of them; -1 where nothing is asked.
        epochs: how often its documents may have to be gone through.
    """

    tokens: int
    pieces: int
    limit: int
    longest: int
    epochs: int


def measure_supply(
    index: DocumentIndex, cell: int, tokens: int, max_epochs: float, sequence_length: int
) -> Supply:
    """Go through a cell's documents, in order, until they make up `tokens`."""
    first, stop = index.bounds(cell)
    left, pieces, limit, longest = tokens, 0, 0, (0, -1)
    last = int(np.ceil(max_epochs))
    epoch = 0
    for epoch in range(1, last + 1):
        for at in range(first, stop, _BLOCK):
            if left <= 0:
                break
            block = index.rows[at : min(at + _BLOCK, stop)]
            length = block["length"].astype(np.int64)
            rest = length - np.clip(block["used"] - (epoch - 1) * length, 0, length)
            count = min(int(np.searchsorted(np.cumsum(rest), left)) + 1, len(rest))
            left -= int(rest[:count].sum())
            pieces += int((-(-rest[:count] // sequence_length)).sum())
            limit = max(limit, int(block["key"][count - 1]))
            place = int(length[:count].argmax())
            longest = max(longest, (int(length[place]), -(at + place)))
        if left <= 0:
            break
    index.release()
    return Supply(tokens, pieces, limit, abs(longest[1]) if tokens else -1, max(epoch, 1))


class StagePlan:
    """The plan of a stage, bucket after bucket.

    Args:
        cells: the cells of the index.
        supplies: one for each cell.
        buckets: the numbers of the buckets to be planned.
        small_categories: `refuse` or `merge`.
        where: the recipe key of the stage, for messages.

    Attributes:
        bins: the bins of every bucket, sorted.

    Raises:
        TongwenError: a group is too small for the number of buckets, or a document longer than
            one.
    """

    def __init__(
        self,
        index: DocumentIndex,
        cells: Sequence[Cell],
        supplies: Sequence[Supply],
        buckets: range,
        *,
        sequence_length: int,
        small_categories: str,
        where: str,
    ) -> None:
        self._index, self._supplies, self._buckets = index, supplies, buckets
        self._sequence_length = sequence_length
        used = [number for number, supply in enumerate(supplies) if supply.tokens]
        self._check_longest(used, where)
        pieces, tokens = Counter[Group](), Counter[Group]()
        groups = {number: Group(cells[number].language, cells[number].category) for number in used}
        for number, group in groups.items():
            pieces[group] += supplies[number].pieces
            tokens[group] += supplies[number].tokens
        bin_of = name_bins(pieces, tokens, len(buckets), small_categories, where)
        self.bins = tuple(sorted(set(bin_of.values())))
        members = [[n for n in used if bin_of[groups[n]] == group] for group in self.bins]
        self._sources = [self._open_sources(numbers) for numbers in members]

    def __iter__(self) -> Iterator[BucketPlan]:
        for step, bucket in enumerate(self._buckets, 1):
            filled = [self._fill_bin(sources, step) for sources in self._sources]
            uses = join_uses(filled)
            bin_U = np.repeat(np.arange(len(filled), dtype=np.int32), list(map(len, filled)))
            yield BucketPlan(
                bucket,
                uses,
                bin_U,
                self._index.rows["cell"][uses.row_U],
                np.array([self._share(s, step) - self._share(s, step - 1) for s in self._sources]),
            )
            self._index.release()

    def _fill_bin(self, sources: list[_Source], step: int) -> Uses:
        """The largest source comes last and brings the bin to its target."""
        found: list[Uses] = []
        for source in sources[:-1]:
            room = self._share([source], step) - source.done
            found.append(source.take(room))
        room = self._share(sources, step) - sum(source.done for source in sources)
        least = int(not sum(map(len, found)))
        found.append(sources[-1].take(room, least=least, leave=len(self._buckets) - step))
        return join_uses(found)

    def _share(self, sources: list[_Source], step: int) -> int:
        """Tokens that some sources should have given after so many buckets."""
        return sum(source.tokens for source in sources) * step // len(self._buckets)

    def _open_sources(self, numbers: list[int]) -> list[_Source]:
        """A source for each cell of a bin, the smallest first; those with too few documents for a
        part in every bucket are one source together."""
        few = [n for n in numbers if self._supplies[n].pieces < len(self._buckets)]
        alone = [number for number in numbers if number not in few]
        sources = [self._open(number) for number in alone]
        if few:
            sources.append(self._pool(few))
        return sorted(sources, key=lambda source: source.tokens)

    def _open(self, number: int) -> _Source:
        return _Source(
            self._supplies[number].tokens, Cursor(self._read(number), self._sequence_length)
        )

    def _pool(self, numbers: list[int]) -> _Source:
        uses = join_uses([self._read_whole(number) for number in numbers])
        order = np.lexsort((self._index.rows["key"][uses.row_U], uses.epoch_U))
        pooled = Cursor(iter([uses.pick(order)]), self._sequence_length)
        return _Source(sum(self._supplies[number].tokens for number in numbers), pooled)

    def _read_whole(self, number: int) -> Uses:
        """What a cell of few documents gives: in order, until its tokens are reached."""
        uses = join_uses(list(self._read(number)))
        ends = np.cumsum(uses.length_U, dtype=np.int64)
        return uses.cut(0, int(np.searchsorted(ends, self._supplies[number].tokens)) + 1)

    def _read(self, number: int) -> Iterator[Uses]:
        first, stop = self._index.bounds(number)
        return read_stream(self._index.rows[first:stop], first, self._supplies[number].epochs)

    def _check_longest(self, used: list[int], where: str) -> None:
        rows = [self._supplies[number].longest for number in used]
        lengths = [int(self._index.rows[row]["length"]) for row in rows]
        total = sum(self._supplies[number].tokens for number in used)
        if lengths and max(lengths) * len(self._buckets) > total:
            row = self._index.rows[rows[int(np.argmax(lengths))]]
            name = f"{int(row['high']):016x}{int(row['low']):016x}"
            raise refuse_too_long(name, max(lengths), total, len(self._buckets), where)


@dataclass
class _Source:
    """A stream that a bin is filled from: `tokens` in all, `done` of them given."""

    tokens: int
    cursor: Cursor
    done: int = 0

    def take(self, room: int, *, least: int = 0, leave: int = 0) -> Uses:
        uses = self.cursor.take(room, least=least, leave=leave)
        self.done += uses.num_tokens
        return uses
