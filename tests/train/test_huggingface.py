"""Hugging Face's LLaMA is the oracle: logits, loss, folders."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from buckets.shards import ShardReader
from train import write_job

pytestmark = pytest.mark.filterwarnings("ignore")


def _load(folder: Path) -> Any:
    """transformers' model of a folder, fp32, one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from transformers import LlamaForCausalLM

        torch.set_num_threads(1)
        return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def _inspect(job: Any) -> dict[str, np.ndarray]:
    command = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr", "127.0.0.1", "--nproc-per-node", str(job.train.num_processes)]
    script = Path(__file__).with_name("inspect_model.py")
    where = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(script), str(write_job(job))],
        env={**os.environ, **where},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(job.out / "found.npz"))


def _logits_of(model: Any, tokens: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(tokens)).logits[0].numpy()


@pytest.fixture(scope="module")
def inspected(planted: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """The planted start folder in Megatron at tensor 2 x pipeline 2 (eight heads, four groups)."""
    out = tmp_path_factory.mktemp("inspected")
    job = planted.job(out, num_processes=4, tensor_parallel=2, pipeline_parallel=2)
    return job, _inspect(job)


def test_logits_are_those_of_transformers(inspected: tuple[Any, dict[str, Any]]) -> None:
    job, found = inspected
    expected = _logits_of(_load(job.start), found["tokens"])
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(found["logits"], expected, rtol=0, atol=2e-5)


def test_packed_documents_do_not_see_each_other(inspected: tuple[Any, dict[str, Any]]) -> None:
    _, found = inspected
    last = found["bounds"][1:] - 1  # these predict a label that has no loss
    kept = np.setdiff1d(np.arange(len(found["packed"])), last)
    assert len(found["bounds"]) > 3
    np.testing.assert_allclose(found["packed"][kept], found["alone"][kept], rtol=0, atol=1e-5)


def test_an_export_gives_the_same_bytes_back(inspected: tuple[Any, dict[str, Any]]) -> None:
    job, _ = inspected
    names = sorted(path.name for path in job.start.iterdir())
    assert names == sorted(path.name for path in (job.out / "model").iterdir())
    for name in names:
        assert (job.out / "model" / name).read_bytes() == (job.start / name).read_bytes(), name


def test_one_tied_file_comes_in_and_goes_out_tied(planted: Any, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    from train.folder import check_folder

    start, job = tmp_path / "tied", planted.job(tmp_path / "out")
    tensors: dict[str, np.ndarray] = {}
    for file in job.start.glob("*.safetensors"):
        tensors |= load_file(file)
    del tensors["lm_head.weight"]
    start.mkdir()
    save_file(tensors, start / "model.safetensors")
    config = json.loads((job.start / "config.json").read_text()) | {"tie_word_embeddings": True}
    (start / "config.json").write_text(json.dumps(config))
    tied = replace(job, start=start, shape=replace(job.shape, tied=True))
    tied = replace(
        tied, train=tied.train.model_copy(update={"num_processes": 2, "pipeline_parallel": 2})
    )
    found = _inspect(tied)
    check_folder(tied.out / "model", tied.shape)
    model = _load(tied.out / "model")
    expected = _logits_of(_load(start), found["tokens"])
    np.testing.assert_allclose(found["logits"], expected, rtol=0, atol=2e-5)
    np.testing.assert_array_equal(_logits_of(model, found["tokens"]), expected)


def test_bits_per_character_are_those_of_transformers(
    planted: Any,
    trained: Callable[[int, int, int], Path],
    read_metrics: Callable[[Path, str], list[dict[str, Any]]],
) -> None:
    """Of the only held-out document of its kind, and of the exported model at the end."""
    import pyarrow.parquet as pq

    out = trained(2, 2, 1)
    rows = pq.read_table(planted.folder / "held_out.parquet").to_pylist()
    first, final = (read_metrics(out, "evaluation")[at] for at in (0, -1))
    for folder, evaluation in ((planted.folder / "start", first), (out / "model", final)):
        model = _load(folder)
        for language in ("zh", "en"):
            chosen = [row for row in rows if row["language"] == language]
            nats = sum(_nats(model, planted.folder / "extended", row) for row in chosen)
            bits = nats / math.log(2) / sum(row["characters"] for row in chosen)
            assert evaluation["bits_per_character"][language] == pytest.approx(bits, abs=1e-5)


def _nats(model: Any, prefix: Path, row: dict[str, Any]) -> float:
    """Loss of one held-out document by itself: no padding, no batch."""
    import torch

    sequence = ShardReader(prefix).read(row["sequence"])
    length = int((~sequence.padding).sum())
    tokens = torch.from_numpy(sequence.tokens[:length].astype(np.int64))[None]
    with torch.no_grad():
        scores = model(tokens).logits[0, :-1].log_softmax(-1)
    losses = -scores[torch.arange(length - 1), tokens[0, 1:]]
    return float(losses[torch.from_numpy(sequence.learn[1:length])].double().sum())
