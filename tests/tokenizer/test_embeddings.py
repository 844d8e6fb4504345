"""New rows are the means computed by hand; everything else keeps its bits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tokenizer.starting.embeddings import extend_model
from tokenizer.starting.folder import check_model_folder
from tokenizer.starting.parts import count_tokens, read_counts, read_parts
from tokenizer.starting.weights import from_float32, to_float32
from tongwen.errors import TongwenError
from tongwen.recipe import Embeddings

WIDTH = 16
EPSILON = {torch.bfloat16: 8e-3, torch.float16: 1e-3, torch.float32: 1e-5}
MEAN = Embeddings(input="mean", output="mean", match_norm=False)


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


EMBEDDINGS = ("model.embed_tokens.weight", "lm_head.weight")


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
    counts = extend_model(tmp_path / "base", vocabulary, tmp_path / "model", MEAN)
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
            # A row that equals another is moved by 1/128 of each of its numbers.
            torch.testing.assert_close(new[name][32_000:], expected, rtol=2e-2, atol=1e-6)
            side = "input" if name == EMBEDDINGS[0] else "output"
            near = torch.isclose(new[name][32_000:], expected, rtol=EPSILON[dtype], atol=1e-6)
            far = ~near.all(dim=1)
            assert int(far.sum()) <= int(counts[f"{side}_rows_moved"]) < 0.1 * len(far)
        else:
            assert new[name].shape == tensor.shape


def test_no_two_rows_are_identical_once_stored(vocabulary: Path, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=False, dtype=torch.bfloat16)
    for number, settings in enumerate((MEAN, Embeddings())):
        out = tmp_path / str(number)
        counts = extend_model(tmp_path / "base", vocabulary, out, settings)
        tensors = read_tensors(out)
        for name in EMBEDDINGS:
            new = tensors[name][32_000:]
            assert len(torch.unique(new.float(), dim=0)) == len(new)
            old = {row.tobytes() for row in tensors[name][:32_000].float().numpy()}
            assert not old & {row.tobytes() for row in new.float().numpy()}
        assert counts["identical_rows"] == 0


def test_prior_moves_rows_along_the_regression_on_frequency(
    vocabulary: Path, tmp_path: Path
) -> None:
    write_llama(tmp_path / "base", tied=False, dtype=torch.float32)
    token_counts = count_tokens(
        [["机器学习，意大利的国务院。今天天气很好 " * 3, "鼴鼠 and a fox"]], vocabulary
    )
    prior = MEAN.model_copy(update={"output": "prior"})
    extend_model(
        tmp_path / "base", vocabulary, tmp_path / "model", prior, token_counts=token_counts
    )
    base = read_tensors(tmp_path / "base")["lm_head.weight"].double().numpy()
    new = read_tensors(tmp_path / "model")["lm_head.weight"][32_000:].double().numpy()
    counts = token_counts.astype(np.float64)
    seen = counts[:32_000] > 0
    logs = np.log(np.maximum(counts[:32_000], 0.5) / counts[:32_000].sum())
    design = np.stack([np.ones(int(seen.sum())), logs[seen]], axis=1)
    direction = np.linalg.lstsq(design, base[seen], rcond=None)[0][1]
    new_logs = np.log(np.maximum(counts[32_000:], 0.5) / counts[32_000:].sum())
    for row, ids, log in zip(new, spell_by_hand(vocabulary), new_logs, strict=True):
        early = 0.25 ** np.arange(len(ids))
        start, rarer = (np.average(each, axis=0, weights=early) for each in (base[ids], logs[ids]))
        expected = start + 0.75 * (log - rarer) * direction
        np.testing.assert_allclose(row, expected, rtol=2e-2, atol=2e-6)


def test_counts_are_those_of_sentencepiece(vocabulary: Path) -> None:
    texts = ["机器学习的模型", "意大利 and 国务院", "a lazy dog"]
    base, extended = (
        sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        for folder in (vocabulary / "base", vocabulary)
    )
    expected = np.zeros(32_160, np.int64)
    for text in texts:
        np.add.at(expected, base.encode(text), 1)
        np.add.at(expected, [i for i in extended.encode(text) if i >= 32_000], 1)
    assert np.array_equal(count_tokens([texts[:2], texts[2:]], vocabulary), expected)


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


def test_counts_are_read_from_the_pieces(vocabulary: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vocabulary"
    shutil.copytree(vocabulary, folder)
    table = pq.read_table(folder / "pieces.parquet")
    table = table.drop_columns([name for name in ("uses",) if name in table.column_names])
    uses = pa.array(range(table.num_rows), pa.int64())
    # The order of the rows does not matter, their ids do.
    shuffled = table.append_column("uses", uses).take(pa.array(range(table.num_rows))[::-1])
    pq.write_table(shuffled, folder / "pieces.parquet")
    found = read_counts(folder, read_parts(folder, 32_000), 32_000)
    expected = np.zeros(32_160, np.int64)
    expected[32_000:] = np.arange(160)
    for number, ids in enumerate(spell_by_hand(folder)):
        np.add.at(expected, ids, number)
    assert np.array_equal(found, expected)
    (folder / "pieces.parquet").unlink()
    write_llama(tmp_path / "base", tied=False, dtype=torch.float32)
    extend_model(tmp_path / "base", folder, tmp_path / "mean", MEAN)
    with pytest.raises(TongwenError, match="how often the pieces occur"):
        extend_model(tmp_path / "base", folder, tmp_path / "model")


def test_shards_may_hold_the_tensors_in_any_order(vocabulary: Path, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=False, dtype=torch.bfloat16)
    tensors = read_tensors(tmp_path / "base")
    for file in (tmp_path / "base").glob("*.safetensors"):
        file.unlink()
    names = sorted(tensors, reverse=True)
    groups = {"b.safetensors": names[::2], "a.safetensors": names[1::2]}
    places = {name: file for file, group in groups.items() for name in group}
    for file, group in groups.items():
        save_file({name: tensors[name] for name in group}, tmp_path / "base" / file)
    index = json.dumps({"metadata": {"total_size": 0}, "weight_map": places})
    (tmp_path / "base" / "model.safetensors.index.json").write_text(index)
    extend_model(tmp_path / "base", vocabulary, tmp_path / "model")
    new = read_tensors(tmp_path / "model")
    written = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    assert written["weight_map"] == places
    assert written["metadata"]["total_size"] == sum(t.numel() * 2 for t in new.values())
    assert all(torch.equal(new[name][: len(t)], t) for name, t in tensors.items())
    assert check_model_folder(tmp_path / "model") == 32_160


def test_sizes_that_differ_are_all_named(vocabulary: Path, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=False, dtype=torch.float32)
    folder = tmp_path / "model"
    extend_model(tmp_path / "base", vocabulary, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 32_000}))
    with pytest.raises(TongwenError) as error:
        check_model_folder(folder)
    for part in ("vocab_size 32,000", "embed_tokens.weight 32,160", "lm_head.weight 32,160"):
        assert part in str(error.value)
    assert "tokenizer.model 32,160" in str(error.value)
    shutil.copyfile(vocabulary / "base" / "tokenizer.json", folder / "tokenizer.json")
    with pytest.raises(TongwenError, match=r"tokenizer.json 32,000"):
        check_model_folder(folder)


def test_a_head_that_is_neither_there_nor_tied_is_refused(vocabulary: Path, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=True, dtype=torch.float32)
    extend_model(tmp_path / "base", vocabulary, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    text = json.dumps(config | {"tie_word_embeddings": False})
    (tmp_path / "model" / "config.json").write_text(text)
    with pytest.raises(TongwenError, match=r"no lm_head.weight"):
        check_model_folder(tmp_path / "model")


def test_a_shard_that_is_cut_off_is_refused(vocabulary: Path, tmp_path: Path) -> None:
    write_llama(tmp_path / "base", tied=False, dtype=torch.float32)
    file = max((tmp_path / "base").glob("*.safetensors"), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(TongwenError, match="cut off"):
        extend_model(tmp_path / "base", vocabulary, tmp_path / "model")


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
