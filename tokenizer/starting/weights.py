"""Hugging Face weights on disk, one tensor at a time, with numpy alone.

numpy has no bfloat16, so tensors are moved as raw bytes: what is copied keeps its bits and memory
holds one tensor (or a slice of one) at a time.  The safetensors format is a length, a JSON header
and the tensors' bytes one behind the other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
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

    def read_rows(self, first: int, last: int) -> bytes:
        """The bytes of rows `first` to `last` of a matrix."""
        width = (self.end - self.begin) // self.shape[0]
        with self.file.open("rb") as file:
            file.seek(self.begin + first * width)
            return file.read((last - first) * width)

    def read_chunks(self) -> Iterator[bytes]:
        """All bytes, some megabytes at a time."""
        with self.file.open("rb") as file:
            file.seek(self.begin)
            left = self.end - self.begin
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


def write_tensors(path: Path, parts: list[tuple[Tensor, bytes]]) -> int:
    """Write tensors to a file; each may get rows after its own.

    Args:
        parts: a tensor to copy and the bytes of the rows that follow it.

    Returns:
        Bytes of all tensors.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    total = 0
    for tensor, more in parts:
        size = tensor.end - tensor.begin + len(more)
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": _grown_shape(tensor, len(more)),
            "data_offsets": [total, total + size],
        }
        total += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor, more in parts:
            for chunk in tensor.read_chunks():
                file.write(chunk)
            file.write(more)
    return total


def _grown_shape(tensor: Tensor, more: int) -> list[int]:
    if not more:
        return list(tensor.shape)
    width = (tensor.end - tensor.begin) // tensor.shape[0]
    return [tensor.shape[0] + more // width, *tensor.shape[1:]]


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
