"""The files of a token store: they only grow, and a small one says how far they are whole.

    tokens.bin   the documents' tokens, one after another, uint16 or int32
    entries.bin  a row of INDEX for each document, in the order of encoding
    origins.bin  the documents' origins, UTF-8, one after another
    state.json   what is committed: sizes of the three, batches of each round, sums of each cell

What was written behind the last commit is cut off when the store is opened again.  The state is
flushed to the disk; the three files are not, because they are of use to this build alone.  After
a loss of power they may be shorter than the state says; then the store begins anew.

The price: after a kill the work since the last commit is done again, a few seconds of it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from buckets.encoding.index import INDEX
from buckets.shards import choose_dtype
from tongwen.errors import TongwenError
from tongwen.record import write_text

STATE = "state.json"
_FORMAT = 1


@dataclass
class Round:
    """How far a round is: batches that were read, and whether those were all."""

    batches: int = 0
    finished: bool = False


@dataclass
class State:
    """What is committed.

    Attributes:
        pieces: size of the vocabulary.
        dtype: of the tokens.
        tokens, documents, origin_bytes: sizes of the three files.
        documents_C, tokens_C: of each cell so far.
    """

    pieces: int
    dtype: str
    format: int = _FORMAT
    tokens: int = 0
    documents: int = 0
    origin_bytes: int = 0
    rounds: dict[str, Round] = field(default_factory=dict)
    documents_C: list[int] = field(default_factory=list)
    tokens_C: list[int] = field(default_factory=list)


class StoreFiles:
    """The files in a folder, opened for appending while a round is encoded.

    Args:
        folder: made where it is not there.
        num_pieces: size of the vocabulary.

    Raises:
        TongwenError: the folder holds a store of another vocabulary, or a damaged one.
    """

    def __init__(self, folder: Path, num_pieces: int) -> None:
        self.folder = folder
        self.tokens, self.entries, self.origins = (
            folder / f"{name}.bin" for name in ("tokens", "entries", "origins")
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.state = self._read_state(num_pieces)
        self._open: list[BinaryIO] = []

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.state.dtype)

    def open(self) -> None:
        """Open for appending behind the last commit."""
        for path, size in self._measure().items():
            file = path.open("ab")
            self._open.append(file)
            file.truncate(size)

    def append(
        self, tokens: NDArray[np.integer], rows: NDArray[np.void], origins: NDArray[np.uint8]
    ) -> None:
        """Append some documents; starts are filled in."""
        state = self.state
        length_D, origin_D = (rows[name].astype(np.int64) for name in ("length", "origin_length"))
        rows["start"] = state.tokens + np.cumsum(length_D) - length_D
        rows["origin_start"] = state.origin_bytes + np.cumsum(origin_D) - origin_D
        for file, array in zip(self._open, (tokens, rows, origins), strict=True):
            file.write(array.data.cast("B") if len(array) else b"")
        state.tokens += len(tokens)
        state.documents += len(rows)
        state.origin_bytes += len(origins)
        self._count(rows["cell"], length_D)

    def commit(self) -> None:
        """Make all that was appended so far stay."""
        for file in self._open:
            file.flush()
        text = json.dumps(asdict(self.state), indent=1) + "\n"
        write_text(self.folder / STATE, text)

    def close(self) -> None:
        """Close the files; what was not committed is cut off the next time."""
        while self._open:
            self._open.pop().close()

    def reload(self) -> None:
        """Go back to what is committed."""
        self.state = self._read_state(self.state.pieces)

    def _count(self, cell_D: NDArray[np.int32], length_D: NDArray[np.int64]) -> None:
        state = self.state
        missing = int(cell_D.max(initial=-1)) + 1 - len(state.documents_C)
        state.documents_C += [0] * missing
        state.tokens_C += [0] * missing
        for cell in np.unique(cell_D).tolist():
            mine = cell_D == cell
            state.documents_C[cell] += int(np.count_nonzero(mine))
            state.tokens_C[cell] += int(length_D[mine].sum())

    def _measure(self) -> dict[Path, int]:
        """Committed bytes of each file."""
        return {
            self.tokens: self.state.tokens * self.dtype.itemsize,
            self.entries: self.state.documents * INDEX.itemsize,
            self.origins: self.state.origin_bytes,
        }

    def _read_state(self, num_pieces: int) -> State:
        path = self.folder / STATE
        new = State(num_pieces, choose_dtype(num_pieces).str)
        if not path.exists():
            return new
        self.state = self._parse(path)
        if (self.state.pieces, self.state.dtype) != (new.pieces, new.dtype):
            raise TongwenError(
                f"the store was made with a vocabulary of {self.state.pieces:,} pieces "
                f"({self.state.dtype}), not of {num_pieces:,} ({new.dtype})",
                where=str(self.folder),
                expected="the tokenizer that it was begun with",
                do="remove the folder and run again",
            )
        whole = all(p.exists() and p.stat().st_size >= n for p, n in self._measure().items())
        if not whole:
            path.unlink()
        return self.state if whole else new

    def _parse(self, path: Path) -> State:
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            rounds = {name: Round(**each) for name, each in table.pop("rounds").items()}
            state = State(rounds=rounds, **table)
            if state.format != _FORMAT:
                raise ValueError(f"format {state.format}")
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TongwenError(
                f"the state of the token store cannot be read: {error}",
                where=str(path),
                expected="the JSON that tongwen wrote",
                do="remove the folder and run again",
            ) from None
        return state
