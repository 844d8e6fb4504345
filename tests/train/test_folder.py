"""Hugging Face folders are checked by names and sizes before anything is started."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tongwen.errors import TongwenError
from tongwen.recipe import Model
from train import LlamaShape, check_folder, read_shape, write_random_model

MODEL = Model(
    num_layers=2, hidden_size=32, ffn_hidden_size=40, num_attention_heads=4, num_query_groups=2
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_random_model(tmp_path / "model", MODEL, 50, seed=3)
    return tmp_path / "model"


def _change(folder: Path, file: str, change: Any) -> None:
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)


def test_random_models_are_equal_by_seed(folder: Path, tmp_path: Path) -> None:
    write_random_model(tmp_path / "again", MODEL, 50, seed=3)
    write_random_model(tmp_path / "other", MODEL, 50, seed=4)
    same = [
        (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        for path in sorted(folder.iterdir())
    ]
    assert all(same)
    last = "model-00004-of-00004.safetensors"
    assert (tmp_path / "other" / last).read_bytes() != (folder / last).read_bytes()


def test_random_weights_have_the_asked_spread(tmp_path: Path) -> None:
    model = MODEL.model_copy(update={"hidden_size": 128, "ffn_hidden_size": 256, "init_std": 0.1})
    shape = write_random_model(tmp_path, model, 1000, seed=1)
    assert read_shape(tmp_path) == shape == LlamaShape.from_section(model, 1000)
    tensors = load_file(tmp_path / "model-00002-of-00004.safetensors")
    layer = {name.removeprefix("model.layers.0."): value for name, value in tensors.items()}
    assert layer["mlp.up_proj.weight"].std() == pytest.approx(0.1, rel=0.05)
    assert layer["mlp.down_proj.weight"].std() == pytest.approx(0.1 / 2, rel=0.05)
    assert layer["self_attn.o_proj.weight"].std() == pytest.approx(0.1 / 2, rel=0.05)
    assert (layer["input_layernorm.weight"] == 1).all()


def test_missing_and_unexpected_tensors_are_named(folder: Path) -> None:
    shape = read_shape(folder)
    name = "model.layers.1.mlp.up_proj.weight"

    def swap(tensors: dict[str, np.ndarray]) -> None:
        tensors["model.layers.1.bias"] = tensors.pop(name)

    _change(folder, "model-00003-of-00004.safetensors", swap)
    with pytest.raises(TongwenError) as caught:
        check_folder(folder, shape)
    assert f"missing: {name}" in str(caught.value)
    assert "unexpected: model.layers.1.bias" in str(caught.value)


def test_old_rotary_buffers_are_not_unexpected(folder: Path) -> None:
    def add(tensors: dict[str, np.ndarray]) -> None:
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, np.float32)

    _change(folder, "model-00002-of-00004.safetensors", add)
    check_folder(folder, read_shape(folder))


def test_a_tensor_of_another_size_is_named(folder: Path) -> None:
    def cut(tensors: dict[str, np.ndarray]) -> None:
        tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:40].copy()

    _change(folder, "model-00001-of-00004.safetensors", cut)
    with pytest.raises(TongwenError, match=r"embed_tokens.weight is \(40, 32\), not \(50, 32\)"):
        check_folder(folder, read_shape(folder))


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    shape = read_shape(folder)
    for path in folder.glob("model*"):
        path.unlink()
    with pytest.raises(TongwenError, match="no weights"):
        check_folder(folder, shape)


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "model-00002-of-00004.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TongwenError, match="cannot be read"):
        check_folder(folder, read_shape(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "qwen2"}, "model_type is 'qwen2'"),
        ({"attention_bias": True}, "attention_bias"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "llama3"),
        ({"head_dim": 16}, "head_dim is 16"),
    ],
)
def test_a_model_that_is_no_plain_llama_is_refused(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(TongwenError, match=message):
        read_shape(folder)


def test_configurations_of_transformers_5_are_read(folder: Path) -> None:
    path = folder / "config.json"
    table = json.loads(path.read_text())
    del table["rope_theta"]
    table["rope_parameters"] = {"rope_theta": 500000.0, "rope_type": "default"}
    table["eos_token_id"] = [7, 8]
    path.write_text(json.dumps(table))
    assert read_shape(folder).rope_theta == 500000.0
    assert read_shape(folder).eos == 7


def test_the_package_is_imported_without_torch(tmp_path: Path) -> None:
    code = "import sys, train, train.steps, train.launch; print('torch' in sys.modules)"
    (tmp_path / "train.py").write_text("raise SystemExit('shadowed')")
    from train.launch import _environment

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(1) | {"TONGWEN_PARENT": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "False", done.stderr
    shutil.rmtree(tmp_path)
