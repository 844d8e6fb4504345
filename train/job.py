"""One stage's training as a JSON file: everything that a worker process needs to know.

The parent resolves the recipe once and writes `logs/job.json`; workers read that and nothing
else, so a training can be started again by hand, or on other machines, from this one file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tongwen.errors import TongwenError
from tongwen.recipe import Stage, Train
from tongwen.record import write_text
from train.shape import LlamaShape

_SHARED_WITH_RESULT = ("shape", "train", "stage", "seed", "sequence_length", "inputs")
_ONLY_OF_BUCKETS = ("mixture", "tokens", "buckets", "curriculum")
"""Keys of a stage that act through its shards alone; a remix changes them while it is trained."""


@dataclass(frozen=True)
class Job:
    """A training to be done.

    Attributes:
        shards: prefixes of the stage's buckets, in their order.
        held_out: prefix of the held-out shard in the stage's vocabulary.
        held_out_table: `held_out.parquet`, what each of its sequences is.
        start: Hugging Face folder of the weights to start from.
        out: folder of the results.
        tokenizer_files: copied beside the exported weights.
        inputs: identity of what is read (the fingerprint covers it, paths are not covered).
        hashes: of each shard, as the buckets' record has it; empty where nothing is recorded.
        taken: numbers of the shards that a takedown has changed.
    """

    shape: LlamaShape
    train: Train
    stage: Stage
    shards: tuple[Path, ...]
    held_out: Path
    held_out_table: Path
    start: Path
    out: Path
    tokenizer_files: tuple[Path, ...]
    seed: int
    sequence_length: int
    inputs: str = ""
    hashes: tuple[str, ...] = ()
    taken: tuple[int, ...] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that changes the result; a checkpoint is resumed only if it is equal.

        What a stage's shards hold is not in it: checkpoints note that themselves (`stream`).
        """
        table = {key: value for key, value in _dump(self).items() if key in _SHARED_WITH_RESULT}
        table["stage"] = select_stage(table["stage"])
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    @property
    def dtype(self) -> str:
        """Type of the exported weights."""
        return "bfloat16" if self.train.precision == "bf16" else "float32"


def select_stage(stage: dict[str, Any]) -> dict[str, Any]:
    """The keys of a stage that a training depends on, beside its shards."""
    return {key: value for key, value in stage.items() if key not in _ONLY_OF_BUCKETS}


def _dump(job: Job) -> dict[str, Any]:
    table = {**vars(job), "shape": asdict(job.shape)}
    for name in ("train", "stage"):
        table[name] = getattr(job, name).model_dump(mode="json")
    return table


def write_job(job: Job) -> Path:
    """Write `logs/job.json`; returns its path."""
    path = job.logs / "job.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {**_dump(job), "fingerprint": job.fingerprint}
    write_text(path, json.dumps(table, indent=1, sort_keys=True, default=_as_text) + "\n")
    return path


def _as_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} has no place in a job")


def read_job(path: Path) -> Job:
    """Read what `write_job` wrote.

    Raises:
        TongwenError: it is not a job.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        table.pop("fingerprint", None)
        for name in ("held_out", "held_out_table", "start", "out"):
            table[name] = Path(table[name])
        for name in ("shards", "tokenizer_files"):
            table[name] = tuple(Path(item) for item in table[name])
        for name in ("hashes", "taken"):
            table[name] = tuple(table[name])
        sections = {
            "shape": LlamaShape(**table.pop("shape")),
            "train": Train.model_validate(table.pop("train")),
            "stage": Stage.model_validate(table.pop("stage")),
        }
        return Job(**sections, **table)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TongwenError(
            f"the job cannot be read: {error}", where=str(path), expected="a job.json of tongwen"
        ) from None
