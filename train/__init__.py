"""train: Megatron-Core training of every stage over the buckets, from and to Hugging Face folders.

Reading order: `shape` (the model in numbers), `folder` (its Hugging Face folder), `job` (one
stage's training as JSON), `steps` and `launch` (start the workers), `worker`, then `loop` with
`data`, `model`, `optimizer`, `forward`, `evaluate`, `checkpoint`, `metrics` and `huggingface`.

Importing this package loads neither torch nor Megatron; a name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.folder import check_folder, write_random_model
    from train.huggingface import export_model, import_weights
    from train.job import Job, read_job, write_job
    from train.launch import run_job
    from train.schedule import learning_rate
    from train.shape import LlamaShape, read_shape
    from train.steps import build_training

_HOME = {
    "LlamaShape": "train.shape",
    "Job": "train.job",
    "build_training": "train.steps",
    "check_folder": "train.folder",
    "export_model": "train.huggingface",
    "import_weights": "train.huggingface",
    "run_job": "train.launch",
    "learning_rate": "train.schedule",
    "read_job": "train.job",
    "read_shape": "train.shape",
    "write_job": "train.job",
    "write_random_model": "train.folder",
}

__all__ = [
    "Job",
    "LlamaShape",
    "build_training",
    "check_folder",
    "export_model",
    "import_weights",
    "learning_rate",
    "read_job",
    "read_shape",
    "run_job",
    "write_job",
    "write_random_model",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'train' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
