"""A Hugging Face LLaMA folder on disk, read and written without torch.

Only headers are read to find and check tensors; their data is read by slices where a rank needs
them.  Random weights are written here too, so that every layout of a stage starts from the same
numbers: N(0, init_std), with the two projections that write into the residual stream divided by
sqrt(2 * layers) as GPT-2 and Megatron do, and norms of one.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tongwen.errors import TongwenError
from tongwen.recipe import Model
from train.shape import LlamaShape, file_of, list_tensors, read_shape, write_config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_RESIDUAL = ("self_attn.o_proj.weight", "mlp.down_proj.weight")
_IGNORED = "rotary_emb.inv_freq"


def find_tensors(folder: Path) -> dict[str, Path]:
    """Name -> file of every tensor of a folder with one or several safetensors files.

    Raises:
        TongwenError: there is no safetensors file, or one cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, Path] = {}
    for path in _weight_files(folder):
        try:
            with safe_open(path, "numpy") as file:
                found |= dict.fromkeys(file.keys(), path)
        except (OSError, SafetensorError) as error:
            raise TongwenError(
                f"the weights cannot be read: {error}",
                where=str(path),
                expected="a whole safetensors file",
            ) from None
    return {name: path for name, path in found.items() if not name.endswith(_IGNORED)}


def _weight_files(folder: Path) -> list[Path]:
    index = folder / INDEX
    if index.exists():
        table = json.loads(index.read_text(encoding="utf-8"))
        return [folder / name for name in sorted(set(table["weight_map"].values()))]
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    raise TongwenError(
        "there are no weights in the folder",
        where=str(folder),
        expected=f"{SINGLE}, or {INDEX} and the files it names",
        do="convert the checkpoint to safetensors",
    )


def check_folder(folder: Path, shape: LlamaShape) -> dict[str, Path]:
    """Name -> file of the tensors, after comparing them with what the shape asks for.

    Raises:
        TongwenError: a tensor is missing, unexpected or of another size; the message names them.
    """
    wanted, found = list_tensors(shape), find_tensors(folder)
    if shape.tied:
        found.pop("lm_head.weight", None)
    problems = [f"missing: {name}" for name in wanted if name not in found]
    problems += [f"unexpected: {name}" for name in sorted(found) if name not in wanted]
    problems = problems or _wrong_sizes(wanted, found)
    if problems:
        more = [f"and {len(problems) - 12} more"] if len(problems) > 12 else []
        raise TongwenError(
            "the folder's tensors are not those of this model:\n    "
            + "\n    ".join(problems[:12] + more),
            where=str(folder),
            expected=f"the tensors of a LLaMA with {shape.num_layers} layers, hidden size "
            f"{shape.hidden_size} and {shape.num_pieces:,} pieces",
            do="correct [model] in the recipe or name another folder",
        )
    return found


def _wrong_sizes(wanted: dict[str, tuple[int, ...]], found: dict[str, Path]) -> list[str]:
    from safetensors import safe_open

    wrong: list[str] = []
    for path in sorted(set(found.values())):
        with safe_open(path, "numpy") as file:
            for name in (name for name in wanted if found[name] == path):
                size = tuple(file.get_slice(name).get_shape())
                if size != wanted[name]:
                    wrong.append(f"{name} is {size}, not {wanted[name]}")
    return wrong


def check_shape(folder: Path, wanted: LlamaShape) -> LlamaShape:
    """The folder's shape, after comparing it with the recipe's.

    Raises:
        TongwenError: a size differs; the message names each.
    """
    shape = read_shape(folder)
    names = ("num_layers", "hidden_size", "ffn_hidden_size", "num_attention_heads")
    more = ("num_query_groups", "rope_theta", "norm_epsilon", "num_pieces")
    differences = [
        f"{name}: the folder has {getattr(shape, name)}, the stage needs {getattr(wanted, name)}"
        for name in (*names, *more)
        if getattr(shape, name) != getattr(wanted, name)
    ]
    if differences:
        raise TongwenError(
            "the starting model is not the one the recipe describes:\n    "
            + "\n    ".join(differences),
            where=str(folder / "config.json"),
            expected="the sizes of [model] and of the stage's vocabulary",
            do="correct [model] in the recipe or name another base model",
        )
    return shape


def write_index(folder: Path, shape: LlamaShape, bytes_per_number: int) -> None:
    """Write the index of a folder that holds one file for each part of `file_of`."""
    tensors = list_tensors(shape)
    numbers = sum(math.prod(size) for size in tensors.values())
    table = {
        "metadata": {"total_size": numbers * bytes_per_number},
        "weight_map": {name: file_of(shape, name) for name in sorted(tensors)},
    }
    text = json.dumps(table, indent=2) + "\n"
    (folder / INDEX).write_text(text, encoding="utf-8")


def copy_files(folder: Path, files: Iterable[Path]) -> None:
    """Copy tokenizer files beside the weights."""
    for file in files:
        shutil.copyfile(file, folder / file.name)


def write_random_model(folder: Path, model: Model, num_pieces: int, seed: int) -> LlamaShape:
    """Write a Hugging Face folder of random float32 weights; returns its shape.

    A tensor depends on the seed, its place in the model and its size only.  One layer is in
    memory at a time.
    """
    from safetensors.numpy import save_file

    shape = LlamaShape.from_section(model, num_pieces)
    folder.mkdir(parents=True, exist_ok=True)
    sizes, files = list_tensors(shape), dict[str, dict[str, int]]()
    for number, name in enumerate(sizes):
        files.setdefault(file_of(shape, name), {})[name] = number
    for file, names in files.items():
        tensors = {
            name: _draw(sizes[name], _std(name, model), (seed, number))
            for name, number in names.items()
        }
        save_file(tensors, folder / file, metadata={"format": "pt"})
    write_config(folder, shape, "float32")
    write_index(folder, shape, bytes_per_number=4)
    return shape


def _std(name: str, model: Model) -> float:
    if name.endswith("norm.weight"):
        return 0.0
    scale = math.sqrt(2 * model.num_layers) if name.endswith(_RESIDUAL) else 1.0
    return model.init_std / scale


def _draw(size: tuple[int, ...], std: float, seed: tuple[int, int]) -> NDArray[np.float32]:
    import numpy as np

    if std == 0.0:
        return np.ones(size, np.float32)
    drawn = np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
    drawn *= np.float32(std)
    return drawn
