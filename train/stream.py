"""What a training reads, as its checkpoints note it: the shards, their sequences and hashes.

A checkpoint is a place in a stream of sequences.  The shards may change while a training stands
still (a new mixture for what is left, a takedown), but what lies before the place may not: then the
loss curve, the lineage and the weights would no longer tell of the same text.  So every checkpoint
notes each shard's sequences and hash, and a training that goes on compares those it has begun.

A takedown puts padding where a text was.  It moves nothing, so a shard that the record of the
buckets says was changed by one may differ, in its bytes but not in its number of sequences.

The price: some hundred bytes of a checkpoint's `state.json` for each shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tongwen.errors import TongwenError


@dataclass(frozen=True)
class Stream:
    """The shards of a training, in order.

    Attributes:
        sequences: of each shard.
        hashes: of each shard; "" where it is not known.
    """

    sequences: tuple[int, ...] = ()
    hashes: tuple[str, ...] = ()

    @classmethod
    def from_lists(cls, table: dict[str, Sequence[Any]]) -> Stream:
        """What `asdict` gave, after JSON."""
        return cls(**{name: tuple(values) for name, values in table.items()})

    @property
    def shards(self) -> tuple[tuple[int, str], ...]:
        """Sequences and hash of each shard."""
        return tuple(zip(self.sequences, self.hashes, strict=True))

    @property
    def total(self) -> int:
        """Sequences of all shards."""
        return sum(self.sequences)

    def count_begun(self, read: int) -> int:
        """Shards that hold any of the first `read` sequences."""
        ends = list(accumulate(self.sequences))
        return sum(end - size < read for end, size in zip(ends, self.sequences, strict=True))


def check_stream(before: Stream, now: Stream, read: int, taken: Sequence[int] = ()) -> None:
    """Check that what was read is still what lies there.

    Args:
        before: as the checkpoint has it; without shards if it notes none.
        now: as it is.
        read: sequences read so far.
        taken: numbers of shards that a takedown has changed.

    Raises:
        TongwenError: a shard that was begun is another one now.
    """
    for number, old in enumerate(before.shards[: before.count_begun(read)]):
        new = now.shards[number] if number < len(now.shards) else (0, "")
        if number in taken and old[0] == new[0]:
            continue
        if old != new:
            raise TongwenError(
                f"bucket {number} is not the one that was trained on: it had {old[0]:,} sequences "
                f"and hash {old[1][:12] or '-'}, it has {new[0]:,} and {new[1][:12] or '-'}",
                where=f"the stage's shards; {read:,} sequences of them were read",
                expected="unchanged buckets up to the one in progress",
                do="put the former buckets back, or remove the training's checkpoints to start it "
                "from its beginning",
            )
