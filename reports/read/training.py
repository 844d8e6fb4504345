"""The training curves of every stage, laid end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from reports.numbers import divide, finite
from reports.read.files import Row, list_missing, read_lines
from tongwen.recipe import Recipe, Stage
from tongwen.run import RunFolder

_POINTS = 240
"""Points of a curve; a longer one is averaged over equal stretches."""

_CURVE = ("iteration", "tokens", "loss", "learning_rate", "grad_norm")


def read_training(recipe: Recipe, run: RunFolder) -> Row:
    """Curves and evaluations by stage, and the figures before and after.

    Tokens are those that bore loss, counted from the start of the first stage trained here.

    Returns:
        A dict with `missing`, `stages` and `milestones`: the evaluations at the start and at the
        end of each stage, `before` and `after` being the ones to compare.  Before is the end of
        the last stage with the base vocabulary where one was trained here, else the start.
    """
    stages: list[Row] = []
    offset = 0
    for stage in recipe.trained_stages:
        if run.record(f"train/{stage.name}") is not None:
            stages.append(_read_stage(run, stage, offset))
            offset = stages[-1]["last_tokens"]
    milestones = _list_milestones(stages)
    return {
        "missing": list_missing(run, [f"train/{stage.name}" for stage in recipe.trained_stages]),
        "stages": stages,
        "milestones": milestones,
        **_choose_before_after(milestones),
    }


def _read_stage(run: RunFolder, stage: Stage, offset: int) -> Row:
    events = list(read_lines(run, f"train/{stage.name}", "metrics.jsonl"))
    train = [_pick(event, offset) for event in events if event.get("event") == "train"]
    evaluations = [
        _evaluation(event, offset) for event in events if event.get("event") == "evaluation"
    ]
    evaluations.sort(key=lambda row: row["iteration"])
    losses = [row["loss"] for row in train]
    norms = [row["grad_norm"] for row in train if row["grad_norm"] is not None]
    return {
        "name": stage.name,
        "vocabulary": stage.vocabulary,
        "trainable": stage.trainable,
        "first_tokens": offset,
        "last_tokens": max((row["tokens"] for row in [*train, *evaluations]), default=offset),
        "iterations": max((row["iteration"] for row in train), default=0),
        "not_finite": sum(loss is None for loss in losses),
        "last_loss": next((loss for loss in reversed(losses) if loss is not None), None),
        "largest_grad_norm": max(norms, default=None),
        "curve": thin(train),
        "evaluations": evaluations,
    }


def _pick(event: Row, offset: int) -> Row:
    row = {name: finite(event.get(name)) for name in _CURVE}
    return {**row, "iteration": row["iteration"] or 0, "tokens": (row["tokens"] or 0) + offset}


def _evaluation(event: Row, offset: int) -> Row:
    return {
        "iteration": event.get("iteration", 0),
        "tokens": (finite(event.get("tokens")) or 0) + offset,
        "bits_per_character": dict(sorted(event.get("bits_per_character", {}).items())),
        "bits_per_byte": dict(sorted(event.get("bits_per_byte", {}).items())),
        "by_category": dict(sorted(event.get("by_category", {}).items())),
    }


def thin(rows: Sequence[Row], limit: int = _POINTS) -> list[Row]:
    """At most `limit` rows: means over equal stretches, at the last iteration of each."""
    if len(rows) <= limit:
        return list(rows)
    edges = [len(rows) * i // limit for i in range(limit + 1)]
    stretches = (rows[a:b] for a, b in pairwise(edges))
    return [
        {
            **{name: _mean(row[name] for row in stretch) for name in _CURVE[2:]},
            "iteration": stretch[-1]["iteration"],
            "tokens": stretch[-1]["tokens"],
        }
        for stretch in stretches
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return divide(sum(present), len(present))


def _list_milestones(stages: list[Row]) -> list[Row]:
    """The first evaluation of each stage and its last."""
    found: list[Row] = []
    for stage in stages:
        evaluations = stage["evaluations"]
        named = {"stage": stage["name"], "vocabulary": stage["vocabulary"]}
        if evaluations:
            found.append({**named, "at": "start", **evaluations[0]})
        if len(evaluations) > 1:
            found.append({**named, "at": "end", **evaluations[-1]})
        for evaluation in evaluations:
            evaluation.pop("by_category")
    return found


def _choose_before_after(milestones: list[Row]) -> Row:
    if not milestones:
        return {"before": None, "after": None}
    base = [i for i, row in enumerate(milestones) if row["vocabulary"] == "base"]
    before = base[-1] if base and base[-1] < len(milestones) - 1 else 0
    return {"before": before, "after": len(milestones) - 1}
