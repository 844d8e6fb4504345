"""Run by torchrun from `test_huggingface.py`: what Megatron makes of a folder, written to files.

Its argument is the path of a job.
"""

from __future__ import annotations

import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from train import cpu, read_job


def main(path: Path) -> None:
    warnings.filterwarnings("ignore")
    cpu.install()
    import torch
    from megatron.core import parallel_state

    from train.data import Sequences, make_batch
    from train.huggingface import export_model, import_weights
    from train.loop import start_processes
    from train.model import build_config, build_model

    job = read_job(path)
    engine = start_processes(job)
    config = build_config(job.shape, job.train, engine)
    model = build_model(job.shape, config, job.sequence_length)
    import_weights(model, job.start, job.shape)
    sequence = Sequences(job.shards, job.sequence_length, job.shape.num_pieces).read(0)
    bounds = [*np.flatnonzero(sequence.opens).tolist(), job.sequence_length]
    packed = _losses(model, make_batch([sequence], job.sequence_length, engine))
    alone = [
        _losses(model, make_batch([_cut(sequence, start, end)], end - start, engine))
        for start, end in pairwise(bounds)
    ]
    tokens = torch.from_numpy(sequence.tokens.astype(np.int64))[None]
    logits = _logits(model, tokens)
    export_model(model, job, job.out / "model")
    if parallel_state.is_pipeline_last_stage() and (
        parallel_state.get_tensor_model_parallel_rank() == 0
    ):
        np.savez(
            job.out / "found.npz",
            packed=packed,
            alone=np.concatenate(alone),
            bounds=bounds,
            tokens=tokens.numpy(),
            logits=logits,
        )


def _cut(sequence: Any, start: int, end: int) -> Any:
    return type(sequence)(*(value[start:end] for value in vars(sequence).values()))


def _run(model: Any, length: int, call: Any) -> Any:
    import torch
    from megatron.core.pipeline_parallel import get_forward_backward_func

    with torch.no_grad():
        found = get_forward_backward_func()(
            forward_step_func=lambda _, part: (call(part), lambda out, non_loss_data: out),
            data_iterator=iter(()),
            model=model,
            num_microbatches=1,
            seq_length=length,
            micro_batch_size=1,
            forward_only=True,
            collect_non_loss_data=True,
        )
    return found[0] if found else None


def _losses(model: Any, batch: Any) -> Any:
    def call(part: Any) -> Any:
        return part(batch.tokens_BS, batch.positions_BS, batch.hidden_B1SS, labels=batch.labels_BS)

    losses = _run(model, batch.tokens_BS.size(1), call)
    return np.zeros(0) if losses is None else losses.numpy()[0]


def _logits(model: Any, tokens_BS: Any) -> Any:
    """Whole logits [S, pieces] of the sequence as one document, put together from the ranks."""
    import torch
    from megatron.core.tensor_parallel import gather_from_tensor_model_parallel_region

    length = tokens_BS.size(1)
    positions = torch.arange(length)[None]
    logits = _run(model, length, lambda part: part(tokens_BS, positions, None))
    if logits is None:
        return None
    return gather_from_tensor_model_parallel_region(logits)[0].numpy()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
