"""Start a job's workers with torchrun, show their progress and explain their death.

One path for any number of processes.  Workers inherit an environment in which Python does not
look for modules in the working directory (`PYTHONSAFEPATH`), so that a user's own `train.py` or
`buckets/` there is not taken for ours.  Worker 0 appends a line to `logs/progress.jsonl` after
every iteration; the parent follows that file.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tongwen.errors import TongwenError
from tongwen.lock import hold
from tongwen.progress import Advance, progress, say
from train.job import Job, write_job
from train.orphans import PARENT

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 15.0
_TAIL_LINES = 25
_SMALLEST_DISK = 1 << 20
_LOST = re.compile("Connection (reset|closed) by peer")
# Of torchrun's summary.  A worker that is killed takes others with it, whose errors only say that
# a connection was closed.
_KILLED = re.compile(r"Root Cause.*?rank +: (\d+).*?exitcode +: -(\d+)", re.DOTALL)


def run_job(job: Job) -> None:
    """Run a job to its end.

    Raises:
        TongwenError: a worker ended otherwise (the message has the end of its log), another
            command trains in the same folder, or one is changing the shards.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    shards = job.shards[0].parent
    with hold(job.out) as free, hold(shards, shared=True) as unchanging:
        if not free:
            raise _in_use("another command trains this stage already", job.out)
        if not unchanging:
            raise _in_use("the stage's buckets are being changed", shards)
        _run_workers(job)


def _in_use(what: str, folder: Path) -> TongwenError:
    return TongwenError(
        what,
        where=str(folder),
        expected="a folder that nobody else uses",
        do="wait for the other command to end, then run again",
    )


def _run_workers(job: Job) -> None:
    path = write_job(job)
    for old in [*job.logs.glob("error-*"), job.logs / "progress.jsonl"]:
        old.unlink(missing_ok=True)
    with _start(job, path) as process:
        _follow(job, process)
        if process.wait() != 0:
            raise _explain(job, process.returncode)


@contextmanager
def _start(job: Job, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """torchrun's agent; whatever happens in the block, it has ended after it."""
    num_processes = job.train.num_processes
    command = [sys.executable, "-P", "-m", "train.agent", "--standalone", "--nnodes", "1"]
    command += ["--local-addr", "127.0.0.1", "--nproc-per-node", str(num_processes)]
    command += ["-m", "train.worker", str(path)]
    with (job.logs / "launcher.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=_environment(num_processes),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(num_processes: int) -> dict[str, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ours = {
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        PARENT: str(os.getpid()),
        "OMP_NUM_THREADS": str(max(1, (cores or 1) // num_processes)),
        "CUDA_DEVICE_MAX_CONNECTIONS": "1",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        # Logits of hundreds of MB are freed and asked for again at every micro-batch; keeping
        # the pages saves the kernel from clearing them each time.
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    }
    chosen = {**ours, **os.environ, **{name: ours[name] for name in ("PYTHONSAFEPATH", PARENT)}}
    found = _import_path()
    if found is not None:
        old = os.environ.get("PYTHONPATH")
        chosen["PYTHONPATH"] = os.pathsep.join([found, old] if old else [found])
    return chosen


def _import_path() -> str | None:
    """The folder of our packages, where Python does not find it by itself."""
    here = str(Path(__file__).resolve().parents[1])
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return None if here in installed else here


def _follow(job: Job, process: subprocess.Popen[bytes]) -> None:
    """Relay the workers' progress until they have ended."""
    reader = _LineReader(job.logs / "progress.jsonl")
    first: dict[str, Any] | None = None
    while first is None and process.poll() is None:
        first = next(reader.read(), None)
        time.sleep(_POLL_SECONDS)
    if first is None:
        return
    left = int(first["total"]) - int(first["iteration"])
    with progress(f"training {job.stage.name}", total=left, unit="iterations") as advance:
        done = int(first["iteration"])
        if done:
            say(f"      goes on after iteration {done:,}")
        while True:
            ended = process.poll() is not None
            for line in reader.read():
                done = _show(line, done, advance)
            if ended:
                return
            time.sleep(_POLL_SECONDS)


def _show(line: dict[str, Any], done: int, advance: Advance) -> int:
    if "note" in line:
        say(f"      {line['note']}")
    iteration = int(line["iteration"])
    if iteration > done:
        advance(iteration - done)
    return max(done, iteration)


class _LineReader:
    """Whole JSON lines that were appended to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def read(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        for line in whole.splitlines(keepends=True):
            self._offset += len(line)
            yield json.loads(line)


def _explain(job: Job, status: int) -> TongwenError | OSError:
    """Why the workers ended: what one of them says, else the signal that killed one."""
    if shutil.disk_usage(job.out).free < _SMALLEST_DISK:
        # Where nothing can be written, no log says why.
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.out))
    files = sorted(job.logs.glob("error-*.json"))
    errors = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    for error in errors:
        if "known" in error:
            return TongwenError(**error["known"])
    agent = job.logs / "launcher.log"
    text = agent.read_text(encoding="utf-8", errors="replace")
    killed = _KILLED.search(text)
    if killed is not None:
        log = job.logs / f"worker-{killed[1]}.log"
        what = f"worker {killed[1]} was killed by signal {killed[2]}"
        return _failure(job, what, log.read_text(encoding="utf-8", errors="replace"), log)
    if errors:
        first = min(errors, key=lambda error: error["time"])
        log = job.logs / f"worker-{first['rank']}.log"
        # torchrun may see the neighbour that lost a killed worker before the killed one itself.
        how = "lost a worker that was killed" if _LOST.search(first["trace"]) else "failed"
        return _failure(job, f"worker {first['rank']} {how}", first["trace"], log)
    return _failure(job, f"torchrun ended with status {status}", text, agent)


def _failure(job: Job, what: str, text: str, log: Path) -> TongwenError:
    tail = "\n    ".join(text.rstrip().splitlines()[-_TAIL_LINES:])
    return TongwenError(
        f"training {job.stage.name}: {what}; the end of its log:\n    {tail}",
        where=str(log),
        do="see the log (signal 9 often means too little memory), then run again: it goes on from "
        "the newest checkpoint",
    )
