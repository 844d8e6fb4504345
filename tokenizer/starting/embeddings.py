"""A model folder with rows for the new pieces, written tensor by tensor, with numpy alone.

What the model knows of a new piece is what it knows of the base pieces it was until now; `rows`
makes its rows of theirs.  Everything else is copied byte by byte, shard by shard: memory holds a
few blocks of rows whatever the model's size, and what is copied keeps its bits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tokenizer.export import copy_tokenizer
from tokenizer.starting.folder import (
    INPUT,
    OUTPUT,
    check_model_folder,
    check_rows,
    find_embeddings,
    list_weights,
    read_config,
)
from tokenizer.starting.methods import NEED_COUNTS
from tokenizer.starting.parts import count_pieces, read_counts, read_parts, spell_pieces
from tokenizer.starting.rows import RowMaker, Side
from tokenizer.starting.weights import INDEX, Grown, Tensor, from_float32, write_tensors
from tongwen.progress import progress
from tongwen.recipe import Embeddings
from tongwen.record import write_text

__all__ = ["check_model_folder", "count_pieces", "extend_model", "spell_pieces"]

# Everything else in the folder of a model describes the old vocabulary.
_COPIED = ("generation_config.json",)
_DEFAULT = Embeddings()
_SIDES: dict[str, Side] = {INPUT: "input", OUTPUT: "output"}


def extend_model(
    source: Path,
    vocabulary: Path,
    out: Path,
    settings: Embeddings = _DEFAULT,
    *,
    seed: int = 1,
    token_counts: NDArray[np.int64] | None = None,
) -> dict[str, int | str]:
    """Write a Hugging Face LLaMA folder with rows for the new pieces.

    Args:
        source: config.json and *.safetensors of the base.
        vocabulary: the folder of `tokenizer/vocabulary`.
        out: the new folder.
        settings: where the new rows start.
        seed: of noise and of what keeps rows apart.
        token_counts: how often each piece occurs, from `count_tokens`; by default what
            pieces.parquet says of the text that was learned from.

    Returns:
        Counts: pieces before and after, width of a row, type of the rows, and for each side its
        method and how many rows had to be moved to differ from all others.

    Raises:
        TongwenError: the folder holds no such model, or its rows are not the base's pieces.
    """
    config, weights = read_config(source), list_weights(source)
    makers = make_sides(source, vocabulary, settings, seed=seed, token_counts=token_counts)
    old, new = count_pieces(vocabulary)
    out.mkdir(parents=True, exist_ok=True)
    places, total = _write_shards(weights, makers, out)
    if (source / INDEX).exists() or len(weights) > 1:
        table = {"metadata": {"total_size": total}, "weight_map": places}
        write_text(out / INDEX, json.dumps(table, indent=2, sort_keys=True) + "\n")
    write_text(out / "config.json", json.dumps(config | {"vocab_size": new}, indent=2) + "\n")
    for name in _COPIED:
        if (source / name).exists():
            write_text(out / name, (source / name).read_text(encoding="utf-8"))
    copy_tokenizer(vocabulary, out)
    assert check_model_folder(out) == new
    first = makers[INPUT].tensor
    counts: dict[str, int | str] = {"base_rows": old, "rows": new}
    counts |= {"hidden_size": first.shape[1], "dtype": first.dtype}
    counts["identical_rows"] = sum(maker.num_identical for maker in makers.values())
    for name, maker in makers.items():
        counts[f"{_SIDES[name]}_method"] = maker.method
        counts[f"{_SIDES[name]}_rows_moved"] = maker.num_moved
    return counts


def make_sides(
    source: Path,
    vocabulary: Path,
    settings: Embeddings,
    *,
    seed: int = 1,
    token_counts: NDArray[np.int64] | None = None,
) -> dict[str, RowMaker]:
    """What makes the new rows of each embedding of a model, by the embedding's name.

    A tied model has one embedding, whose rows start as the input's.

    Args:
        source, vocabulary, settings, seed, token_counts: as for `extend_model`.
    """
    embeddings = find_embeddings(list_weights(source), source)
    old, _ = count_pieces(vocabulary)
    check_rows(embeddings, old)
    parts = read_parts(vocabulary, old)
    counts = token_counts
    if counts is None and NEED_COUNTS & {settings.input, settings.output}:
        counts = read_counts(vocabulary, parts, old)
    if counts is None:
        counts = np.zeros(old + len(parts), np.int64)
    return {
        tensor.name: RowMaker(tensor, parts, counts, settings, side=_SIDES[tensor.name], seed=seed)
        for tensor in embeddings
    }


def _write_shards(
    weights: dict[str, list[Tensor]], makers: dict[str, RowMaker], out: Path
) -> tuple[dict[str, str], int]:
    places: dict[str, str] = {}
    total = 0
    groups = {name: [_grow(tensor, makers) for tensor in group] for name, group in weights.items()}
    size = sum(part.size for group in groups.values() for part in group)
    with progress("writing the model", total=size, unit="B") as advance:
        for name, group in groups.items():
            total += write_tensors(out / name, group, advance)
            places |= {part.tensor.name: name for part in group}
    return places, total


def _grow(tensor: Tensor, makers: dict[str, RowMaker]) -> Grown:
    if tensor.name not in makers:
        return Grown(tensor)
    maker = makers[tensor.name]
    return Grown(tensor, len(maker.parts), _encode_rows(maker))


def _encode_rows(maker: RowMaker) -> Iterator[bytes]:
    for rows in maker.make_blocks():
        yield from_float32(rows, maker.tensor.dtype)
