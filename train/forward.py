"""One pass of micro-batches through the pipeline schedule, and the sums that come out of it.

Every rank reads every batch of its data-parallel rank itself, because each pipeline stage needs
the documents' boundaries; only activations travel between stages.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.pipeline_parallel import get_forward_backward_func

from train.data import Batch

LossParts = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]


def run_schedule(
    model: torch.nn.Module,
    batches: Iterator[Batch],
    *,
    num_micro_batches: int,
    length: int,
    micro_batch_size: int,
    train: bool,
) -> list[Any]:
    """Megatron's schedule for the layout.

    Returns:
        On the last stage one entry for each micro-batch: with `train` the sum of its loss and its
        number of tokens, else the loss of each of its sequences (float64, nats); nothing elsewhere.
    """
    schedule = get_forward_backward_func()
    return schedule(
        forward_step_func=_forward_step,
        data_iterator=batches,
        model=model,
        num_microbatches=num_micro_batches,
        seq_length=length,
        micro_batch_size=micro_batch_size,
        forward_only=not train,
        collect_non_loss_data=not train,
    )


def _forward_step(batches: Iterator[Batch], model: torch.nn.Module) -> tuple[torch.Tensor, Any]:
    batch = next(batches)
    more = {} if batch.packing is None else {"packed_seq_params": batch.packing}
    output = model(
        batch.tokens_BS, batch.positions_BS, batch.hidden_B1SS, labels=batch.labels_BS, **more
    )
    return output, partial(_sum_loss, batch)


def _sum_loss(
    batch: Batch, loss_BS: torch.Tensor, non_loss_data: bool = False
) -> LossParts | torch.Tensor:
    masked_BS = loss_BS.float() * batch.loss_mask_BS
    if non_loss_data:
        return masked_BS.double().view(batch.num_sequences, -1).sum(1)
    total, count = masked_BS.sum(), batch.loss_mask_BS.sum()
    parts = torch.stack([total.detach().double(), count.double()])
    return total, count.int(), {"sums": parts}


def share_sums(outputs: list[Any], device: torch.device) -> tuple[float, int]:
    """Loss (nats) and tokens of the whole global batch, on every rank."""
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for output in outputs:
        sums += output["sums"]
    share_from_last_stage(sums)
    return float(sums[0]), int(sums[1])


def share_from_last_stage(values: torch.Tensor) -> None:
    """Add the data-parallel ranks' values up on the last stage and send the sum to all stages."""
    if parallel_state.is_pipeline_last_stage():
        dist.all_reduce(values, group=parallel_state.get_data_parallel_group())
    last = parallel_state.get_pipeline_model_parallel_last_rank()
    group: Any = parallel_state.get_pipeline_model_parallel_group()
    dist.broadcast(values, src=last, group=group)
