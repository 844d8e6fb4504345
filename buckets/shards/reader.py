"""A shard, mapped and checked.

The whole index is checked when a shard is opened: modes, lengths, and that offsets and sequences
follow from them.  What passes cannot lead a reader outside of the files.  It is done a chunk at a
time, and the pages read are given back.

The price: the index is read once at opening, 13 bytes a run.  Tokens that were exchanged for others
do not show: hashes tell that.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from buckets.shards.layout import (
    ALL_BITS,
    DTYPES,
    HEADER,
    LEARN,
    MAGIC,
    OPENS,
    PADDING,
    Mode,
    bin_path,
    idx_path,
)
from tongwen.errors import TongwenError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class PackedSequence:
    """One training sequence of S tokens.

    Attributes:
        tokens: int32[S].
        learn: bool[S], the loss counts this token as a target.
        opens: bool[S], True at the first token of each piece of a document.
        padding: bool[S].
    """

    tokens: NDArray[np.int32]
    learn: NDArray[np.bool_]
    opens: NDArray[np.bool_]
    padding: NDArray[np.bool_]


class ShardReader:
    """A shard, mapped into memory.

    Args:
        prefix: path of the shard without `.bin/.idx`.

    Attributes:
        num_sequences: packed training sequences.
        num_runs: runs of all of them.
        sequence_length: tokens of each.
        num_tokens: tokens of documents, padding aside.

    Raises:
        TongwenError: a file is absent or is not a whole shard of packed sequences.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self._dtype, self.num_runs, num_firsts = self._read_header()
        self.num_sequences = num_firsts - 1
        self._map_index(num_firsts)
        self._map_tokens()
        self._check_firsts()
        self.num_tokens = self._check_runs()
        self.release()

    def __len__(self) -> int:
        return self.num_sequences

    def read(self, index: int) -> PackedSequence:
        """Sequence `index` (0-based).

        Raises:
            IndexError: there is no such sequence.
        """
        lengths, modes = self._find_runs(index)
        tokens = self.view(index).astype(np.int32)
        mode_S = np.repeat(modes, lengths)
        opens_S = np.zeros(self.sequence_length, np.bool_)
        starts = np.cumsum(lengths) - lengths
        opens_S[starts[(modes & OPENS) > 0]] = True
        return PackedSequence(tokens, (mode_S & LEARN) > 0, opens_S, (mode_S & PADDING) > 0)

    def read_runs(self, index: int) -> list[tuple[NDArray[np.int32], Mode]]:
        """Sequence `index` as it was given to `ShardWriter.write_sequence`."""
        lengths, modes = self._find_runs(index)
        tokens = self.view(index).astype(np.int32)
        split = np.split(tokens, np.cumsum(lengths)[:-1])
        return list(zip(split, (Mode(int(mode)) for mode in modes), strict=True))

    def view(self, index: int) -> NDArray[np.integer]:
        """The tokens of sequence `index` where they are mapped, uint16 or int32."""
        self._check_number(index)
        start = index * self.sequence_length
        return self.tokens[start : start + self.sequence_length]

    @property
    def tokens(self) -> NDArray[np.integer]:
        """All tokens, one sequence after another, as they are mapped."""
        return self._tokens

    def release(self) -> None:
        """Give the mapped pages back; they are read again where they are needed."""
        for mapped in self._mapped:
            mapped.madvise(mmap.MADV_DONTNEED)

    def _check_number(self, index: int) -> None:
        if not 0 <= index < self.num_sequences:
            raise IndexError(f"{self.prefix} has no sequence {index} of {self.num_sequences}")

    def _find_runs(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        self._check_number(index)
        first, last = int(self._firsts[index]), int(self._firsts[index + 1])
        return self._lengths[first:last], self._modes[first:last]

    def _read_header(self) -> tuple[np.dtype[np.integer], int, int]:
        for path in (idx_path(self.prefix), bin_path(self.prefix)):
            if not path.is_file():
                raise self._error("a file of the shard is missing", path)
        with idx_path(self.prefix).open("rb") as file:
            header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            raise self._error("the index ends within its header")
        magic, version, code, num_runs, num_firsts = HEADER.unpack(header)
        if magic != MAGIC or version != 1:
            raise self._error("not a Megatron index of version 1")
        if code not in DTYPES:
            raise self._error(f"tokens of an unknown type, code {code}")
        if num_runs < 1 or num_firsts < 2:
            raise self._error("the shard has no sequence")
        return DTYPES[code], num_runs, num_firsts

    def _map_index(self, num_firsts: int) -> None:
        size = idx_path(self.prefix).stat().st_size - HEADER.size
        whole = self.num_runs * 13 + num_firsts * 8
        if size == whole - self.num_runs:
            raise self._error("the index has no modes (it was written without multimodal)")
        if size != whole:
            raise self._error(f"the index has {size:,} bytes after its header, not {whole:,}")
        mapped = _map_file(idx_path(self.prefix))
        raw = np.frombuffer(mapped, np.uint8, offset=HEADER.size)
        firsts = self.num_runs * 12
        modes = firsts + num_firsts * 8
        self._lengths = raw[: self.num_runs * 4].view("<i4")
        self._offsets = raw[self.num_runs * 4 : firsts].view("<i8")
        self._firsts = raw[firsts:modes].view("<i8")
        self._modes = raw[modes:].view(np.int8)
        self._mapped = [mapped]

    def _map_tokens(self) -> None:
        path = bin_path(self.prefix)
        size = path.stat().st_size
        if not size or size % (self._dtype.itemsize * self.num_sequences):
            message = f"{size:,} bytes are not {self.num_sequences:,} sequences of one length"
            raise self._error(message, path)
        mapped = _map_file(path)
        self._tokens = np.frombuffer(mapped, self._dtype)
        self._mapped.append(mapped)
        self.sequence_length = len(self._tokens) // self.num_sequences

    def _check_firsts(self) -> None:
        """The sequences cover the runs, each at least one."""
        before = -1
        for start in range(0, len(self._firsts), _CHUNK):
            firsts = self._firsts[start : start + _CHUNK]
            if firsts[0] <= before or np.any(firsts[1:] <= firsts[:-1]):
                raise self._error("the index's sequences do not cover its runs")
            before = int(firsts[-1])
        if self._firsts[0] != 0 or before != self.num_runs:
            raise self._error("the index's sequences do not cover its runs")

    def _check_runs(self) -> int:
        """All that is said of a run; returns how many tokens belong to documents."""
        end = documents = 0
        for start in range(0, self.num_runs, _CHUNK):
            here = slice(start, start + _CHUNK)
            lengths, modes = self._lengths[here], self._modes[here]
            if lengths.min() < 1 or modes.min() < 0 or modes.max() > ALL_BITS:
                raise self._error("the index holds an empty run or an unknown mode")
            ends = end + np.cumsum(lengths, dtype=np.int64)
            self._check_places(start, lengths, ends)
            end = int(ends[-1])
            documents += int(lengths[(modes & PADDING) == 0].sum(dtype=np.int64))
            self.release()
        if end != len(self._tokens):
            message = f"there are {len(self._tokens):,} tokens, the index says {end:,}"
            raise self._error(message, bin_path(self.prefix))
        return documents

    def _check_places(
        self, start: int, lengths: NDArray[np.int32], ends: NDArray[np.int64]
    ) -> None:
        """Runs from `start` on lie where their offsets say, and sequences end where they should."""
        offsets = self._offsets[start : start + len(ends)]
        if not np.array_equal(offsets, (ends - lengths) * self._dtype.itemsize):
            raise self._error("the index's offsets do not follow from its lengths")
        bounds = np.array([start, start + len(ends)])
        first, last = np.searchsorted(self._firsts, bounds, side="right")
        wanted = np.arange(first, last) * self.sequence_length
        if not np.array_equal(ends[self._firsts[first:last] - 1 - start], wanted):
            raise self._error("its sequences are not all of one length")

    def _error(self, what: str, path: Path | None = None) -> TongwenError:
        return TongwenError(
            what,
            where=str(path or idx_path(self.prefix)),
            expected="a whole shard of packed sequences (.bin and .idx)",
            do="build the buckets again: tongwen run RECIPE --redo buckets/STAGE",
        )


def _map_file(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
