"""What a size of vocabulary costs to train and to use, from arithmetic alone.

A larger vocabulary makes fewer tokens of the same text, and each token dearer.  Per token:

    training   6 (N - V h) + 6 L h s      floating-point operations
    inference  2 (N - V h) + 2 L h s

with N parameters in all, V pieces, width h, L layers and sequences of s tokens.  V h is left out
once: the output embedding multiplies every token with V rows, the input embedding only looks one
up.  (`tongwen plan` states the usual 6 N, which counts both.)  The second term is attention over
half a sequence on average.  Costs are compared on the same characters: operations per character are
those per token times the tokens per character.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tongwen.recipe import Model, Sweep

LLAMA_7B = Model(
    num_layers=32,
    hidden_size=4096,
    ffn_hidden_size=11_008,
    num_attention_heads=32,
    num_query_groups=32,
)
"""LLaMA-2-7B's shape: 6,738,415,616 parameters with 32,000 pieces."""


@dataclass(frozen=True)
class Budget:
    """What is trained, and on what.

    Attributes:
        characters: of the text, whatever number of tokens it makes.
        length: tokens of a sequence.
        prices: a GPU's speed and price.
    """

    characters: float
    length: int
    prices: Sweep


@dataclass(frozen=True)
class Cost:
    """What a size costs.

    Attributes:
        embedding_parameters: of both embeddings.
        flops_per_token, flops_per_character: of training.
        inference_flops_per_character: of reading or writing text.
        gpu_hours, dollars: of training on the budget's characters.
        chosen: whether it is the recipe's size.
    """

    size: int
    tokens_per_character: float
    embedding_parameters: int
    parameters: int
    flops_per_token: float
    flops_per_character: float
    inference_flops_per_character: float
    gpu_hours: float
    dollars: float
    chosen: bool


def count_training(model: Model, size: int, length: int) -> int:
    """Floating-point operations of training on a token."""
    multiplied = model.count_parameters(size) - size * model.hidden_size
    return 6 * multiplied + model.count_attention(length)


def count_inference(model: Model, size: int, length: int) -> float:
    """Floating-point operations of the forward pass of a token: a third of training's."""
    return count_training(model, size, length) / 3


def price_sizes(
    rates: Mapping[int, float], model: Model, budget: Budget, chosen: int
) -> list[Cost]:
    """The cost of each size.

    Args:
        rates: tokens per character by size.
        chosen: the recipe's size.
    """
    return [_price(size, rate, model, budget, size == chosen) for size, rate in rates.items()]


def _price(size: int, rate: float, model: Model, budget: Budget, chosen: bool) -> Cost:
    training = count_training(model, size, budget.length)
    speed = budget.prices.flops_per_second * budget.prices.utilization
    hours = budget.characters * rate * training / speed / 3600
    return Cost(
        size=size,
        tokens_per_character=rate,
        embedding_parameters=2 * size * model.hidden_size,
        parameters=model.count_parameters(size),
        flops_per_token=training,
        flops_per_character=training * rate,
        inference_flops_per_character=count_inference(model, size, budget.length) * rate,
        gpu_hours=hours,
        dollars=hours * budget.prices.dollars_per_gpu_hour,
        chosen=chosen,
    )


def find_cheapest(costs: Sequence[Cost]) -> int | None:
    """The size with the fewest operations per character; the smallest of equals."""
    return (
        min(costs, key=lambda cost: (cost.flops_per_character, cost.size)).size if costs else None
    )


def find_knee(sizes: Sequence[int], rates: Sequence[float]) -> int | None:
    """The size from which more pieces bring little: where the curve is farthest below its chord.

    Both axes are scaled to 0 ... 1 and the straight line from the first to the last point is drawn;
    the knee is the point farthest below it (Satopaa et al. 2011, "Finding a Kneedle in a
    Haystack", without the smoothing).  It depends on the range of sizes that was asked for.

    Returns:
        One of the sizes, or None where there are fewer than three or none lies below the line.
    """
    if len(sizes) < 3 or rates[0] <= rates[-1]:
        return None
    width, height = sizes[-1] - sizes[0], rates[0] - rates[-1]
    below = [
        1 - (size - sizes[0]) / width - (rate - rates[-1]) / height
        for size, rate in zip(sizes, rates, strict=True)
    ]
    farthest = max(range(len(sizes)), key=below.__getitem__)
    return sizes[farthest] if below[farthest] > 1e-9 else None
