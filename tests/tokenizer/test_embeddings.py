"""New rows are the means computed by hand; everything else keeps its bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tokenizer.starting.embeddings import extend_model
from tokenizer.starting.weights import from_float32, to_float32
from tongwen.errors import TongwenError

WIDTH = 16


def write_llama(folder: Path, *, rows: int = 32_000, tied: bool, dtype: torch.dtype) -> None:
    config = LlamaConfig(
        vocab_size=rows,
        hidden_size=WIDTH,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=tied,
        dtype=dtype,
    )
    torch.manual_seed(5)
    model: Any = LlamaForCausalLM(config)
    model.to(dtype).save_pretrained(folder, max_shard_size="600KB")


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def spell_by_hand(vocabulary: Path) -> list[list[int]]:
    """Base ids of each new piece, by way of a line break in front, whose tokens are cut off."""
    extended = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary / "tokenizer.model"))
    base = sentencepiece.SentencePieceProcessor(
        model_file=str(vocabulary / "base" / "tokenizer.model")
    )
    lead = len(base.encode("\n"))
    texts = [extended.id_to_piece(number) for number in range(32_000, 32_160)]
    return [base.encode("\n" + text)[lead:] for text in texts]


@pytest.mark.parametrize(
    ("tied", "dtype"),
    [(False, torch.bfloat16), (True, torch.float32), (False, torch.float16)],
)
def test_rows_are_the_means_of_the_base(
    vocabulary: Path, tmp_path: Path, tied: bool, dtype: torch.dtype
) -> None:
    write_llama(tmp_path / "base", tied=tied, dtype=dtype)
    counts = extend_model(tmp_path / "base", vocabulary, tmp_path / "model")
    assert (counts["base_rows"], counts["rows"]) == (32_000, 32_160)
    old, new = read_tensors(tmp_path / "base"), read_tensors(tmp_path / "model")
    spelled = spell_by_hand(vocabulary)
    assert old.keys() == new.keys() and ("lm_head.weight" in new) is not tied
    for name, tensor in old.items():
        assert new[name].dtype == dtype
        assert torch.equal(new[name][: len(tensor)], tensor), name
        if len(tensor) == 32_000:
            assert new[name].shape == (32_160, WIDTH)
            means = [tensor[ids].to(torch.float32).mean(dim=0) for ids in spelled]
            expected = torch.stack(means).to(dtype)
            torch.testing.assert_close(new[name][32_000:], expected, rtol=8e-3, atol=1e-6)
        else:
            assert new[name].shape == tensor.shape


def test_model_loads_with_its_tokenizer(vocabulary: Path, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=False, dtype=torch.bfloat16)
    extend_model(tmp_path / "base", vocabulary, tmp_path / "model")
    index = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    files = {path.name for path in (tmp_path / "model").glob("*.safetensors")}
    assert set(index["weight_map"].values()) == files and len(files) > 1
    sizes = [t.numel() * t.element_size() for t in read_tensors(tmp_path / "model").values()]
    assert index["metadata"]["total_size"] == sum(sizes)
    model = LlamaForCausalLM.from_pretrained(tmp_path / "model", dtype="auto")
    assert (model.config.vocab_size, model.dtype) == (32_160, torch.bfloat16)
    tokens = AutoTokenizer.from_pretrained(tmp_path / "model")(" 机器学习", return_tensors="pt")
    processor = sentencepiece.SentencePieceProcessor(
        model_file=str(tmp_path / "model" / "tokenizer.model")
    )
    assert tokens.input_ids[0].tolist() == [processor.bos_id(), *processor.encode(" 机器学习")]
    assert int(tokens.input_ids.max()) >= 32_000
    assert model(tokens.input_ids).logits.shape[-1] == 32_160


def test_step_extends_the_base_of_the_recipe(make_recipe, build, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=False, dtype=torch.float32)
    recipe = make_recipe(tmp_path / "run", base_model=str(tmp_path / "base"))
    folder = build(recipe, "train/extended")
    assert json.loads((folder / "model" / "config.json").read_text())["vocab_size"] == 32_160


def test_rows_that_are_not_the_base_pieces_are_refused(vocabulary: Path, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", rows=32_016, tied=False, dtype=torch.float32)
    with pytest.raises(TongwenError, match=r"32,016 rows, the base tokenizer 32,000"):
        extend_model(tmp_path / "base", vocabulary, tmp_path / "model")


def test_quantised_rows_are_refused(vocabulary: Path, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    table = {"model.embed_tokens.weight": torch.zeros(32_000, 4, dtype=torch.int8)}
    save_file(table, tmp_path / "base" / "model.safetensors")
    with pytest.raises(TongwenError, match="type I8"):
        extend_model(tmp_path / "base", vocabulary, tmp_path / "model")


def test_bfloat16_is_rounded_as_torch_does() -> None:
    bits = np.random.default_rng(2).integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32)
    values: Any = bits.view(np.float32)
    values = values[np.isfinite(values) & (np.abs(values) < 1e38)]
    values = np.concatenate(
        [values, np.array([0x3F808000, 0x3F818000], np.uint32).view(np.float32)]
    )
    expected = torch.from_numpy(values.copy()).to(torch.bfloat16)
    found = from_float32(values, "BF16")
    assert found == expected.view(torch.int16).numpy().tobytes()
    assert np.array_equal(to_float32(found, "BF16"), expected.to(torch.float32).numpy())
