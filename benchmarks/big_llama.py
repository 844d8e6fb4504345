"""Write a LLaMA folder of the shape of LLaMA-2-7B with random weights, bfloat16, shard by shard.

Rows of the embeddings are all drawn; the other matrices repeat a few megabytes of random numbers,
which is all that a program that copies them can see.  Memory: one block.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tokenizer.starting.weights import INDEX, from_float32
from tongwen.progress import progress

HIDDEN, FFN, PIECES = 4096, 11008, 32_000
SHARD = 4_000_000_000
"""Bytes after which a shard is full."""
_BLOCK = 1 << 21


def write_big_llama(folder: Path, layers: int, seed: int = 1) -> int:
    """Write config.json, the shards and their index; returns the bytes of all tensors."""
    folder.mkdir(parents=True)
    shards = _plan_shards(list(list_shapes(layers)))
    names = [f"model-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    total = sum(_measure(shape) for shard in shards for _, shape in shard)
    places = {name: file for file, shard in zip(names, shards, strict=True) for name, _ in shard}
    rng = np.random.default_rng(seed)
    with progress("writing a 7B-shaped model", total=total, unit="B") as advance:
        for name, shard in zip(names, shards, strict=True):
            with (folder / name).open("wb") as file:
                file.write(_make_header(shard))
                for tensor, shape in shard:
                    for block in _draw_blocks(tensor, _measure(shape), rng):
                        file.write(block)
                        advance(len(block))
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(_make_config(layers)), encoding="utf-8")
    return total


def list_shapes(layers: int) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes of the tensors, in the order of the model."""
    yield "model.embed_tokens.weight", [PIECES, HIDDEN]
    for layer in range(layers):
        before = f"model.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield f"{before}.self_attn.{name}.weight", [HIDDEN, HIDDEN]
        yield f"{before}.mlp.gate_proj.weight", [FFN, HIDDEN]
        yield f"{before}.mlp.up_proj.weight", [FFN, HIDDEN]
        yield f"{before}.mlp.down_proj.weight", [HIDDEN, FFN]
        yield f"{before}.input_layernorm.weight", [HIDDEN]
        yield f"{before}.post_attention_layernorm.weight", [HIDDEN]
    yield "model.norm.weight", [HIDDEN]
    yield "lm_head.weight", [PIECES, HIDDEN]


def _measure(shape: list[int]) -> int:
    return 2 * int(np.prod(shape, dtype=np.int64))


def _plan_shards(tensors: list[tuple[str, list[int]]]) -> list[list[tuple[str, list[int]]]]:
    shards: list[list[tuple[str, list[int]]]] = [[]]
    size = 0
    for name, shape in tensors:
        if size + _measure(shape) > SHARD and shards[-1]:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += _measure(shape)
    return shards


def _make_header(shard: list[tuple[str, list[int]]]) -> bytes:
    table: dict[str, object] = {}
    at = 0
    for name, shape in shard:
        size = _measure(shape)
        table[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text


def _draw_blocks(name: str, size: int, rng: np.random.Generator) -> Iterator[bytes]:
    drawn = _draw(rng)
    for begin in range(0, size, len(drawn)):
        if name.endswith(("embed_tokens.weight", "lm_head.weight")) and begin:
            drawn = _draw(rng)
        yield drawn[: size - begin]


def _draw(rng: np.random.Generator) -> bytes:
    return from_float32(rng.standard_normal(_BLOCK, np.float32) * np.float32(0.02), "BF16")


def _make_config(layers: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": layers,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "vocab_size": PIECES,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
