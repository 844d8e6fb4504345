"""Checkpoints in Megatron's distributed format, complete or absent.

A checkpoint is written under a hidden name and renamed when every rank has finished, with the
training's position in `state.json`.  The optimizer's states are written in the form that another
layout can read (`fully_reshardable`); the price is that they pass through the first data-parallel
rank.  The newest two are kept.
"""

from __future__ import annotations

import json
import queue
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch.distributed as dist
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.strategies import filesystem_async
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import MegatronOptimizer

from tongwen.errors import TongwenError
from tongwen.record import write_text
from train.job import Job
from train.metrics import Position
from train.stream import Stream

_KEPT = 2
_SHARDING = {"distrib_optim_sharding_type": "fully_reshardable"}


def _list_complete(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("iteration-*/state.json"))


def _describe(
    model: GPTModel, optimizer: MegatronOptimizer, job: Job, *, loading: bool
) -> dict[str, Any]:
    """Megatron's sharded description of everything that is saved."""
    state: dict[str, Any] = {"model": model.sharded_state_dict()}
    more = {"metadata": _SHARDING} if job.train.distributed_optimizer else {}
    state["optimizer"] = optimizer.sharded_state_dict(
        {"model": state["model"]}, is_loading=loading, **more
    )
    return state


def save_checkpoint(
    model: GPTModel, optimizer: MegatronOptimizer, job: Job, position: Position, stream: Stream
) -> None:
    """Write a checkpoint; every rank calls this."""
    folder = job.out / "checkpoints"
    place = folder / f"iteration-{position.iteration:07d}"
    partial = folder / f".{place.name}.partial"
    if dist.get_rank() == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    dist.barrier()
    _start_no_manager()
    dist_checkpointing.save(_describe(model, optimizer, job, loading=False), str(partial))
    dist.barrier()
    if dist.get_rank() == 0:
        table = {**asdict(position), "fingerprint": job.fingerprint, "stream": asdict(stream)}
        write_text(partial / "state.json", json.dumps(table) + "\n")
        partial.rename(place)
        for old in _list_complete(folder)[:-_KEPT]:
            shutil.rmtree(old)
    dist.barrier()


def _start_no_manager() -> None:
    """Megatron starts a process on every rank (0.2 GB, seconds) that hands a save's results to an
    asynchronous caller.  Ours waits in the process that saves, where any queue will do."""
    module: Any = filesystem_async
    if module._results_queue is None:
        module._results_queue = queue.SimpleQueue()


def load_checkpoint(
    model: GPTModel, optimizer: MegatronOptimizer, job: Job
) -> tuple[Position, Stream | None]:
    """Go on from the newest complete checkpoint.

    Returns:
        Where it is and what it had read from; the start and None if there is no checkpoint.

    Raises:
        TongwenError: it belongs to another training.
    """
    found = _find_newest(job)
    if found is None:
        return Position(), None
    table = json.loads((found / "state.json").read_text(encoding="utf-8"))
    if table.pop("fingerprint") != job.fingerprint:
        raise TongwenError(
            "the checkpoint belongs to a training with another recipe or other inputs",
            where=str(found),
            expected="the job it was written by",
            do=f"remove {found.parent} to start this training from its beginning",
        )
    stream = Stream.from_lists(table.pop("stream"))
    wanted = _describe(model, optimizer, job, loading=True)
    state: Any = dist_checkpointing.load(wanted, str(found))
    model.load_state_dict(state["model"], strict=True)
    optimizer.load_state_dict(state["optimizer"])
    return Position(**table), stream


def _find_newest(job: Job) -> Path | None:
    """The newest complete checkpoint, chosen by rank 0 for all; leftovers of killed ones go."""
    folder, choice = job.out / "checkpoints", [""]
    if dist.get_rank() == 0:
        for old in folder.glob(".*.partial"):
            shutil.rmtree(old)
        choice = [path.name for path in _list_complete(folder)[-1:]] or [""]
    dist.broadcast_object_list(choice)
    return folder / choice[0] if choice[0] else None
