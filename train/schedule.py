"""The learning rate of every iteration, a function of the iteration alone (so nothing to save)."""

from __future__ import annotations

import math

from tongwen.recipe import Stage


def learning_rate(stage: Stage, iteration: int, num_iterations: int) -> float:
    """Learning rate of one optimizer step.

    It rises linearly over the first `warmup` share of the iterations, reaches `learning_rate` in
    the last of these (in the first iteration, if there are none), then falls to
    `min_learning_rate`, which the last iteration uses, or stays (`constant`).

    Args:
        iteration: 0-based.
        num_iterations: of the whole stage.
    """
    top, bottom = stage.learning_rate, stage.min_learning_rate
    rising = math.ceil(stage.warmup * num_iterations)
    if iteration < rising:
        return top * (iteration + 1) / rising
    if stage.schedule == "constant":
        return top
    highest = max(0, rising - 1)
    share = (iteration - highest) / max(1, num_iterations - 1 - highest)
    height = (1 + math.cos(math.pi * share)) / 2 if stage.schedule == "cosine" else 1 - share
    return bottom + (top - bottom) * height
