"""What a training leaves to be looked at: metrics, timings, progress, TensorBoard.

`metrics.jsonl` holds no times: a training that is killed and goes on writes the same bytes as one
that is not.  For that, a checkpoint notes how long the file was, and a resumed training cuts it
back to there.  Only worker 0 has a recorder.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from train.job import Job
from train.stream import Stream


@dataclass(frozen=True)
class Position:
    """Where a training is, as a checkpoint notes it.

    Attributes:
        iteration: optimizer steps done.
        tokens: tokens with loss so far.
        metrics_bytes: length of `metrics.jsonl`.
    """

    iteration: int = 0
    tokens: int = 0
    metrics_bytes: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Bits per character and per byte of the held-out documents."""

    bits_per_character: dict[str, float]
    bits_per_byte: dict[str, float]
    by_category: dict[str, float]


class Recorder:
    """Writes the files of a training from a position on."""

    def __init__(self, job: Job, position: Position, num_iterations: int) -> None:
        self._stage, self._num_iterations = job.stage.name, num_iterations
        self._taken = set(job.taken)
        self._cut(job.out, position)
        self._metrics = (job.out / "metrics.jsonl").open("a", encoding="utf-8", newline="\n")
        self._timings = (job.out / "timings.jsonl").open("a", encoding="utf-8", newline="\n")
        self._progress = (job.logs / "progress.jsonl").open("w", encoding="utf-8")
        self._board = _open_board(job, position.iteration)
        self._last = time.monotonic()
        self._report(position.iteration)

    def _cut(self, out: Path, position: Position) -> None:
        with (out / "metrics.jsonl").open("a+b") as file:
            file.truncate(position.metrics_bytes)
        timings, kept = out / "timings.jsonl", []
        for line in timings.read_text(encoding="utf-8").splitlines() if timings.exists() else []:
            with suppress(ValueError, KeyError, TypeError):  # a killed run's unfinished line
                if json.loads(line)["iteration"] <= position.iteration:
                    kept.append(line + "\n")
        timings.write_text("".join(kept), encoding="utf-8")

    @property
    def metrics_bytes(self) -> int:
        """Length of `metrics.jsonl`, after flushing it to disk."""
        self._metrics.flush()
        os.fsync(self._metrics.fileno())
        return self._metrics.tell()

    def record_step(
        self,
        position: Position,
        *,
        bucket: int,
        loss: float,
        learning_rate: float,
        grad_norm: float,
        num_tokens: int,
        log: bool,
    ) -> None:
        """After an optimizer step; `num_tokens` went through the model in it, padding included."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._report(position.iteration, loss=loss)
        if not log:
            return
        values = {"loss": loss, "learning_rate": learning_rate, "grad_norm": grad_norm}
        self._write("train", position, {"bucket": bucket, "tokens": position.tokens, **values})
        rate = round(num_tokens / seconds, 1)
        timing = {"iteration": position.iteration, "seconds": round(seconds, 4)}
        self._timings.write(json.dumps({**timing, "tokens_per_second": rate}) + "\n")
        self._timings.flush()
        values["tokens_per_second"] = rate
        self._draw({f"train/{name}": value for name, value in values.items()}, position)

    def record_evaluation(self, position: Position, found: Evaluation) -> None:
        """After an evaluation."""
        self._write("evaluation", position, {"tokens": position.tokens, **vars(found)})
        shown = {f"bits_per_character/{k}": v for k, v in found.bits_per_character.items()}
        self._draw(shown | {f"category/{k}": v for k, v in found.by_category.items()}, position)
        bits = ", ".join(f"{name} {x:.4f}" for name, x in found.bits_per_character.items())
        self._report(
            position.iteration, note=f"iteration {position.iteration:,}: bits per character {bits}"
        )
        self._last = time.monotonic()

    def record_change(self, position: Position, before: Stream, now: Stream) -> None:
        """After a start over other shards than the checkpoint had before it."""
        changed = [
            number
            for number, (old, new) in enumerate(zip_longest(before.shards, now.shards))
            if old != new
        ]
        values = {
            "buckets": changed,
            "sequences_before": before.total,
            "sequences": now.total,
            "iterations": self._num_iterations,
        }
        # A takedown puts padding in the place of texts; anything else is another mixture.
        event = "forget" if set(changed) <= self._taken else "remix"
        self._write(event, position, values)
        self._report(
            position.iteration,
            note=f"iteration {position.iteration:,}: other buckets from here on, "
            f"{now.total:,} sequences instead of {before.total:,}",
        )

    def restart_clock(self) -> None:
        """What was done since the last step does not count for the next one."""
        self._last = time.monotonic()

    def close(self) -> None:
        for file in (self._metrics, self._timings, self._progress):
            file.close()
        if self._board is not None:
            self._board.close()

    def _write(self, event: str, position: Position, values: dict[str, Any]) -> None:
        head = {"event": event, "stage": self._stage, "iteration": position.iteration}
        line = json.dumps({**head, **values}, ensure_ascii=False, allow_nan=False)
        self._metrics.write(line + "\n")
        self._metrics.flush()

    def _report(self, iteration: int, **values: Any) -> None:
        line = {"iteration": iteration, "total": self._num_iterations, **values}
        self._progress.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._progress.flush()

    def _draw(self, values: dict[str, float], position: Position) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, position.iteration)


def _open_board(job: Job, iteration: int) -> Any:
    """TensorBoard's writer; None where it is not wanted or not installed."""
    if not job.train.tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(job.out / "tensorboard"), purge_step=iteration + 1)
