"""Packed training sequences in Megatron's `.bin/.idx` files, written and read with NumPy alone.

The layout is that of `megatron/core/datasets/indexed_dataset.py` (format "MMIDIDX" version 1, with
its `multimodal` mode byte), so that Megatron reads these files and this module reads Megatron's.
One packed training sequence is one document of the index; the runs of tokens inside it, which
belong to one document or are padding, are the index's sequences, each with a mode of three bits.
No loss-mask file is needed beside it.

    .bin   the tokens, uint16 where the vocabulary is below 65,500 and int32 otherwise
    .idx   9 bytes b"MMIDIDX\\0\\0", uint64 version 1, uint8 dtype code,
           uint64 runs, uint64 sequences + 1,
           int32[runs] lengths, int64[runs] byte offsets in .bin,
           int64[sequences + 1] first run of each sequence, int8[runs] modes

The price: 13 bytes of memory for each run while a shard is written; a reader maps both files.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from tongwen.errors import TongwenError

_MAGIC = b"MMIDIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")
_INT32_CODE, _UINT16_CODE = 4, 8
_DTYPES = {_INT32_CODE: np.dtype("<i4"), _UINT16_CODE: np.dtype("<u2")}
_UINT16_BELOW = 65_500
_CHUNK = 1 << 20


class Mode(IntFlag):
    """What a run of tokens is.

    Attributes:
        LEARN: the loss counts these tokens.
        OPENS: the run's first token starts a document (or goes on with one that was split);
            attention does not reach back over it.
        PADDING: no document; never learned.
    """

    LEARN = 1
    OPENS = 2
    PADDING = 4


LEARN, OPENS, PADDING = Mode.LEARN, Mode.OPENS, Mode.PADDING
_ALL_BITS = int(LEARN | OPENS | PADDING)

Run = tuple[NDArray[np.integer], int]
"""Token ids and their mode."""


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


def choose_dtype(num_pieces: int) -> np.dtype[np.integer]:
    """Megatron's rule (`DType.optimal_dtype`): uint16 only for fewer than 65,500 pieces."""
    return _DTYPES[_UINT16_CODE if num_pieces < _UINT16_BELOW else _INT32_CODE]


def bin_path(prefix: Path) -> Path:
    """The tokens' file of a shard."""
    return prefix.with_name(prefix.name + ".bin")


def idx_path(prefix: Path) -> Path:
    """The index file of a shard."""
    return prefix.with_name(prefix.name + ".idx")


class ShardWriter:
    """Writes a shard sequence by sequence; `close` (or leaving `with`) writes the index.

    Args:
        prefix: path of the shard without `.bin/.idx`.
        num_pieces: size of the vocabulary, which decides the tokens' type.
    """

    def __init__(self, prefix: Path, num_pieces: int) -> None:
        self.prefix = prefix
        self.num_pieces = num_pieces
        self.sequence_length = 0
        self._dtype = choose_dtype(num_pieces)
        self._lengths, self._modes, self._firsts = array("i"), array("b"), array("q", [0])
        self._file = bin_path(prefix).open("wb")

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()

    @property
    def num_sequences(self) -> int:
        """Sequences written so far."""
        return len(self._firsts) - 1

    def write_sequence(self, runs: Sequence[Run]) -> None:
        """Append one packed sequence.

        Args:
            runs: token ids and mode of each run, in order.

        Raises:
            ValueError: an id outside of the vocabulary (it would wrap silently), an empty run, an
                impossible mode, or another length than the sequences before.
        """
        lengths = [len(ids) for ids, _ in runs]
        modes = [int(mode) for _, mode in runs]
        tokens = np.concatenate([ids for ids, _ in runs])
        self._check(tokens, lengths, modes)
        self._file.write(tokens.astype(self._dtype).tobytes())
        self._lengths.extend(lengths)
        self._modes.extend(modes)
        self._firsts.append(len(self._lengths))

    def close(self) -> None:
        """Write the index and close both files.

        Raises:
            ValueError: no sequence was written.
        """
        self._file.close()
        if not self.num_sequences:
            raise ValueError(f"{self.prefix}: a shard needs at least one sequence")
        lengths = np.frombuffer(self._lengths, np.int32)
        code = _UINT16_CODE if self._dtype.itemsize == 2 else _INT32_CODE
        with idx_path(self.prefix).open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, 1, code, len(lengths), len(self._firsts)))
            file.write(lengths.astype("<i4", copy=False).data)
            offset = 0
            for start in range(0, len(lengths), _CHUNK):
                sizes = lengths[start : start + _CHUNK].astype("<i8") * self._dtype.itemsize
                ends = offset + np.cumsum(sizes)
                file.write((ends - sizes).data)
                offset = int(ends[-1])
            file.write(np.frombuffer(self._firsts, np.int64).astype("<i8", copy=False).data)
            file.write(np.frombuffer(self._modes, np.int8).data)

    def _check(self, tokens: NDArray[np.integer], lengths: list[int], modes: list[int]) -> None:
        self.sequence_length = self.sequence_length or len(tokens)
        if len(tokens) != self.sequence_length:
            raise ValueError(f"a sequence of {len(tokens)} tokens, not {self.sequence_length}")
        if min(lengths) == 0:
            raise ValueError("an empty run")
        if min(modes) < 0 or max(modes) > _ALL_BITS:
            raise ValueError(f"a mode outside of 0..{_ALL_BITS}: {modes}")
        if tokens.min() < 0 or tokens.max() >= self.num_pieces:
            raise ValueError(f"an id outside of the vocabulary of {self.num_pieces} pieces")


