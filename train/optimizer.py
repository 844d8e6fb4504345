"""Megatron's gradient buffers, its (distributed) Adam, and the rates set on them.

Gradients are accumulated and reduced in fp32.  Overlapping their reduction with the backward pass
is a GPU matter: gloo has no streams to overlap.
"""

from __future__ import annotations

from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.distributed import (
    DistributedDataParallel,
    DistributedDataParallelConfig,
    finalize_model_grads,
)
from megatron.core.optimizer import MegatronOptimizer, OptimizerConfig, get_megatron_optimizer
from megatron.core.transformer.transformer_config import TransformerConfig

from tongwen.recipe import Stage, Train


def wrap_gradients(
    module: torch.nn.Module, config: TransformerConfig, train: Train
) -> DistributedDataParallel:
    """Megatron's DDP around this rank's part of the model."""
    several = parallel_state.get_data_parallel_world_size() > 1
    settings = DistributedDataParallelConfig(
        grad_reduce_in_fp32=True,
        use_distributed_optimizer=train.distributed_optimizer,
        overlap_grad_reduce=several and torch.cuda.is_available(),
        # A loss that is not finite stops the run in `loop`, with a message that names it.
        check_for_nan_in_grad=False,
    )
    model = DistributedDataParallel(config, settings, module)
    if settings.overlap_grad_reduce:
        config.no_sync_func = model.no_sync
        config.grad_sync_func = model.start_grad_sync
    return model


def build_optimizer(
    model: DistributedDataParallel, config: TransformerConfig, train: Train, stage: Stage
) -> MegatronOptimizer:
    """Adam over what may learn, with decoupled weight decay (none on norms)."""
    settings = OptimizerConfig(
        optimizer="adam",
        lr=stage.learning_rate,
        min_lr=stage.min_learning_rate,
        weight_decay=train.weight_decay,
        adam_beta1=train.adam_beta1,
        adam_beta2=train.adam_beta2,
        adam_eps=train.adam_epsilon,
        clip_grad=train.clip_grad,
        bf16=train.precision == "bf16",
        params_dtype=config.params_dtype,
        use_distributed_optimizer=train.distributed_optimizer,
    )
    optimizer = get_megatron_optimizer(settings, [model])
    config.finalize_model_grads_func = finalize_model_grads
    config.grad_scale_func = optimizer.scale_loss
    return optimizer


def set_rates(optimizer: MegatronOptimizer, rate: float, weight_decay: float) -> None:
    """Set the learning rate and the weight decay of every group, times the group's factors."""
    groups: list[dict[str, Any]] = optimizer.param_groups
    for group in groups:
        group["lr"] = rate * group.get("lr_mult", 1.0)
        group["weight_decay"] = weight_decay * group.get("wd_mult", 1.0)
