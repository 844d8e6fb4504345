"""The table and the curve that `tongwen tokenizer sweep` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizer.comparing.costs import Cost
from tokenizer.comparing.layout import format_bar, format_table
from tokenizer.comparing.sweep import list_costs

_TINY = 1_000_000_000
_BAR = 40
_HEADS = (
    "pieces",
    "tokens/character",
    "embeddings",
    "parameters",
    "FLOPs/character",
    "inference",
    "GPU hours",
    "dollars",
    "$ for 1e9 characters",
    "",
)


def format_sweep(result: dict[str, Any], shape: str = "") -> str:
    """The curve, and the costs of a model.

    Args:
        result: of sweep.json.
        shape: "recipe" or "7b"; "" is the recipe's model, and beside it LLaMA-2-7B's where that
            of the recipe has fewer than 10^9 parameters.
    """
    tiny = result["shapes"]["recipe"]["base"]["parameters"] < _TINY
    shapes = [shape] if shape else ["recipe", *(["7b"] if tiny else [])]
    parts = [_draw_curve(result), *(_format_costs(result, each) for each in shapes), _note(result)]
    return "\n\n".join(parts)


def _draw_curve(result: dict[str, Any]) -> str:
    costs = list_costs(result, "recipe")
    most = max(cost.tokens_per_character for cost in costs)
    lines = [f"tokens per character of {result['language']}, held-out documents"]
    for cost in costs:
        share = cost.tokens_per_character / most
        bar = format_bar(share, _BAR)
        mark = _mark(cost, {"knee": result["knee"]}, result["shapes"]["recipe"]["base"]["size"])
        lines.append(f"{cost.size:>8,}  {cost.tokens_per_character:.4f}  {bar:{_BAR}}  {mark}")
    return "\n".join(line.rstrip() for line in lines)


def _mark(cost: Cost, marked: dict[str, int | None], base: int) -> str:
    words = ["base"] if cost.size == base else []
    words += ["this recipe"] if cost.chosen else []
    words += [f"<- {name}" for name, size in marked.items() if size == cost.size]
    return ", ".join(words)


def _format_costs(result: dict[str, Any], shape: str) -> str:
    found = result["shapes"][shape]
    model = "the recipe's model" if shape == "recipe" else "a model of LLaMA-2-7B's shape"
    marked = {"knee": result["knee"], "least cost": found["least_cost"]}
    rows = [
        _list_cells(cost, result, _mark(cost, marked, found["base"]["size"]))
        for cost in list_costs(result, shape)
    ]
    title = f"cost with {model}, sequences of {found['sequence_length']:,} tokens"
    return f"{title}\n{format_table(_HEADS, rows, left=0)}"


def _list_cells(cost: Cost, result: dict[str, Any], mark: str) -> Sequence[str]:
    per_character = cost.dollars / result["budget_characters"]
    return (
        f"{cost.size:,}",
        f"{cost.tokens_per_character:.4f}",
        f"{cost.embedding_parameters:,}",
        f"{cost.parameters:,}",
        f"{cost.flops_per_character:.4g}",
        f"{cost.inference_flops_per_character:.4g}",
        f"{cost.gpu_hours:,.4g}",
        f"{cost.dollars:,.4g}",
        f"{per_character * 1e9:,.4g}",
        mark,
    )


def _note(result: dict[str, Any]) -> str:
    lines = [
        f"Budget: {result['budget_tokens']:,} tokens at {result['reference_size']:,} pieces = "
        f"{result['budget_characters']:,.0f} characters; every size is priced on the same ones,",
        f"at {result['flops_per_second'] / 1e12:g} TFLOP/s x {result['utilization']:.0%} and "
        f"{result['dollars_per_gpu_hour']:g} dollars a GPU hour.",
        "FLOPs per token: 6 (N - V h) + 6 L h s in training, a third of it in inference.",
        f"The corpus supports up to {result['supported_size']:,} pieces.",
    ]
    if result["left_out"]:
        lines.append("Left out: " + ", ".join(f"{size:,}" for size in result["left_out"]) + ".")
    return "\n".join(lines)
