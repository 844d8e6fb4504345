"""Every layout trains the same model; a killed training ends with the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tongwen.errors import TongwenError
from train import write_job

Trained = Callable[[int, int, int], Path]
Read = Callable[[Path, str], list[dict[str, Any]]]


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_training_learns(trained: Trained, read_metrics: Read) -> None:
    steps = read_metrics(trained(1, 1, 1), "train")
    assert [step["iteration"] for step in steps] == list(range(1, 13))
    assert [step["bucket"] for step in steps] == [0] * 4 + [1] * 4 + [2] * 4
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.3
    evaluations = read_metrics(trained(1, 1, 1), "evaluation")
    assert [each["iteration"] for each in evaluations] == [0, 6, 12]


@pytest.mark.parametrize("layout", [(2, 2, 1), (1, 1, 2)])
def test_layouts_agree(trained: Trained, read_metrics: Read, layout: tuple[int, int, int]) -> None:
    one, other = trained(1, 1, 1), trained(*layout)
    for left, right in zip(read_metrics(one, "train"), read_metrics(other, "train"), strict=True):
        assert abs(left["loss"] - right["loss"]) < 1e-5
        assert right["grad_norm"] == pytest.approx(left["grad_norm"], rel=1e-4)
        same = ("iteration", "bucket", "tokens", "learning_rate")
        assert [left[name] for name in same] == [right[name] for name in same]
    pairs = zip(read_metrics(one, "evaluation"), read_metrics(other, "evaluation"), strict=True)
    for left, right in pairs:
        for kind in ("bits_per_character", "bits_per_byte", "by_category"):
            assert right[kind] == pytest.approx(left[kind], abs=1e-5)


_PARENT = """
import sys
from pathlib import Path
from train import read_job, run_job
run_job(read_job(Path(sys.argv[1])))
"""


def _start_parent(path: Path) -> subprocess.Popen[bytes]:
    """A process that runs a job, in a process group of its own."""
    where = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(path)],
        env={**os.environ, **where},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )


def test_a_killed_training_goes_on_to_the_same_bytes(
    trained: Trained, planted: Any, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    whole = trained(1, 1, 2)
    job = planted.job(tmp_path, num_processes=2)
    parent = _start_parent(write_job(job))
    metrics = tmp_path / "metrics.jsonl"
    wait_for(lambda: (tmp_path / "checkpoints/iteration-0000004/state.json").exists())
    wait_for(lambda: metrics.read_text().count('"train"') >= 6)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) >= 3
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not any(_is_alive(process) for process in family), 10.0)
    assert not (tmp_path / "model").exists()
    with metrics.open("a") as file:
        file.write('{"event": "tra')  # a line cut off by the kill
    assert _start_parent(job.logs / "job.json").wait() == 0
    assert metrics.read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert _bytes_of(tmp_path / "model") == _bytes_of(whole / "model")
    log = (job.logs / "progress.jsonl").read_text().splitlines()
    assert json.loads(log[0])["iteration"] >= 4


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_dead_worker_is_explained(
    planted: Any, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    import threading

    from train import run_job

    job = planted.job(tmp_path, num_processes=2)

    def kill_one() -> None:
        progress = job.logs / "progress.jsonl"
        wait_for(lambda: progress.exists() and progress.stat().st_size > 0)
        family = psutil.Process().children(recursive=True)
        workers = [each for each in family if "train.worker" in " ".join(each.cmdline())]
        agents = [each for each in family if "train.agent" in " ".join(each.cmdline())]
        chosen = [each for each in workers if each not in agents and each.ppid() == agents[0].pid]
        chosen[-1].kill()

    thread = threading.Thread(target=kill_one)
    thread.start()
    with pytest.raises(
        TongwenError,
        match=r"worker 1 was killed by signal 9|worker 0 lost a worker that was killed",
    ) as caught:
        run_job(job)
    thread.join()
    assert str(job.logs) in str(caught.value)
    assert not [each for each in psutil.Process().children(recursive=True) if _is_alive(each)]
