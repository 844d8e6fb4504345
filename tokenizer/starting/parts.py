"""What each new piece was to the base: its base ids, and how often pieces and base ids occur.

The text of a piece is encoded without the dummy prefix: with it, the row of `▁` would enter nearly
every mean, and thousands of rows would start identical.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tokenizer.encoding.encoder import Encoder
from tokenizer.model import SPACE, load_model
from tongwen.errors import TongwenError


@dataclass(frozen=True)
class Parts:
    """The base ids of all new pieces in a row.

    Attributes:
        ids: those of piece `i` are `ids[offsets[i]:offsets[i + 1]]`.
        offsets: one more than there are pieces.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def owners(self) -> NDArray[np.int64]:
        """The piece that each id belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def places(self) -> NDArray[np.int64]:
        """Where in its piece each id stands, from 0."""
        return np.arange(len(self.ids)) - self.offsets[self.owners]


def count_pieces(vocabulary: Path) -> tuple[int, int]:
    """Pieces of the base and of the extended model."""
    base = load_model(vocabulary / "base" / "tokenizer.model")
    return len(base.pieces), len(load_model(vocabulary / "tokenizer.model").pieces)


def read_parts(vocabulary: Path, start: int) -> Parts:
    """The base ids of the text of each piece from `start` on, without the dummy prefix."""
    model = load_model(vocabulary / "tokenizer.model")
    encoder = Encoder(vocabulary / "base" / "tokenizer.model", prefix=False)
    texts = [piece.piece.replace(SPACE, " ") for piece in list(model.pieces)[start:]]
    return Parts(*encoder.encode(texts))


def spell_pieces(vocabulary: Path, start: int) -> list[NDArray[np.int32]]:
    """The same as a list with the ids of each piece."""
    parts = read_parts(vocabulary, start)
    return np.split(parts.ids, parts.offsets[1:-1]) if len(parts) else []


def count_tokens(texts: Iterable[Sequence[str]], vocabulary: Path) -> NDArray[np.int64]:
    """How often each piece occurs in texts.

    Args:
        texts: batches of them.

    Returns:
        [pieces]: of a base piece how often the base's encoding has it, of a new one how often the
        extended encoding has it.
    """
    base = Encoder(vocabulary / "base" / "tokenizer.model")
    extended = Encoder(vocabulary / "tokenizer.model")
    counts = np.zeros(extended.size, np.int64)
    for batch in texts:
        ids, new = base.encode(batch)[0], extended.encode(batch)[0]
        counts += np.bincount(ids, minlength=extended.size)
        counts += np.bincount(new[new >= base.size], minlength=extended.size)
    return counts


def read_counts(vocabulary: Path, parts: Parts, start: int) -> NDArray[np.int64]:
    """`count_tokens` of the text that the pieces were learned from, as pieces.parquet has it.

    Only what the new pieces cover is counted: a base piece occurs as often as the new pieces that
    it is a part of.

    Raises:
        TongwenError: there is no pieces.parquet.
    """
    if not (vocabulary / "pieces.parquet").exists():
        raise TongwenError(
            "nothing says how often the pieces occur",
            where=str(vocabulary),
            expected="pieces.parquet, which a vocabulary of tongwen has",
            do="choose `mean`, `late` or `gaussian`, or give the counts (`count_tokens`)",
        )
    table = pq.read_table(vocabulary / "pieces.parquet")
    column = "uses" if "uses" in table.column_names else "count"
    new = np.zeros(len(parts), np.int64)
    new[table["id"].to_numpy() - start] = table[column].to_numpy()
    base = np.bincount(parts.ids, new[parts.owners].astype(np.float64), minlength=start)
    return np.concatenate([base.astype(np.int64), new])
