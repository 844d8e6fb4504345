"""Hugging Face LLaMA folder <-> Megatron's GPTModel at any tensor x pipeline layout.

Megatron splits tensors over ranks and joins some: q, k and v of one query group lie together, and
so do the gate and the up projection.  Each rank reads only the slices it owns.  On export the ranks
of a pipeline stage put one tensor together at a time and keep one file (a layer) in memory, so the
whole model is never in one process's memory.  Files and bytes do not depend on the layout.

Names of Transformer Engine's fused layers are known too (those have not been run here).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from safetensors import safe_open
from safetensors.torch import save_file

from train.folder import check_folder, copy_files, write_index
from train.job import Job
from train.shape import EMBEDDING, FINAL_NORM, OUTPUT, LlamaShape, file_of, write_config

_PLAIN = {
    "embedding.word_embeddings.weight": EMBEDDING,
    "output_layer.weight": OUTPUT,
    "decoder.final_layernorm.weight": FINAL_NORM,
}
_LAYER = {
    "input_layernorm.weight": ["input_layernorm"],
    "self_attention.linear_qkv.layer_norm_weight": ["input_layernorm"],  # Transformer Engine
    "self_attention.linear_qkv.weight": [
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
    ],
    "self_attention.linear_proj.weight": ["self_attn.o_proj"],
    "pre_mlp_layernorm.weight": ["post_attention_layernorm"],
    "mlp.linear_fc1.layer_norm_weight": ["post_attention_layernorm"],  # Transformer Engine
    "mlp.linear_fc1.weight": ["mlp.gate_proj", "mlp.up_proj"],
    "mlp.linear_fc2.weight": ["mlp.down_proj"],
}
_QKV = 3


def find_names(model: GPTModel, name: str, *, tied: bool) -> list[str]:
    """Hugging Face's names of what a parameter of this rank's part holds."""
    if name in _PLAIN:
        return [EMBEDDING if tied and _PLAIN[name] == OUTPUT else _PLAIN[name]]
    match = re.fullmatch(r"decoder\.layers\.(\d+)\.(.+)", name)
    assert match is not None and match[2] in _LAYER, f"unknown parameter {name}"
    block: Any = model.decoder.layers[int(match[1])]
    layer = block.layer_number - 1
    return [f"model.layers.{layer}.{part}.weight" for part in _LAYER[match[2]]]


def import_weights(model: GPTModel, folder: Path, shape: LlamaShape) -> None:
    """Fill this rank's part of the model from a Hugging Face folder.

    Raises:
        TongwenError: the folder's tensors are not those of the shape.
    """
    files = check_folder(folder, shape)
    with torch.no_grad():
        for name, param in model.named_parameters():
            names = find_names(model, name, tied=shape.tied)
            parts = [_read_part(files[each], each, param) for each in names]
            param.copy_(_join(parts, shape.num_query_groups))


def _read_part(path: Path, name: str, param: torch.Tensor) -> torch.Tensor:
    """This rank's slice of a tensor."""
    with safe_open(path, "pt") as file:
        tensor = file.get_slice(name)
        if not getattr(param, "tensor_model_parallel", False):
            return tensor[:]
        axis = getattr(param, "partition_dim", 0)
        size = tensor.get_shape()[axis] // parallel_state.get_tensor_model_parallel_world_size()
        start = size * parallel_state.get_tensor_model_parallel_rank()
        window = slice(start, start + size)
        return tensor[window] if axis == 0 else tensor[:, window]


def _join(parts: list[torch.Tensor], num_query_groups: int) -> torch.Tensor:
    """Slices of Hugging Face's tensors -> one Megatron parameter."""
    if len(parts) < _QKV:
        return torch.cat(parts)
    groups = num_query_groups // parallel_state.get_tensor_model_parallel_world_size()
    grouped = [part.unflatten(0, (groups, -1)) for part in parts]
    return torch.cat(grouped, 1).flatten(0, 1)


def _split(
    pieces: list[torch.Tensor], param: torch.Tensor, names: list[str], shape: LlamaShape
) -> list[torch.Tensor]:
    """All tensor-parallel ranks' pieces of a parameter -> Hugging Face's whole tensors."""
    if not getattr(param, "tensor_model_parallel", False):
        return pieces[:1]
    if len(names) == _QKV:
        grouped = torch.cat(pieces).unflatten(0, (shape.num_query_groups, -1))
        heads = shape.num_attention_heads // shape.num_query_groups
        sizes = [heads * shape.head_size, shape.head_size, shape.head_size]
        return [part.flatten(0, 1) for part in grouped.split(sizes, 1)]
    axis = getattr(param, "partition_dim", 0)
    halves = [piece.chunk(len(names)) for piece in pieces]
    return [torch.cat(same, axis) for same in zip(*halves, strict=True)]


def export_model(model: GPTModel, job: Job, folder: Path) -> None:
    """Write the model as a Hugging Face folder; every rank of the training calls this.

    The folder appears whole or not at all.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    if dist.get_rank() == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    dist.barrier()
    if parallel_state.get_data_parallel_rank() == 0:
        for file, tensors in _gather_files(model, job):
            if parallel_state.get_tensor_model_parallel_rank() == 0:
                save_file(tensors, partial / file, metadata={"format": "pt"})
    dist.barrier()
    if dist.get_rank() == 0:
        write_config(partial, job.shape, job.dtype)
        write_index(partial, job.shape, bytes_per_number=2 if job.dtype == "bfloat16" else 4)
        copy_files(partial, job.tokenizer_files)
        partial.rename(folder)
    dist.barrier()


def _gather_files(model: GPTModel, job: Job) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Each file of this pipeline stage with its whole tensors."""
    files: dict[str, list[tuple[list[str], torch.Tensor]]] = {}
    for name, param in model.named_parameters():
        names = find_names(model, name, tied=job.shape.tied)
        if name == "output_layer.weight" and job.shape.tied:
            continue
        files.setdefault(file_of(job.shape, names[0]), []).append((names, param))
    for file, entries in files.items():
        tensors: dict[str, torch.Tensor] = {}
        for names, param in entries:
            whole = _split(_gather(param), param, names, job.shape)
            dtype = getattr(torch, job.dtype)
            tensors |= {
                name: tensor.to("cpu", dtype).contiguous()
                for name, tensor in zip(names, whole, strict=True)
            }
        yield file, tensors


def _gather(param: torch.Tensor) -> list[torch.Tensor]:
    group: Any = parallel_state.get_tensor_model_parallel_group()
    pieces = [torch.empty_like(param) for _ in range(dist.get_world_size(group))]
    dist.all_gather(pieces, param.detach().contiguous(), group=group)
    return pieces
