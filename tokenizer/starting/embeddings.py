"""Where the embeddings of new pieces start: the mean of the rows that stood for the same text.

A new piece was several base pieces until now, and the model knows those.  Its rows in the input
and the output embedding are their means.  The text is encoded without the dummy prefix: with it,
the row of `▁` would enter nearly every mean, and thousands of rows would start identical.
Means are taken in float32 and stored in the type of the base (bfloat16: nearest, ties to even).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenizer.encoding.encoder import Encoder
from tokenizer.export import copy_tokenizer
from tokenizer.model import SPACE, load_model
from tokenizer.starting.weights import (
    INDEX,
    Tensor,
    check_dtype,
    from_float32,
    list_tensors,
    to_float32,
    write_tensors,
)
from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.record import write_text

EMBEDDINGS = ("model.embed_tokens.weight", "lm_head.weight")
_ROWS = 4096
# Everything else in the folder of a model describes the old vocabulary.
_COPIED = ("generation_config.json",)


def extend_model(source: Path, vocabulary: Path, out: Path) -> dict[str, int | str]:
    """Write a Hugging Face LLaMA folder with rows for the new pieces.

    Args:
        source: config.json and *.safetensors of the base.
        vocabulary: the folder of `tokenizer/vocabulary`.
        out: the new folder.

    Returns:
        Counts: pieces before and after, width of a row, type of the rows.

    Raises:
        TongwenError: the folder holds no such model, or its rows are not the base's pieces.
    """
    config = _read_config(source)
    old, new = count_pieces(vocabulary)
    parts = spell_pieces(vocabulary, old)
    out.mkdir(parents=True, exist_ok=True)
    tensors = {file.name: list_tensors(file) for file in _list_weights(source)}
    _check_rows([tensor for group in tensors.values() for tensor in group], old, source)
    places, total = _write_shards(tensors, parts, out)
    if (source / INDEX).exists() or len(tensors) > 1:
        table = {"metadata": {"total_size": total}, "weight_map": places}
        write_text(out / INDEX, json.dumps(table, indent=2, sort_keys=True) + "\n")
    write_text(out / "config.json", json.dumps(config | {"vocab_size": new}, indent=2) + "\n")
    for name in _COPIED:
        if (source / name).exists():
            write_text(out / name, (source / name).read_text(encoding="utf-8"))
    copy_tokenizer(vocabulary, out)
    row = next(t for group in tensors.values() for t in group if t.name == EMBEDDINGS[0])
    return {"base_rows": old, "rows": new, "hidden_size": row.shape[1], "dtype": row.dtype}


def count_pieces(vocabulary: Path) -> tuple[int, int]:
    """Pieces of the base and of the extended model."""
    base = load_model(vocabulary / "base" / "tokenizer.model")
    return len(base.pieces), len(load_model(vocabulary / "tokenizer.model").pieces)


def spell_pieces(vocabulary: Path, start: int) -> list[NDArray[np.int32]]:
    """Base ids of the text of each piece from `start` on, without the dummy prefix."""
    model = load_model(vocabulary / "tokenizer.model")
    encoder = Encoder(vocabulary / "base" / "tokenizer.model", prefix=False)
    texts = [piece.piece.replace(SPACE, " ") for piece in list(model.pieces)[start:]]
    ids, offsets = encoder.encode(texts)
    return np.split(ids, offsets[1:-1]) if texts else []


def average_rows(rows: NDArray[np.float32], parts: Sequence[NDArray[np.int32]]) -> NDArray:
    """Mean of the chosen rows for each part: [rows, width] -> [parts, width], float32."""
    return np.stack([rows[ids].mean(axis=0, dtype=np.float32) for ids in parts])


def _read_config(source: Path) -> dict[str, Any]:
    try:
        return json.loads((source / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TongwenError(
            f"cannot read the model's config.json: {error}",
            where=str(source),
            expected="a Hugging Face LLaMA folder with config.json and *.safetensors",
        ) from None


def _list_weights(source: Path) -> list[Path]:
    """The files of the index if there is one, else the only file or all of them."""
    index = source / INDEX
    if index.exists():
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        files = [source / Path(name).name for name in sorted(set(places))]
    else:
        files = sorted(source.glob("*.safetensors"))
    missing = [file.name for file in files if not file.exists()]
    if not files or missing:
        raise TongwenError(
            f"weights are missing: {', '.join(missing) or '*.safetensors'}",
            where=str(source),
            expected="the safetensors files that the index names",
        )
    return files


def _check_rows(tensors: Sequence[Tensor], old: int, source: Path) -> None:
    found = [tensor for tensor in tensors if tensor.name in EMBEDDINGS]
    if EMBEDDINGS[0] not in {tensor.name for tensor in found}:
        raise TongwenError(f"the model has no {EMBEDDINGS[0]}", where=str(source))
    for tensor in found:
        check_dtype(tensor)
        if tensor.shape[0] != old:
            raise TongwenError(
                f"{tensor.name} has {tensor.shape[0]:,} rows, the base tokenizer {old:,} pieces",
                where=str(tensor.file),
                expected=f"{old:,} rows",
                do="name the tokenizer of this very model as tokenizer.base",
            )


def _write_shards(
    tensors: dict[str, list[Tensor]], parts: Sequence[NDArray[np.int32]], out: Path
) -> tuple[dict[str, str], int]:
    places: dict[str, str] = {}
    total = 0
    size = sum(tensor.end - tensor.begin for group in tensors.values() for tensor in group)
    with progress("writing the model", total=size, unit="B") as advance:
        for name, group in tensors.items():
            rows = [(tensor, _make_rows(tensor, parts)) for tensor in group]
            total += write_tensors(out / name, rows)
            places |= {tensor.name: name for tensor in group}
            advance(sum(tensor.end - tensor.begin for tensor in group))
    return places, total


def _make_rows(tensor: Tensor, parts: Sequence[NDArray[np.int32]]) -> bytes:
    """Rows of the new pieces, from as few rows of the base as they use."""
    if tensor.name not in EMBEDDINGS or not parts:
        return b""
    used, places = np.unique(np.concatenate(parts), return_inverse=True)
    ends = np.cumsum([len(ids) for ids in parts])[:-1]
    local = np.split(places.astype(np.int32), ends)
    rows = _read_rows(tensor, used)
    return b"".join(
        from_float32(average_rows(rows, local[begin : begin + _ROWS]), tensor.dtype)
        for begin in range(0, len(local), _ROWS)
    )


def _read_rows(tensor: Tensor, used: NDArray[np.int32]) -> NDArray[np.float32]:
    rows = np.empty((len(used), tensor.shape[1]), np.float32)
    for begin in range(0, tensor.shape[0], _ROWS):
        end = min(begin + _ROWS, tensor.shape[0])
        chosen = np.flatnonzero((used >= begin) & (used < end))
        if len(chosen):
            block = to_float32(tensor.read_rows(begin, end), tensor.dtype)
            rows[chosen] = block.reshape(end - begin, -1)[used[chosen] - begin]
    return rows
