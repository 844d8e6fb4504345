"""The sweep: nested sizes, costs worked out by hand, and a knee where one was planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece

from corpus import choose_held_out, read_kept
from tokenizer.comparing.costs import (
    LLAMA_7B,
    Budget,
    count_inference,
    count_training,
    find_cheapest,
    find_knee,
    price_sizes,
)
from tokenizer.comparing.layout import format_bar
from tokenizer.comparing.show_sweep import format_sweep
from tokenizer.comparing.sweep import build_sweep, list_costs, measure_sizes, read_sweep
from tokenizer.learning.characters import make_kinds
from tokenizer.learning.learn import Limits, learn_candidates
from tokenizer.learning.sources import collect_sources, join_runs
from tokenizer.learning.weighting import UNIT
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto
from tongwen.errors import TongwenError
from tongwen.plan import count_parameters
from tongwen.recipe import Recipe, Sweep
from tongwen.run import RunFolder

SIZES = [30_000, 32_040, 32_080, 32_160, 32_400, 99_999]
PRICES = Sweep(flops_per_second=312e12, utilization=0.5, dollars_per_gpu_hour=2.0)


def test_llama_2_7b_has_its_parameters() -> None:
    assert LLAMA_7B.count_parameters(32_000) == 6_738_415_616
    added = LLAMA_7B.count_parameters(69_104) - LLAMA_7B.count_parameters(32_000)
    assert added == 2 * 37_104 * 4_096
    assert count_parameters(LLAMA_7B, 69_104) == LLAMA_7B.count_parameters(69_104)


def test_operations_are_those_of_matrices_and_attention() -> None:
    layer = 4 * 4096 * 4096 + 3 * 4096 * 11_008
    matrices = 32 * layer + 69_104 * 4096  # the output embedding; the input's is looked up
    norms = (2 * 32 + 1) * 4096
    attention = 32 * 4 * 4096 * 4096 // 2  # scores and sums over half a sequence
    forward = 2 * (matrices + norms) + attention
    assert count_inference(LLAMA_7B, 69_104, 4096) == forward
    assert count_training(LLAMA_7B, 69_104, 4096) == 3 * forward


def test_costs_are_compared_on_the_same_characters() -> None:
    budget = Budget(characters=1e9, length=4096, prices=PRICES)
    small, large = price_sizes({32_000: 1.2, 69_104: 0.6}, LLAMA_7B, budget, 69_104)
    assert (small.chosen, large.chosen) == (False, True)
    assert large.embedding_parameters == 2 * 69_104 * 4096
    assert large.parameters == 6_738_415_616 + 2 * 37_104 * 4_096
    assert large.flops_per_character == 0.6 * count_training(LLAMA_7B, 69_104, 4096)
    assert large.inference_flops_per_character == pytest.approx(large.flops_per_character / 3)
    seconds = 1e9 * large.flops_per_character / (312e12 * 0.5)
    assert large.gpu_hours == pytest.approx(seconds / 3600)
    assert large.dollars == pytest.approx(2 * seconds / 3600)
    assert large.flops_per_character < 0.52 * small.flops_per_character
    assert find_cheapest([small, large]) == 69_104
    assert find_cheapest([]) is None


def test_a_small_model_pays_for_its_embeddings() -> None:
    tiny = LLAMA_7B.model_copy(update={"num_layers": 1, "hidden_size": 64, "ffn_hidden_size": 128})
    rates = {40_000: 0.7, 70_000: 0.65, 100_000: 0.62}
    budget = Budget(1e9, 128, PRICES)
    assert find_cheapest(price_sizes(rates, tiny, budget, 0)) == 40_000
    assert find_cheapest(price_sizes(rates, LLAMA_7B, budget, 0)) == 100_000


def test_the_knee_is_where_it_was_planted() -> None:
    sizes = list(range(40_000, 100_001, 5_000))
    rates = [0.9 - (size - 40_000) * 1e-5 for size in sizes if size <= 60_000]
    rates += [rates[-1] - (size - 60_000) * 1e-6 for size in sizes if size > 60_000]
    assert find_knee(sizes, rates) == 60_000


@pytest.mark.parametrize(
    ("sizes", "rates"),
    [
        ([1, 2], [0.9, 0.8]),
        ([], []),
        ([1, 2, 3], [0.9, 0.8, 0.7]),  # straight
        ([1, 2, 3], [0.9, 0.89, 0.7]),  # bent the other way
        ([1, 2, 3], [0.7, 0.7, 0.7]),
    ],
)
def test_a_curve_without_a_knee_has_none(sizes: list[int], rates: list[float]) -> None:
    assert find_knee(sizes, rates) is None


@pytest.fixture(scope="module")
def swept(
    make_recipe: Callable[..., Recipe],
    build: Callable[[Recipe, str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Recipe, Path]:
    recipe = make_recipe(tmp_path_factory.mktemp("swept") / "run", sweep={"sizes": SIZES})
    build(recipe, "corpus/duplicates")
    out = tmp_path_factory.mktemp("sweep")
    counts = build_sweep(recipe, RunFolder(recipe.folder), out)
    assert (counts["sizes"], counts["left_out"]) == (4, 2)
    return recipe, out


def test_each_size_is_the_model_that_is_learned_for_it_alone(
    swept: tuple[Recipe, Path], base: ModelProto
) -> None:
    """The oracle: every size learned apart, and SentencePiece on the held-out Chinese."""
    recipe, out = swept
    run, section = RunFolder(recipe.folder), recipe.tokenizer
    held_out = choose_held_out(run, 3)["id"].combine_chunks()
    texts = [
        row[name]
        for batch in read_kept(run, ["id", "text", "prompt", "language"])
        for row in batch.to_pylist()
        for name in ("text", "prompt")
        if row["id"] in held_out.to_pylist() and row["language"] == "zh"
    ]
    kinds = make_kinds(punctuation=True, spaces=section.spaces_in_pieces)
    sources = collect_sources(lambda names: read_kept(run, names), held_out, section, kinds)
    limits = Limits(min_count=section.min_count * UNIT)
    rates = {row["size"]: row["tokens_per_character"] for row in read_sweep(out)["rows"]}
    assert list(rates) == [32_040, 32_080, 32_160, 32_400]
    for size in (32_040, 32_080, 32_160):
        pieces = learn_candidates(join_runs(sources), base, kinds, size - 32_000, limits)
        model = append_pieces(base, [piece.text for piece in pieces])
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
        tokens = sum(map(len, processor.encode(texts)))
        assert rates[size] == tokens / sum(map(len, texts))
    assert sorted(rates.values(), reverse=True) == list(rates.values())


def test_the_sweep_says_how_far_the_corpus_gets(swept: tuple[Recipe, Path]) -> None:
    result = read_sweep(swept[1])
    assert result["left_out"] == [30_000, 99_999]
    assert 32_400 <= result["supported_size"] < 99_999
    assert result["reference_size"] == 32_160
    assert [row["size"] for row in result["rows"] if row["chosen"]] == [32_160]
    assert result["knee"] in SIZES
    assert result["base"]["size"] == 32_000
    assert result["language"] == "zh"


def test_the_budget_is_the_recipes_tokens_at_its_own_size(swept: tuple[Recipe, Path]) -> None:
    recipe, out = swept
    result = read_sweep(out)
    (own,) = [cost for cost in list_costs(result, "recipe") if cost.chosen]
    assert result["budget_tokens"] == 1_000_000
    assert result["budget_characters"] == pytest.approx(1_000_000 / own.tokens_per_character)
    length = recipe.buckets.sequence_length
    operations = 1_000_000 * count_training(recipe.model, 32_160, length)
    assert own.gpu_hours == pytest.approx(operations / (312e12 * 0.33) / 3600)
    for cost, other in zip(list_costs(result, "recipe"), list_costs(result, "7b"), strict=True):
        assert cost.tokens_per_character == other.tokens_per_character
        assert other.parameters == LLAMA_7B.count_parameters(cost.size)


def test_the_table_marks_what_it_found(swept: tuple[Recipe, Path]) -> None:
    result = read_sweep(swept[1])
    text = format_sweep(result)
    curve = text.split("\n\n")[0].splitlines()
    (marked,) = [line for line in curve if "<- knee" in line]
    assert f"{result['knee']:,}" in marked
    assert "base" in curve[1]
    assert "LLaMA-2-7B's shape" in text
    assert "LLaMA-2-7B's shape" not in format_sweep(result, "recipe")
    assert "30,000, 99,999" in text
    assert [format_bar(share, 2) for share in (0, 1, 0.5, 0.75)] == ["", "██", "█", "█▌"]


def test_the_same_recipe_gives_the_same_bytes(swept: tuple[Recipe, Path], tmp_path: Path) -> None:
    recipe, out = swept
    build_sweep(recipe, RunFolder(recipe.folder), tmp_path)
    assert (tmp_path / "sweep.json").read_bytes() == (out / "sweep.json").read_bytes()
    assert json.loads((out / "sweep.json").read_text(encoding="utf-8"))


def test_sizes_that_nothing_supports_are_refused(
    swept: tuple[Recipe, Path], make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    folder = swept[0].folder
    recipe = make_recipe(folder, size=31_000, sweep={"sizes": [30_000, 31_000]})
    with pytest.raises(TongwenError, match="none of the sizes") as error:
        build_sweep(recipe, RunFolder(folder), tmp_path)
    assert "32001" in error.value.expected


def test_a_language_that_is_not_there_is_refused(
    swept: tuple[Recipe, Path], make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    folder = swept[0].folder
    recipe = make_recipe(folder, languages=["ja"], sweep={"sizes": [32_001, 32_002]}, size=32_002)
    with pytest.raises(TongwenError, match="no document in 'ja'"):
        build_sweep(recipe, RunFolder(folder), tmp_path)


def test_without_held_out_text_there_is_no_rate(base: ModelProto) -> None:
    with pytest.raises(TongwenError, match="no held-out document"):
        measure_sizes({32_000: base}, [])
