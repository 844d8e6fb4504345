"""From shards to batches: the sequences of a stage, and what the model is given.

Which sequence belongs to which iteration, micro-batch and rank says `buckets.schedule`.  The last
iteration is filled up with sequences of padding.  A batch depends on its place alone, so there is
no data state to save.

Labels are the next tokens.  A label bears loss if the shard says so (`learn`) and it does not open
a document: the last token of one document does not predict the first one of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from megatron.core.packed_seq_params import PackedSeqParams

from buckets.schedule import Slice
from buckets.shards import PackedSequence, ShardReader
from tongwen.errors import TongwenError
from train.model import Engine

__all__ = ["Batch", "Sequences", "Slice", "hide_others", "make_batch"]


class Sequences:
    """The sequences of several shards, one after the other.

    Args:
        prefixes: shards in order.
        length: tokens that a sequence must have.
        num_pieces: size of the vocabulary; a larger id is refused.
    """

    def __init__(self, prefixes: Sequence[Path], length: int, num_pieces: int) -> None:
        self.length, self._num_pieces = length, num_pieces
        self._readers = [ShardReader(prefix) for prefix in prefixes]
        self._ends = np.cumsum([len(reader) for reader in self._readers])
        for reader in self._readers:
            if reader.sequence_length != length:
                raise TongwenError(
                    f"sequences of {reader.sequence_length} tokens",
                    where=str(reader.prefix),
                    expected=f"{length}, the recipe's buckets.sequence_length",
                )

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def counts(self) -> tuple[int, ...]:
        """Sequences of each shard."""
        return tuple(len(reader) for reader in self._readers)

    def bucket_of(self, index: int) -> int:
        """Number of the shard that sequence `index` lies in (of the last one, beyond the end)."""
        return int(np.searchsorted(self._ends, min(index, len(self) - 1), side="right"))

    def read(self, index: int) -> PackedSequence:
        """Sequence `index`; only padding beyond the end.

        Raises:
            TongwenError: it has an id outside of the vocabulary.
        """
        if index >= len(self):
            return _all_padding(self.length)
        bucket = self.bucket_of(index)
        start = int(self._ends[bucket - 1]) if bucket else 0
        sequence = self._readers[bucket].read(index - start)
        if sequence.tokens.max() >= self._num_pieces:
            raise TongwenError(
                f"token {sequence.tokens.max()} in a vocabulary of {self._num_pieces:,} pieces",
                where=f"{self._readers[bucket].prefix}, sequence {index - start}",
                expected="a shard made with the stage's vocabulary",
            )
        return sequence


def _all_padding(length: int) -> PackedSequence:
    nothing = np.zeros(length, np.bool_)
    return PackedSequence(np.zeros(length, np.int32), nothing, nothing, np.ones(length, np.bool_))


@dataclass(frozen=True)
class Batch:
    """A micro-batch of B sequences of S tokens, on the device.

    Attributes:
        tokens_BS, labels_BS: int64 ids.
        loss_mask_BS: float32, 1 where the label bears loss.
        hidden_B1SS: bool, True where a position must not be seen; None with `packing`.
        packing: document boundaries for Transformer Engine; sequences are then one row [1, B S].
        num_sequences: B.
    """

    tokens_BS: torch.Tensor
    labels_BS: torch.Tensor
    loss_mask_BS: torch.Tensor
    hidden_B1SS: torch.Tensor | None
    packing: PackedSeqParams | None
    num_sequences: int

    @property
    def positions_BS(self) -> torch.Tensor:
        """Not used with rotary embeddings, which are relative; GPTModel asks for it."""
        length = self.tokens_BS.size(1)
        return torch.arange(length, device=self.tokens_BS.device).expand_as(self.tokens_BS)


def make_batch(sequences: Sequence[PackedSequence], length: int, engine: Engine) -> Batch:
    """Put sequences, cut to their first `length` tokens, into a batch."""
    tokens_BS = np.stack([item.tokens[:length] for item in sequences]).astype(np.int64)
    learn_BS = np.stack([item.learn[:length] for item in sequences])
    opens_BS = np.stack([item.opens[:length] for item in sequences])
    labels_BS, mask_BS = np.zeros_like(tokens_BS), np.zeros(tokens_BS.shape, np.float32)
    labels_BS[:, :-1] = tokens_BS[:, 1:]
    mask_BS[:, :-1] = learn_BS[:, 1:] & ~opens_BS[:, 1:]
    opens_BS[:, 0] = True
    arrays = [tokens_BS, labels_BS, mask_BS]
    if engine.packs:
        arrays = [array.reshape(1, -1) for array in arrays]
    tokens, labels, mask = (torch.from_numpy(array).to(engine.device) for array in arrays)
    hidden = None if engine.packs else hide_others(torch.from_numpy(opens_BS).to(engine.device))
    packing = _pack(opens_BS, engine) if engine.packs else None
    return Batch(tokens, labels, mask, hidden, packing, len(sequences))


def hide_others(opens_BS: torch.Tensor) -> torch.Tensor:
    """bool [B, 1, S, S]: True where the column is later than the row or in another document."""
    document_BS = opens_BS.cumsum(1)
    other_BSS = document_BS[:, :, None] != document_BS[:, None, :]
    length = opens_BS.size(1)
    later_SS = torch.ones(length, length, dtype=torch.bool, device=opens_BS.device).triu(1)
    return (other_BSS | later_SS)[:, None]


def _pack(opens_BS: np.ndarray, engine: Engine) -> PackedSeqParams:
    starts = np.flatnonzero(opens_BS.reshape(-1))
    bounds = np.append(starts, opens_BS.size).astype(np.int32)
    longest = int(np.diff(bounds).max())
    bounds_D = torch.from_numpy(bounds).to(engine.device)
    return PackedSeqParams(
        qkv_format="thd",
        cu_seqlens_q=bounds_D,
        cu_seqlens_kv=bounds_D,
        max_seqlen_q=longest,
        max_seqlen_kv=longest,
    )
