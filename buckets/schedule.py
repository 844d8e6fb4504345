"""Which sequence belongs to which iteration, micro-batch and data-parallel rank, and back.

Sequences are counted through the buckets of a stage in their order, from 0.  Iteration i (from 0)
takes [i G, (i + 1) G) of G = global_batch_size, whatever the layout; within it, micro-batch m of
data-parallel rank r takes M = micro_batch_size of them from (m R + r) M on, where R is the number
of such ranks.  With G = 8, M = 2, R = 2: rank 0 has 0 1, 4 5 and rank 1 has 2 3, 6 7.

It is arithmetic alone: nothing has to be looked up or kept to know what a rank reads next, or who
read a sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tongwen.recipe import Train


@dataclass(frozen=True)
class Turn:
    """When a sequence is read, and by whom; everything counts from 0.

    Attributes:
        iteration: of the stage.
        rank: of the data-parallel ranks.
        micro_batch: of that rank in that iteration.
        place: in the micro-batch.
    """

    iteration: int
    rank: int
    micro_batch: int
    place: int


@dataclass(frozen=True)
class Layout:
    """How a global batch is dealt out.

    Attributes:
        global_batch_size: sequences of an iteration; a multiple of the other two's product.
        micro_batch_size: sequences that a rank reads at once.
        num_ranks: data-parallel ranks.
    """

    global_batch_size: int
    micro_batch_size: int
    num_ranks: int

    @classmethod
    def from_section(cls, train: Train) -> Layout:
        """That of a recipe's `[train]`."""
        return cls(train.global_batch_size, train.micro_batch_size, train.data_parallel)

    @property
    def num_micro_batches(self) -> int:
        """Of a rank in an iteration."""
        return self.global_batch_size // (self.micro_batch_size * self.num_ranks)

    def find_turn(self, sequence: int) -> Turn:
        """When and by whom a sequence of the stage is read.

        Raises:
            IndexError: it is negative.
        """
        if sequence < 0:
            raise IndexError(f"there is no sequence {sequence}")
        iteration, within = divmod(sequence, self.global_batch_size)
        slot, place = divmod(within, self.micro_batch_size)
        micro_batch, rank = divmod(slot, self.num_ranks)
        return Turn(iteration, rank, micro_batch, place)

    def find_sequence(self, turn: Turn) -> int:
        """The sequence of the stage that is read then: the inverse of `find_turn`.

        Raises:
            IndexError: the layout has no such turn.
        """
        limits = (
            ("iteration", turn.iteration, None),
            ("rank", turn.rank, self.num_ranks),
            ("micro-batch", turn.micro_batch, self.num_micro_batches),
            ("place", turn.place, self.micro_batch_size),
        )
        for name, value, limit in limits:
            if value < 0 or (limit is not None and value >= limit):
                raise IndexError(f"there is no {name} {value}")
        slot = turn.micro_batch * self.num_ranks + turn.rank
        return turn.iteration * self.global_batch_size + slot * self.micro_batch_size + turn.place

    def list_sequences(self, iteration: int, rank: int) -> list[list[int]]:
        """The sequences of each micro-batch that a rank reads in an iteration."""
        return list(Slice(*self._sizes, rank, self.num_ranks).indices(iteration))

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.global_batch_size, self.micro_batch_size


@dataclass(frozen=True)
class Slice:
    """One rank's part of every global batch."""

    global_batch_size: int
    micro_batch_size: int
    rank: int
    num_ranks: int

    @property
    def num_micro_batches(self) -> int:
        return self.global_batch_size // (self.micro_batch_size * self.num_ranks)

    def indices(self, iteration: int) -> Iterator[list[int]]:
        """Sequences of each micro-batch of an iteration (0-based)."""
        first = iteration * self.global_batch_size
        for micro in range(self.num_micro_batches):
            start = first + (micro * self.num_ranks + self.rank) * self.micro_batch_size
            yield list(range(start, start + self.micro_batch_size))