class ShardReader:
    """A shard, mapped into memory.

    Args:
        prefix: path of the shard without `.bin/.idx`.

    Attributes:
        num_sequences: packed training sequences.
        sequence_length: tokens of each.
        num_tokens: tokens of documents, padding aside.

    Raises:
        TongwenError: a file is absent or is not a whole shard of packed sequences.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self._dtype, num_runs, num_firsts = self._read_header()
        self._map_index(num_runs, num_firsts)
        self._check_index()
        self._tokens = np.memmap(bin_path(prefix), self._dtype, mode="r").view(np.ndarray)
        self.num_sequences = num_firsts - 1
        self.sequence_length = len(self._tokens) // self.num_sequences
        self._check_lengths()

    @property
    def num_tokens(self) -> int:
        return int(self._lengths[(self._modes & PADDING) == 0].sum(dtype=np.int64))

    def __len__(self) -> int:
        return self.num_sequences

    def read(self, index: int) -> PackedSequence:
        """Sequence `index` (0-based).

        Raises:
            IndexError: there is no such sequence.
        """
        if not 0 <= index < self.num_sequences:
            raise IndexError(f"{self.prefix} has no sequence {index} of {self.num_sequences}")
        first, last = int(self._firsts[index]), int(self._firsts[index + 1])
        lengths, modes = self._lengths[first:last], self._modes[first:last]
        start = index * self.sequence_length
        tokens = self._tokens[start : start + self.sequence_length].astype(np.int32)
        mode_S = np.repeat(modes, lengths)
        opens_S = np.zeros(self.sequence_length, np.bool_)
        starts = np.cumsum(lengths) - lengths
        opens_S[starts[(modes & OPENS) > 0]] = True
        return PackedSequence(tokens, (mode_S & LEARN) > 0, opens_S, (mode_S & PADDING) > 0)

    def read_runs(self, index: int) -> list[tuple[NDArray[np.int32], Mode]]:
        """Sequence `index` as it was given to `ShardWriter.write_sequence`."""
        tokens = self.read(index).tokens
        first, last = int(self._firsts[index]), int(self._firsts[index + 1])
        ends = np.cumsum(self._lengths[first:last])[:-1]
        modes = [Mode(int(mode)) for mode in self._modes[first:last]]
        return list(zip(np.split(tokens, ends), modes, strict=True))

    def _read_header(self) -> tuple[np.dtype[np.integer], int, int]:
        for path in (idx_path(self.prefix), bin_path(self.prefix)):
            if not path.is_file():
                raise self._error("a file of the shard is missing", path)
        with idx_path(self.prefix).open("rb") as file:
            header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise self._error("the index ends within its header")
        magic, version, code, num_runs, num_firsts = _HEADER.unpack(header)
        if magic != _MAGIC or version != 1:
            raise self._error("not a Megatron index of version 1")
        if code not in _DTYPES:
            raise self._error(f"tokens of an unknown type, code {code}")
        if num_runs < 1 or num_firsts < 2:
            raise self._error("the shard has no sequence")
        return _DTYPES[code], num_runs, num_firsts

    def _map_index(self, num_runs: int, num_firsts: int) -> None:
        size = idx_path(self.prefix).stat().st_size - _HEADER.size
        whole = num_runs * 13 + num_firsts * 8
        if size == whole - num_runs:
            raise self._error("the index has no modes (it was written without multimodal)")
        if size != whole:
            raise self._error(f"the index has {size:,} bytes after its header, not {whole:,}")
        raw = np.memmap(idx_path(self.prefix), np.uint8, mode="r").view(np.ndarray)[_HEADER.size :]
        firsts = num_runs * 12
        modes = firsts + num_firsts * 8
        self._lengths = raw[: num_runs * 4].view("<i4")
        self._offsets = raw[num_runs * 4 : firsts].view("<i8")
        self._firsts = raw[firsts:modes].view("<i8")
        self._modes = raw[modes:].view(np.int8)

    def _check_index(self) -> None:
        lengths, firsts, itemsize = self._lengths, self._firsts, self._dtype.itemsize
        if lengths.min() < 0 or self._modes.min() < 0 or self._modes.max() > _ALL_BITS:
            raise self._error("the index holds a negative length or an unknown mode")
        if firsts[0] != 0 or firsts[-1] != len(lengths) or np.any(np.diff(firsts) < 1):
            raise self._error("the index's sequences do not cover its runs")
        ends = np.cumsum(lengths, dtype=np.int64) * itemsize
        if self._offsets[0] != 0 or not np.array_equal(self._offsets[1:], ends[:-1]):
            raise self._error("the index's offsets do not follow from its lengths")
        size = bin_path(self.prefix).stat().st_size
        if size != ends[-1] or size == 0:
            message = f"the tokens have {size:,} bytes, the index says {int(ends[-1]):,}"
            raise self._error(message, bin_path(self.prefix))

    def _check_lengths(self) -> None:
        ends = np.cumsum(self._lengths, dtype=np.int64)[self._firsts[1:] - 1]
        wanted = np.arange(1, self.num_sequences + 1) * self.sequence_length
        if not np.array_equal(ends, wanted):
            raise self._error("its sequences are not all of one length")

    def _error(self, what: str, path: Path | None = None) -> TongwenError:
        return TongwenError(
            what,
            where=str(path or idx_path(self.prefix)),
            expected="a whole shard of packed sequences (.bin and .idx)",
            do="build the buckets again: tongwen run RECIPE --redo buckets/STAGE",
        )
