"""Megatron-Core on CPU tensors over gloo.

Megatron-Core has no switch for CPU training.  It names CUDA in five ways: factory calls with a
CUDA device, `Tensor.cuda()`, type names such as `torch.cuda.FloatTensor`, the CUDA random state,
and synchronisation.  One `TorchFunctionMode` answers the first three, a few attributes of
`torch.cuda` the others.  `install` does nothing where a GPU exists.

Megatron's distributed optimizer cannot load its own checkpoint with `torch.optim.AdamW`
(megatron/core/optimizer/distrib_optimizer.py asserts one step count for each parameter group), so
`FusedAdam` keeps the contract of Apex and Transformer Engine, where the count lives in the group.

Megatron's own norm of the gradients adds up in fp32, on CPU one number after the other: over the
6.6 million gradients of a large vocabulary's embedding it is wrong by a thousandth, and by another
amount for every layout.  `sum_norm` adds up in fp64.

The price: every torch call of a worker passes through Python once more (some microseconds).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim.adam import adam
from torch.overrides import TorchFunctionMode

_CPU = torch.device("cpu")


def _names_cuda(device: object) -> bool:
    return isinstance(device, str | torch.device) and torch.device(device).type == "cuda"


class CpuForCuda(TorchFunctionMode):
    """Answers requests for CUDA tensors with CPU tensors, on the thread that entered it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.type and len(args) == 1 and not kwargs:
            return func(*args).replace("torch.", "torch.cuda.", 1)
        if _names_cuda(kwargs.get("device")):
            kwargs = {**kwargs, "device": _CPU}
        if kwargs.get("pin_memory"):
            kwargs = {**kwargs, "pin_memory": False}
        if func is torch.Tensor.to and len(args) > 1 and _names_cuda(args[1]):
            args = (args[0], _CPU, *args[2:])
        return func(*args, **kwargs)


class FusedAdam(torch.optim.Optimizer):
    """Apex's and Transformer Engine's Adam, by torch's functional one: the group counts steps."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        adam_w_mode: bool = True,
        **_: Any,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)
        self.adam_w_mode = adam_w_mode

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient; `closure` is not called."""
        for group in self.param_groups:
            done = int(group.get("step", 0))
            params = [param for param in group["params"] if param.grad is not None]
            self._update(group, params, done)
            group["step"] = done + 1

    def _update(self, group: dict[str, Any], params: list[torch.Tensor], done: int) -> None:
        for param in params:
            if not self.state[param]:
                empty = {name: torch.zeros_like(param) for name in ("exp_avg", "exp_avg_sq")}
                self.state[param] = empty
        adam(
            params,
            [param.grad for param in params if param.grad is not None],
            [self.state[param]["exp_avg"] for param in params],
            [self.state[param]["exp_avg_sq"] for param in params],
            [],
            [torch.tensor(float(done)) for _ in params],
            foreach=False,
            decoupled_weight_decay=self.adam_w_mode,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def sum_norm(
    chunk_size: int, noop_flag: torch.Tensor, tensor_lists: list[list[torch.Tensor]], *_: Any
) -> tuple[torch.Tensor, None]:
    """The contract of Apex's `multi_tensor_l2norm`: the norm of all tensors together."""
    norms = [
        torch.linalg.vector_norm(tensor, dtype=torch.float64)
        for tensors in tensor_lists
        for tensor in tensors
    ]
    return torch.linalg.vector_norm(torch.stack(norms)).float().view(1), None


def install() -> None:
    """Prepare this process, once, on its main thread, before any Megatron object is made."""
    if torch.cuda.is_available():
        return
    _replace_cuda_calls()
    _replace_optimizer()
    CpuForCuda().__enter__()


def _replace_cuda_calls() -> None:
    from megatron.core.tensor_parallel import random

    cuda: Any = torch.cuda
    cuda.current_device = lambda: _CPU
    cuda.synchronize = lambda *_: None
    cuda.current_stream = torch.cpu.current_stream  # used by Megatron-Core 0.17 and later
    cuda.get_rng_state = lambda *_: torch.get_rng_state()
    cuda.set_rng_state = torch.set_rng_state
    cuda.manual_seed = torch.manual_seed
    states: Any = random
    states._get_cuda_rng_state = lambda **_: torch.get_rng_state()
    states._set_cuda_rng_state = lambda state, **_: torch.set_rng_state(state)


def _replace_optimizer() -> None:
    from megatron.core import optimizer
    from megatron.core.optimizer import clip_grads, distrib_optimizer

    norms: Any = clip_grads
    norms.l2_norm_impl = sum_norm
    plain: Any = optimizer
    sharded: Any = distrib_optimizer
    plain.Adam = sharded.Adam = FusedAdam
    plain.USING_PYTORCH_OPTIMIZER = False
    sharded.HAVE_APEX_OR_TE = sharded.USING_APEX_OPTIMIZER = True
