"""How many tokens each cell is asked for: the mixture, met in tokens.

A part's tokens are its share of the stage's budget; parts without a share divide what is left in
proportion to what they have.  Within a part a cell's weight is what it has to the power of
1 / temperature (Devlin et al. 2018, multilingual BERT; Conneau et al. 2019, XLM-R, which writes
alpha for 1 / T).  No cell is asked for more than its tokens times `max_epochs`: what it cannot give
the others of its part do.  Where a whole part cannot give its share, the numbers are in the error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from buckets.choosing.cells import Cell
from tongwen.errors import TongwenError
from tongwen.recipe import Part, Stage


@dataclass(frozen=True)
class Quotas:
    """What a stage is asked for, in tokens.

    Attributes:
        asked_C: int64, of each cell.
        asked_P, available_P: int64, of each part; available counts every token once.
        short: parts that cannot give what they are asked for.
    """

    asked_C: NDArray[np.int64]
    asked_P: NDArray[np.int64]
    available_P: NDArray[np.int64]
    short: tuple[int, ...]


def set_quotas(
    mixture: tuple[Part, ...],
    cells: tuple[Cell, ...],
    available_C: NDArray[np.int64],
    used_C: NDArray[np.int64],
    tokens: int,
) -> Quotas:
    """Divide a budget among the cells.

    Args:
        available_C: tokens of each cell, each counted once.
        used_C: what of it, over all epochs, was trained on before.
        tokens: the budget.
    """
    part_C = np.array([cell.part for cell in cells])
    available_P = np.bincount(part_C, available_C, len(mixture)).astype(np.int64)
    asked_P = _divide_budget(mixture, available_P, tokens)
    asked_C = np.zeros(len(cells), np.int64)
    short: list[int] = []
    for number, part in enumerate(mixture):
        mine = np.flatnonzero(part_C == number)
        room = np.floor(available_C[mine] * part.max_epochs).astype(np.int64) - used_C[mine]
        asked_C[mine] = pour(
            int(asked_P[number]), available_C[mine] ** (1 / part.temperature), room.clip(0)
        )
        if asked_C[mine].sum() < asked_P[number]:
            short.append(number)
    return Quotas(asked_C, asked_P, available_P, tuple(short))


def _divide_budget(
    mixture: tuple[Part, ...], available_P: NDArray[np.int64], tokens: int
) -> NDArray[np.int64]:
    fixed = sum(part.share for part in mixture if part.share is not None)
    free_P = np.array([part.share is None for part in mixture]) * available_P
    rest = max(0.0, 1 - fixed) / max(int(free_P.sum()), 1)
    share_P = [
        free * rest if p.share is None else p.share for p, free in zip(mixture, free_P, strict=True)
    ]
    return divide(tokens, np.array(share_P))


def divide(total: int, weights: NDArray) -> NDArray[np.int64]:
    """Whole numbers in proportion to `weights` that add up to `total`."""
    scale = total / max(float(weights.sum()), 1e-300)
    edges = np.rint(np.cumsum(weights, dtype=np.float64) * scale).astype(np.int64)
    return np.diff(edges, prepend=0)


def pour(total: int, weights: NDArray, room: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `total` in proportion to `weights`, none above its `room`; what does not fit goes to
    the others, in proportion again.  Less than `total` is given where there is no room."""
    given = np.zeros(len(weights), np.int64)
    open_ = room > 0
    while total > 0 and open_.any():
        more = divide(total, np.where(open_, weights, 0.0))
        full = open_ & (given + more >= room)
        if not full.any():
            return given + more
        total -= int((room - given)[full].sum())
        given[full] = room[full]
        open_ &= ~full
    return given


def refuse_short(stage: Stage, quotas: Quotas, tokens: int, used_P: NDArray[np.int64]) -> None:
    """Raise for the first part that is too small.

    Raises:
        TongwenError: with what it is asked for, what it has, and what would do.
    """
    for number in quotas.short:
        part, asked = stage.mixture[number], int(quotas.asked_P[number])
        available, used = int(quotas.available_P[number]), int(used_P[number])
        reach = int(available * part.max_epochs) - used
        before = f", {used:,} of them used before," if used else ""
        raise TongwenError(
            f"a part of the mixture is asked for {asked:,} tokens (share {asked / tokens:.4g} of "
            f"{tokens:,}) but its documents have {available:,},{before} which used "
            f"{part.max_epochs:g} times give {max(reach, 0):,}",
            where=f"stages.{stage.name}.mixture.{number}",
            expected=f"at least {asked:,} tokens",
            do=f"lower the stage's tokens to {int(max(reach, 0) * tokens / asked):,}"
            f", raise the part's max_epochs to {(asked + used) / max(available, 1) + 0.005:.2f}, "
            "give it more languages, categories or kinds, or add documents",
        )
