"""A LLaMA in numbers: what its `config.json` says and which tensors follow from it.

Hugging Face's names and shapes (transformers/models/llama) are the fixed point of this package:
folders are checked against them before any process starts, and an export writes the same files
whatever the layout, because which tensor lies in which file follows from the shape alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tongwen.errors import TongwenError
from tongwen.recipe import Model, Train

EMBEDDING, FINAL_NORM, OUTPUT = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
_MAX_POSITIONS = 4096


@dataclass(frozen=True)
class LlamaShape:
    """Sizes and constants of a LLaMA.

    Attributes:
        num_pieces: rows of the embeddings; never padded.
        tied: the output layer is the embedding.
        max_positions: longest sequence the model is declared for.
        bos, eos: ids that the exported configuration names.
    """

    num_layers: int
    hidden_size: int
    ffn_hidden_size: int
    num_attention_heads: int
    num_query_groups: int
    rope_theta: float
    norm_epsilon: float
    num_pieces: int
    tied: bool = False
    max_positions: int = _MAX_POSITIONS
    bos: int = 1
    eos: int = 2

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_section(cls, model: Model, num_pieces: int) -> LlamaShape:
        """The shape that `[model]` asks for, untied."""
        names = ("num_layers", "hidden_size", "ffn_hidden_size", "num_attention_heads")
        more = ("num_query_groups", "rope_theta", "norm_epsilon")
        sizes = {name: getattr(model, name) for name in (*names, *more)}
        return cls(**sizes, num_pieces=num_pieces)


def list_tensors(shape: LlamaShape) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a Hugging Face LLaMA, in the order of the layers."""
    tensors: dict[str, tuple[int, ...]] = {EMBEDDING: (shape.num_pieces, shape.hidden_size)}
    for layer in range(shape.num_layers):
        tensors |= _layer_tensors(shape, layer)
    tensors[FINAL_NORM] = (shape.hidden_size,)
    if not shape.tied:
        tensors[OUTPUT] = (shape.num_pieces, shape.hidden_size)
    return tensors


def _layer_tensors(shape: LlamaShape, layer: int) -> dict[str, tuple[int, ...]]:
    hidden, ffn = shape.hidden_size, shape.ffn_hidden_size
    keys = shape.num_query_groups * shape.head_size
    sizes: dict[str, tuple[int, ...]] = {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (ffn, hidden),
        "mlp.up_proj": (ffn, hidden),
        "mlp.down_proj": (hidden, ffn),
    }
    return {f"model.layers.{layer}.{name}.weight": size for name, size in sizes.items()}


def file_of(shape: LlamaShape, tensor: str) -> str:
    """The file of an export that holds a tensor: the embedding, one for each layer, the end.

    A layer lies on one pipeline stage, so every stage writes whole files.
    """
    if tensor == EMBEDDING:
        number = 0
    elif tensor.startswith("model.layers."):
        number = 1 + int(tensor.split(".")[2])
    else:
        number = shape.num_layers + 1
    return f"model-{number + 1:05d}-of-{shape.num_layers + 2:05d}.safetensors"


def check_vocabulary(shape: LlamaShape, train: Train) -> None:
    """Raises TongwenError unless the vocabulary divides over the tensor-parallel ranks."""
    if shape.num_pieces % train.tensor_parallel:
        raise TongwenError(
            f"a vocabulary of {shape.num_pieces:,} pieces does not divide by tensor_parallel = "
            f"{train.tensor_parallel}",
            where="train.tensor_parallel and the stage's vocabulary",
            expected="a divisor: the vocabulary is not padded, padded logits would enter the loss",
            do="change tensor_parallel or tokenizer.size",
        )


def write_config(folder: Path, shape: LlamaShape, dtype: str) -> None:
    """Write `config.json` and `generation_config.json`.

    Args:
        dtype: `float32` or `bfloat16`.
    """
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": shape.bos,
        "eos_token_id": shape.eos,
        "head_dim": shape.head_size,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": shape.ffn_hidden_size,
        "max_position_embeddings": shape.max_positions,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": shape.num_attention_heads,
        "num_hidden_layers": shape.num_layers,
        "num_key_value_heads": shape.num_query_groups,
        "rms_norm_eps": shape.norm_epsilon,
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": dtype,
        "use_cache": True,
        "vocab_size": shape.num_pieces,
    }
    generation = {
        "_from_model_config": True,
        "bos_token_id": shape.bos,
        "eos_token_id": shape.eos,
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", generation)


def _write_json(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_shape(folder: Path) -> LlamaShape:
    """The shape that a folder's `config.json` gives.

    Raises:
        TongwenError: there is none, or it describes a model that is not a plain LLaMA.
    """
    path = folder / "config.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        _check_plain(table, path)
        return _parse_config(table)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TongwenError(
            f"the model's configuration cannot be read: {error!r}",
            where=str(path),
            expected="the config.json of a Hugging Face LLaMA",
        ) from None


def _parse_config(table: dict[str, Any]) -> LlamaShape:
    heads = int(table["num_attention_heads"])
    rope = table.get("rope_parameters") or {}
    return LlamaShape(
        num_layers=int(table["num_hidden_layers"]),
        hidden_size=int(table["hidden_size"]),
        ffn_hidden_size=int(table["intermediate_size"]),
        num_attention_heads=heads,
        num_query_groups=int(table.get("num_key_value_heads") or heads),
        rope_theta=float(table.get("rope_theta") or rope.get("rope_theta") or 10_000.0),
        norm_epsilon=float(table.get("rms_norm_eps", 1e-6)),
        num_pieces=int(table["vocab_size"]),
        tied=bool(table.get("tie_word_embeddings", False)),
        max_positions=int(table.get("max_position_embeddings", _MAX_POSITIONS)),
        bos=_first(table.get("bos_token_id"), 1),
        eos=_first(table.get("eos_token_id"), 2),
    )


def _first(value: Any, otherwise: int) -> int:
    """Llama 3 lists several end ids; the first one stands for them."""
    if isinstance(value, list):
        value = value[0] if value else None
    return otherwise if value is None else int(value)


def _check_plain(table: dict[str, Any], path: Path) -> None:
    rope = table.get("rope_scaling") or table.get("rope_parameters") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    head = table.get("head_dim")
    size, heads = int(table["hidden_size"]), int(table["num_attention_heads"])
    problems = {
        f"model_type is {table.get('model_type')!r}": table.get("model_type") != "llama",
        f"rope scaling of type {kind!r}": kind != "default",
        "attention_bias is true": bool(table.get("attention_bias")),
        "mlp_bias is true": bool(table.get("mlp_bias")),
        f"hidden_act is {table.get('hidden_act')!r}": table.get("hidden_act", "silu") != "silu",
        f"head_dim is {head}": head is not None and int(head) * heads != size,
    }
    found = [name for name, wrong in problems.items() if wrong]
    if found:
        raise TongwenError(
            "the model is not a plain LLaMA: " + "; ".join(found),
            where=str(path),
            expected="model_type llama, SiLU, no biases, default rotary embedding",
        )
