"""Hugging Face weights on disk, one tensor at a time, with numpy alone.

numpy has no bfloat16, so tensors are moved as raw bytes: what is copied keeps its bits and memory
holds one tensor (or a slice of one) at a time.  The safetensors format is a length, a JSON header
and the tensors' bytes one behind the other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tongwen.errors import TongwenError

INDEX = "model.safetensors.index.json"
_CHUNK = 1 << 24
_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class Tensor:
    """A tensor in a file.

    Attributes:
        begin, end: its bytes, from the beginning of the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return self.end - self.begin

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a matrix."""
        return self.size // self.shape[0]

    def read_rows(self, first: int, last: int) -> NDArray[np.float32]:
        """Rows `first` to `last` of a matrix, as numbers: [last - first, width]."""
        return self._read(self.begin + first * self.row_bytes, last - first)

    def take_rows(self, wanted: NDArray[np.int32]) -> NDArray[np.float32]:
        """The rows of some rising numbers; neighbours are read in one piece: [wanted, width]."""
        found = np.empty((len(wanted), self.shape[1]), np.float32)
        runs = np.flatnonzero(np.diff(wanted, prepend=-2, append=-2) != 1)
        for begin, end in pairwise(runs):
            first = int(wanted[begin])
            found[begin:end] = self.read_rows(first, first + end - begin)
        return found

    def _read(self, begin: int, rows: int) -> NDArray[np.float32]:
        with self.file.open("rb") as file:
            file.seek(begin)
            data = file.read(rows * self.row_bytes)
        if len(data) < rows * self.row_bytes:
            raise TongwenError("the file is cut off", where=str(self.file))
        return to_float32(data, self.dtype).reshape(rows, self.shape[1])

    def read_chunks(self) -> Iterator[bytes]:
        """All bytes, some megabytes at a time."""
        with self.file.open("rb") as file:
            file.seek(self.begin)
            left = self.size
            while left > 0:
                data = file.read(min(left, _CHUNK))
                if not data:
                    raise TongwenError("the file is cut off", where=str(self.file))
                left -= len(data)
                yield data


def list_tensors(file: Path) -> list[Tensor]:
    """The tensors of a safetensors file, in the order of their bytes.

    Raises:
        TongwenError: the file is not a safetensors file.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header: dict[str, Any] = json.loads(stream.read(min(length, file.stat().st_size)))
        header.pop("__metadata__", None)
        found = [_make_tensor(file, 8 + length, name, entry) for name, entry in header.items()]
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TongwenError(
            f"cannot read {file.name} as safetensors: {error}", where=str(file)
        ) from None
    return sorted(found, key=lambda tensor: (tensor.begin, tensor.name))


def _make_tensor(file: Path, base: int, name: str, entry: dict[str, Any]) -> Tensor:
    begin, end = entry["data_offsets"]
    return Tensor(name, entry["dtype"], tuple(entry["shape"]), file, base + begin, base + end)


@dataclass(frozen=True)
class Grown:
    """A tensor to copy, and the rows that follow its own.

    Attributes:
        rows: how many rows follow.
        blocks: their bytes, made when they are written.
    """

    tensor: Tensor
    rows: int = 0
    blocks: Iterable[bytes] = ()

    @property
    def size(self) -> int:
        """Bytes of the tensor with its new rows."""
        return self.tensor.size + (self.rows * self.tensor.row_bytes if self.rows else 0)

    @property
    def shape(self) -> list[int]:
        """Shape with the new rows."""
        first, *others = self.tensor.shape or (0,)
        return [first + self.rows, *others] if self.rows else list(self.tensor.shape)


def write_tensors(
    path: Path, parts: Sequence[Grown], advance: Callable[[float], None] = lambda _: None
) -> int:
    """Write tensors to a file, a block at a time; each may get rows after its own.

    Args:
        advance: told the bytes written.

    Returns:
        Bytes of all tensors.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    total = 0
    for part in parts:
        header[part.tensor.name] = {
            "dtype": part.tensor.dtype,
            "shape": part.shape,
            "data_offsets": [total, total + part.size],
        }
        total += part.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for part in parts:
            for block in chain(part.tensor.read_chunks(), part.blocks):
                file.write(block)
                advance(len(block))
        assert file.tell() == 8 + len(text) + total, "the new rows are not as many as was said"
    return total


def check_dtype(tensor: Tensor) -> None:
    """Raises TongwenError where the rows of a tensor cannot be averaged."""
    if tensor.dtype not in _BYTES:
        raise TongwenError(
            f"{tensor.name} has the type {tensor.dtype}",
            where=str(tensor.file),
            expected="one of " + ", ".join(_BYTES),
            do="convert the base model (quantised weights cannot be extended)",
        )


def to_float32(data: bytes, dtype: str) -> NDArray[np.float32]:
    """Numbers of raw bytes."""
    if dtype == "BF16":
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, {"F32": np.float32, "F16": np.float16}[dtype]).astype(np.float32)


def from_float32(values: NDArray[np.float32], dtype: str) -> bytes:
    """Raw bytes of numbers, rounded to the nearest, ties to even."""
    if dtype == "BF16":
        bits = np.ascontiguousarray(values).view(np.uint32)
        # The largest half below the cut, plus one where the last bit that stays is odd.
        rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return (rounded >> np.uint32(16)).astype(np.uint16).tobytes()
    return values.astype({"F32": np.float32, "F16": np.float16}[dtype]).tobytes()
