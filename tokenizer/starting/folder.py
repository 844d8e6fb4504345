"""A Hugging Face LLaMA folder on disk: its files, its embeddings, and whether all have one size.

A folder says five times how many pieces there are: in `config.json`, in the rows of the two
embeddings, in `tokenizer.model` and in `tokenizer.json`.  Where they differ, some programs pad,
some cut and some crash (llama.cpp wants all equal), so a folder of ours has one number.  Nothing is
padded: 69,104 = 16 x 4,319 divides by every tensor-parallel size up to 16, and Megatron pads other
sizes itself, in memory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizer.model import parse_model
from tokenizer.starting.weights import INDEX, Tensor, check_dtype, list_tensors
from tongwen.errors import TongwenError

INPUT, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
EMBEDDINGS = (INPUT, OUTPUT)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model.

    Raises:
        TongwenError: it is not there, or no JSON object.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return dict(config)
    except (OSError, ValueError, TypeError) as error:
        raise TongwenError(
            f"cannot read the model's config.json: {error}",
            where=str(folder),
            expected="a Hugging Face LLaMA folder with config.json and *.safetensors",
        ) from None


def list_weights(folder: Path) -> dict[str, list[Tensor]]:
    """The tensors of each file: of the index if there is one, else of every *.safetensors.

    Raises:
        TongwenError: a file is missing, is no safetensors file, or lacks what the index says.
    """
    places = _read_index(folder)
    names = sorted(set(places.values())) or sorted(f.name for f in folder.glob("*.safetensors"))
    missing = [name for name in names if not (folder / name).exists()]
    if not names or missing:
        raise TongwenError(
            f"weights are missing: {', '.join(missing) or '*.safetensors'}",
            where=str(folder),
            expected="the safetensors files that the index names",
        )
    found = {name: list_tensors(folder / name) for name in names}
    _check_index(places, found, folder)
    return found


def find_embeddings(weights: dict[str, list[Tensor]], folder: Path) -> list[Tensor]:
    """The input embedding and, unless it is tied to that, the output embedding.

    Raises:
        TongwenError: there is no input embedding, or one of a type that cannot be averaged.
    """
    named = {tensor.name: tensor for group in weights.values() for tensor in group}
    if INPUT not in named:
        raise TongwenError(f"the model has no {INPUT}", where=str(folder))
    found = [named[name] for name in EMBEDDINGS if name in named]
    for tensor in found:
        check_dtype(tensor)
    return found


def check_rows(embeddings: Sequence[Tensor], expected: int) -> None:
    """Raises TongwenError where an embedding has not a row for each piece of the base."""
    for tensor in embeddings:
        if tensor.shape[0] != expected:
            raise TongwenError(
                f"{tensor.name} has {tensor.shape[0]:,} rows, the base tokenizer "
                f"{expected:,} pieces",
                where=str(tensor.file),
                expected=f"{expected:,} rows",
                do="name the tokenizer of this very model as tokenizer.base",
            )


def check_model_folder(folder: Path) -> int:
    """The one size of a model folder: of its config, its embeddings and its tokenizer.

    Returns:
        Pieces.

    Raises:
        TongwenError: the sizes differ (it lists all of them), a file is missing, or the output
            embedding is missing and not tied.
    """
    config, weights = read_config(folder), list_weights(folder)
    embeddings = find_embeddings(weights, folder)
    sizes = {"config.json vocab_size": config.get("vocab_size")}
    sizes |= {f"rows of {tensor.name}": tensor.shape[0] for tensor in embeddings}
    sizes["tokenizer.model"] = len(parse_model(folder / "tokenizer.model").pieces)
    sizes["tokenizer.json"] = _count_entries(folder / "tokenizer.json")
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {_show(size)}" for name, size in sizes.items())
        raise TongwenError(
            f"the folder has no one size: {listed}",
            where=str(folder),
            expected="the same number of pieces everywhere",
            do="write the folder again with tongwen, or name the tokenizer of this very model",
        )
    if len(embeddings) == 1 and not config.get("tie_word_embeddings", False):
        raise TongwenError(
            f"the model has no {OUTPUT}, and config.json does not say that it is tied",
            where=str(folder),
            expected=f'{OUTPUT} in the weights, or "tie_word_embeddings": true',
        )
    return embeddings[0].shape[0]


def _show(size: object) -> str:
    return f"{size:,}" if isinstance(size, int) else str(size)


def _count_entries(path: Path) -> int:
    """Ids of a tokenizer.json, its added tokens included."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        added = {entry["id"] for entry in table.get("added_tokens") or []}
        return len(added | set(table["model"]["vocab"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TongwenError(f"cannot read tokenizer.json: {error!r}", where=str(path)) from None


def _read_index(folder: Path) -> dict[str, str]:
    """File of each tensor, without folders; empty where there is no index."""
    path = folder / INDEX
    if not path.exists():
        return {}
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        return {name: Path(file).name for name, file in places.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TongwenError(f"cannot read the index: {error!r}", where=str(path)) from None


def _check_index(places: dict[str, str], found: dict[str, list[Tensor]], folder: Path) -> None:
    """Every tensor of the index lies where it says."""
    held = {(tensor.name, name) for name, group in found.items() for tensor in group}
    if astray := sorted(set(places.items()) - held):
        name, file = astray[0]
        raise TongwenError(
            f"{len(astray)} tensors are not where the index says: {name} is not in {file}",
            where=str(folder / INDEX),
            expected="the files that belong to this index",
            do="download the folder again",
        )
