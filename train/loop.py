"""The training of one stage, from its job to the exported model, as every worker runs it.

    folder -> model -> gradient buffers -> optimizer -> (newest checkpoint)
    each iteration: the rate, micro-batches through the schedule, the step; now and then an
    evaluation and a checkpoint, in this order; at the end the Hugging Face folder

`train.cpu.install` must have been called before this module is imported.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state, tensor_parallel
from megatron.core.distributed import DistributedDataParallel
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import MegatronOptimizer

from tongwen.errors import TongwenError
from train.checkpoint import load_checkpoint, save_checkpoint
from train.data import Batch, Sequences, Slice, make_batch
from train.evaluate import HeldOut, evaluate, read_held_out
from train.forward import run_schedule, share_sums
from train.huggingface import export_model, import_weights
from train.job import Job
from train.metrics import Position, Recorder
from train.model import (
    Engine,
    build_config,
    build_model,
    find_engine,
    freeze_layers,
    wrap_precision,
)
from train.optimizer import build_optimizer, set_rates, wrap_gradients
from train.schedule import learning_rate
from train.shape import check_vocabulary
from train.stream import Stream, check_stream

_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class Trainer:
    """What a worker trains with.

    Attributes:
        model: this rank's part of the model, bare.
        wrapped: the same with precision and gradient buffers around it.
        recorder: on worker 0 only.
        num_iterations: of the stage.
        stream: the shards that the sequences come from, as a checkpoint notes them.
    """

    job: Job
    engine: Engine
    model: GPTModel
    wrapped: DistributedDataParallel
    optimizer: MegatronOptimizer
    sequences: Sequences
    held_out: HeldOut
    slice: Slice
    recorder: Recorder | None
    num_iterations: int
    stream: Stream


def train(job: Job) -> None:
    """Do a job; every worker calls this.

    Raises:
        TongwenError: the loss is not finite, or something that the job names is not as it should
            be.
    """
    engine = start_processes(job)
    trainer, position = _prepare(job, engine)
    if position.iteration == 0:
        _evaluate(trainer, position)
    while position.iteration < trainer.num_iterations:
        position = _train_iteration(trainer, position)
        _evaluate_and_save(trainer, position)
    export_model(trainer.model, job, job.out / "model")
    if trainer.recorder is not None:
        trainer.recorder.close()
    dist.barrier()
    parallel_state.destroy_model_parallel()
    dist.destroy_process_group()


def start_processes(job: Job) -> Engine:
    """Join the other workers and set the layout up."""
    check_vocabulary(job.shape, job.train)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl", timeout=_TIMEOUT)
    else:
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Without this torch fills every empty tensor, so that nothing can depend on it.
        settings: Any = torch.utils.deterministic
        settings.fill_uninitialized_memory = False
        dist.init_process_group("gloo", timeout=_TIMEOUT)
    parallel_state.initialize_model_parallel(job.train.tensor_parallel, job.train.pipeline_parallel)
    tensor_parallel.model_parallel_cuda_manual_seed(job.seed)
    torch.manual_seed(job.seed)
    return find_engine()


def _prepare(job: Job, engine: Engine) -> tuple[Trainer, Position]:
    config = build_config(job.shape, job.train, engine)
    model = build_model(job.shape, config, job.sequence_length)
    import_weights(model, job.start, job.shape)
    if job.stage.trainable == "embeddings":
        freeze_layers(model)
    wrapped = wrap_gradients(wrap_precision(model, config), config, job.train)
    optimizer = build_optimizer(wrapped, config, job.train, job.stage)
    position, before = load_checkpoint(model, optimizer, job)
    sequences = Sequences(job.shards, job.sequence_length, job.shape.num_pieces)
    stream = Stream(sequences.counts, job.hashes or ("",) * len(job.shards))
    _check_stream(job, before, stream, position)
    num_iterations = math.ceil(len(sequences) / job.train.global_batch_size)
    trainer = Trainer(
        job=job,
        engine=engine,
        model=model,
        wrapped=wrapped,
        optimizer=optimizer,
        sequences=sequences,
        held_out=read_held_out(job),
        slice=_own_slice(job),
        recorder=Recorder(job, position, num_iterations) if dist.get_rank() == 0 else None,
        num_iterations=num_iterations,
        stream=stream,
    )
    if before is not None and before != stream and trainer.recorder is not None:
        trainer.recorder.record_change(position, before, stream)
    return trainer, position


def _check_stream(job: Job, before: Stream | None, now: Stream, position: Position) -> None:
    """Raise where shards are others now that were begun, or where nothing is left to train on."""
    read = position.iteration * job.train.global_batch_size
    if before is not None:
        check_stream(before, now, read, job.taken)
    if read and read >= now.total:
        raise TongwenError(
            f"{read:,} sequences were read already, and the buckets have {now.total:,} now",
            where=str(job.shards[0].parent),
            expected="sequences after those that were read",
            do="give the stage more tokens and buckets: tongwen buckets remix RECIPE",
        )


def _own_slice(job: Job) -> Slice:
    return Slice(
        job.train.global_batch_size,
        job.train.micro_batch_size,
        parallel_state.get_data_parallel_rank(),
        parallel_state.get_data_parallel_world_size(),
    )


def _read_batches(trainer: Trainer, iteration: int) -> Iterator[Batch]:
    for indices in trainer.slice.indices(iteration):
        items = [trainer.sequences.read(index) for index in indices]
        yield make_batch(items, trainer.sequences.length, trainer.engine)


def _train_iteration(trainer: Trainer, position: Position) -> Position:
    """One optimizer step; returns the position after it."""
    job, iteration = trainer.job, position.iteration
    rate = learning_rate(job.stage, iteration, trainer.num_iterations)
    loss, num_tokens = _pass_gradients(trainer, iteration)
    set_rates(trainer.optimizer, rate, job.train.weight_decay)
    done: Any = trainer.optimizer.step()
    norm = float(done[1] or 0.0)
    _check_finite(trainer, iteration, gradient_norm=norm)
    tokens = position.tokens + num_tokens
    position = replace(position, iteration=iteration + 1, tokens=tokens)
    if trainer.recorder is not None:
        last = position.iteration == trainer.num_iterations
        trainer.recorder.record_step(
            position,
            bucket=trainer.sequences.bucket_of(iteration * job.train.global_batch_size),
            loss=loss,
            learning_rate=rate,
            grad_norm=norm,
            num_tokens=job.train.global_batch_size * job.sequence_length,
            log=last or position.iteration % job.train.log_every == 0,
        )
    return position


def _pass_gradients(trainer: Trainer, iteration: int) -> tuple[float, int]:
    """Forward and backward of the global batch; returns loss per token and the tokens with loss."""
    trainer.wrapped.zero_grad_buffer()
    trainer.optimizer.zero_grad()
    size, packs = trainer.slice.micro_batch_size, trainer.engine.packs
    outputs = run_schedule(
        trainer.wrapped,
        _read_batches(trainer, iteration),
        num_micro_batches=trainer.slice.num_micro_batches,
        length=trainer.sequences.length * (size if packs else 1),
        micro_batch_size=1 if packs else size,
        train=True,
    )
    total, num_tokens = share_sums(outputs, trainer.engine.device)
    loss = total / max(1, num_tokens)
    _check_finite(trainer, iteration, loss=loss)
    return loss, num_tokens


def _check_finite(trainer: Trainer, iteration: int, **values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            bucket = trainer.sequences.bucket_of(iteration * trainer.slice.global_batch_size)
            raise TongwenError(
                f"{name.replace('_', ' ')} is {value} in iteration {iteration + 1}",
                where=f"stage {trainer.job.stage.name}, bucket {bucket}",
                expected="a finite number",
                do="lower the stage's learning_rate, or warm up for longer",
            )


def _evaluate(trainer: Trainer, position: Position) -> None:
    found = evaluate(trainer.wrapped, trainer.held_out, trainer.job, trainer.engine)
    _check_finite(trainer, max(0, position.iteration - 1), **found.bits_per_character)
    if trainer.recorder is not None:
        trainer.recorder.record_evaluation(position, found)


def _evaluate_and_save(trainer: Trainer, position: Position) -> None:
    settings, iteration = trainer.job.train, position.iteration
    last = iteration == trainer.num_iterations
    if last or iteration % settings.evaluate_every == 0:
        _evaluate(trainer, position)
    if iteration % settings.checkpoint_every == 0 and not last:
        if trainer.recorder is not None:
            position = replace(position, metrics_bytes=trainer.recorder.metrics_bytes)
        save_checkpoint(trainer.model, trainer.optimizer, trainer.job, position, trainer.stream)
        if trainer.recorder is not None:
            trainer.recorder.restart_clock()
