"""LLaMA as Megatron-Core's GPTModel: every flag is decided here.

The vocabulary is never padded: its size must divide by the tensor-parallel size (69,104 =
16 x 4,319 does for 1, 2, 4, 8 and 16).  Padded logits would enter the softmax.

On CPU, and on GPU without Transformer Engine, layers are Megatron's own ("local spec") and packed
documents are kept apart by a dense block-diagonal mask, whose price is the whole square of the
sequence length.  With Transformer Engine on a GPU they are kept apart by `PackedSeqParams` (its
variable-length attention), and sequence parallelism is on where tensors are split.  That second
path follows Megatron's documents and has not been run on a GPU by this project's tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from megatron.core import parallel_state, tensor_parallel
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import (
    get_gpt_layer_local_spec,
    get_gpt_layer_with_transformer_engine_spec,
)
from megatron.core.transformer.module import Float16Module
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_config import TransformerConfig

from tongwen.recipe import Train
from train.shape import LlamaShape


@dataclass(frozen=True)
class Engine:
    """What the machine offers: the device, and whether Transformer Engine runs the layers."""

    device: torch.device
    transformer_engine: bool

    @property
    def packs(self) -> bool:
        """Documents are told apart by `PackedSeqParams`, not by a mask."""
        return self.transformer_engine


def find_engine() -> Engine:
    """CUDA where there is a GPU; Transformer Engine where it can be imported there."""
    if not torch.cuda.is_available():
        return Engine(torch.device("cpu"), transformer_engine=False)
    from importlib.util import find_spec

    found = find_spec("transformer_engine") is not None
    return Engine(torch.device("cuda", torch.cuda.current_device()), found)


def build_config(shape: LlamaShape, train: Train, engine: Engine) -> TransformerConfig:
    """Megatron's configuration of a LLaMA."""
    dtype = torch.bfloat16 if train.precision == "bf16" else torch.float32
    return TransformerConfig(**_sizes(shape), **_layout(train, engine), **_types(dtype), **_OFF)


def _sizes(shape: LlamaShape) -> dict[str, Any]:
    return {
        "num_layers": shape.num_layers,
        "hidden_size": shape.hidden_size,
        "ffn_hidden_size": shape.ffn_hidden_size,
        "num_attention_heads": shape.num_attention_heads,
        "num_query_groups": shape.num_query_groups,
        "layernorm_epsilon": shape.norm_epsilon,
        # The four that make a GPT a LLaMA: RMSNorm, SwiGLU (two flags), no biases.
        "normalization": "RMSNorm",
        "gated_linear_unit": True,
        "activation_func": F.silu,
        "add_bias_linear": False,
        # LLaMA trains without dropout; so a run needs no random state to be repeatable.
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
    }


def _layout(train: Train, engine: Engine) -> dict[str, Any]:
    return {
        "tensor_model_parallel_size": train.tensor_parallel,
        "pipeline_model_parallel_size": train.pipeline_parallel,
        # Splits the norms' activations too; Megatron's own norm refuses it, TE's does not.
        "sequence_parallel": engine.transformer_engine and train.tensor_parallel > 1,
        # Parameters are made on the device that exists, and not filled: every one of them is
        # read from the starting folder.  `perform_initialization=False` would say so too, but
        # then Megatron does not mark which parameters are split over the tensor-parallel ranks,
        # and the gradients' norm is silently wrong.
        "use_cpu_initialization": engine.device.type == "cpu",
        "init_method": _leave,
        "output_layer_init_method": _leave,
        "embedding_init_method": _leave,
        # A token counts the same in whatever micro-batch or rank it is; means of micro-batch
        # means are another objective under uneven loss masks.
        "calculate_per_token_loss": True,
        # A stage keeps only the shape of an output it has sent; safe without interleaving.
        "deallocate_pipeline_outputs": True,
    }


def _leave(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _types(dtype: torch.dtype) -> dict[str, Any]:
    return {
        "bf16": dtype == torch.bfloat16,
        "params_dtype": dtype,
        "pipeline_dtype": dtype,
        # bf16 has 8 bits; a softmax over thousands of positions wants more.
        "attention_softmax_in_fp32": True,
    }


# Fused kernels need Apex, Transformer Engine or torch.compile.  They are named, though off is
# Megatron's default, because a default may change: results must not.
_OFF: dict[str, Any] = {
    # The fused softmax of a causal layer ignores the mask it is given, and with it documents.
    "masked_softmax_fusion": False,
    "bias_activation_fusion": False,
    "bias_dropout_fusion": False,
    "apply_rope_fusion": False,
    "gradient_accumulation_fusion": False,
    "persist_layer_norm": False,
    # The fused loss is compiled and gives other last bits.
    "cross_entropy_loss_fusion": False,
}


def build_model(shape: LlamaShape, config: TransformerConfig, length: int) -> GPTModel:
    """This rank's part of the model, its weights not yet set.

    Args:
        length: tokens of a sequence.
    """
    model = GPTModel(
        config=config,
        transformer_layer_spec=_layer_spec(),
        vocab_size=shape.num_pieces,
        max_sequence_length=length,
        pre_process=parallel_state.is_pipeline_first_stage(),
        post_process=parallel_state.is_pipeline_last_stage(),
        share_embeddings_and_output_weights=shape.tied,
        position_embedding_type="rope",
        rotary_base=shape.rope_theta,  # type: ignore[arg-type]
    )
    for param in model.parameters():
        tensor_parallel.set_defaults_if_not_set_tensor_model_parallel_attributes(param)
    return model


def _layer_spec() -> ModuleSpec:
    if find_engine().transformer_engine:
        return get_gpt_layer_with_transformer_engine_spec()
    return get_gpt_layer_local_spec(normalization="RMSNorm")


def freeze_layers(model: GPTModel) -> None:
    """Leave only the input and output embeddings to learn."""
    for name, param in model.named_parameters():
        if not name.startswith(("embedding.", "output_layer.")):
            param.requires_grad = False


def wrap_precision(model: GPTModel, config: TransformerConfig) -> torch.nn.Module:
    """Megatron's bf16 wrapper, which turns inputs to bf16 and the loss back to fp32."""
    return Float16Module(config, model) if config.bf16 else model
