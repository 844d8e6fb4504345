"""What a recipe will do and cost, from arithmetic alone.

Parameters are counted exactly; the floating-point operations of a token are 6 N plus attention
(Kaplan et al. 2020, appendix B; the PaLM paper, appendix B, for the attention term).  The hours are
those of the published run's own rate, 8.5 billion tokens in 15 hours on 64 A800, so that they
answer "how long on that cluster", not "how long here".
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tongwen.recipe import Model, Recipe, Stage, Train

BASE_PIECES = 32_000
"""Pieces of LLaMA's and Mistral's tokenizers, for stages that train with the base vocabulary."""
PUBLISHED_TOKENS, PUBLISHED_SECONDS, PUBLISHED_GPUS = 8.5e9, 15 * 3600, 64
PUBLISHED_FLOPS = 6 * 7.04e9 * PUBLISHED_TOKENS / PUBLISHED_SECONDS / PUBLISHED_GPUS
"""Floating-point operations a second and GPU of the published run, by 6 N."""


@dataclass(frozen=True)
class StagePlan:
    """One training stage in numbers.

    Attributes:
        num_parameters: of the model with this stage's vocabulary.
        tokens_per_iteration: sequences of an iteration times their length.
        flops: floating-point operations of the whole stage.
        bytes_per_process: weights, gradients and optimizer states, activations aside.
    """

    stage: Stage
    num_parameters: int
    tokens_per_iteration: int
    num_iterations: int
    flops: float
    bytes_per_process: int

    @property
    def published_hours(self) -> float:
        """Hours on 64 A800 at the rate of the published run, by 6 N."""
        operations = 6.0 * self.num_parameters * self.stage.tokens
        return operations / (PUBLISHED_FLOPS * PUBLISHED_GPUS) / 3600


def count_parameters(model: Model, num_pieces: int) -> int:
    """Parameters of a LLaMA with untied embeddings."""
    return model.count_parameters(num_pieces)


def plan_stages(recipe: Recipe) -> tuple[StagePlan, ...]:
    """The plan of every stage that is run."""
    return tuple(_plan_stage(recipe, stage) for stage in recipe.trained_stages)


def _plan_stage(recipe: Recipe, stage: Stage) -> StagePlan:
    model, train, length = recipe.model, recipe.train, recipe.buckets.sequence_length
    pieces = recipe.tokenizer.size if stage.vocabulary == "extended" else BASE_PIECES
    parameters = count_parameters(model, pieces)
    attention = model.count_attention(length)
    per_iteration = train.global_batch_size * length
    return StagePlan(
        stage=stage,
        num_parameters=parameters,
        tokens_per_iteration=per_iteration,
        num_iterations=-(-stage.tokens // per_iteration),
        flops=float(stage.tokens) * (6 * parameters + attention),
        bytes_per_process=_state_bytes(parameters, train),
    )


def _state_bytes(parameters: int, train: Train) -> int:
    """fp32: 4 weights + 4 gradients + 8 Adam; bf16: 2 + 4 + 12 (fp32 copy and Adam)."""
    weights, optimizer = (8, 8) if train.precision == "fp32" else (6, 12)
    shards = train.data_parallel if train.distributed_optimizer else 1
    own = parameters / (train.tensor_parallel * train.pipeline_parallel)
    return round(own * (weights + optimizer / shards))


def show_plan(recipe: Recipe) -> None:
    """Print the plan."""
    console, train = Console(), recipe.train
    table = Table("", *(stage.name for stage in recipe.stages), title_justify="left")
    plans = {each.stage.name: each for each in plan_stages(recipe)}
    columns = [_plan_column(recipe, plans.get(stage.name)) for stage in recipe.stages]
    for label, *values in zip(_ROWS, *columns, strict=True):
        table.add_row(label, *values)
    console.print(table)
    layout = f"TP {train.tensor_parallel} x PP {train.pipeline_parallel} x DP {train.data_parallel}"
    console.print(f"Layout      {train.num_processes} processes = {layout}, {train.precision}")
    memory = max((each.bytes_per_process for each in plans.values()), default=0)
    console.print(f"Memory      {memory / 1e9:,.2f} GB a process, activations aside")
    hours = sum(each.published_hours for each in plans.values())
    time = f"{hours:,.2g} hours" if hours > 1 / 60 else "less than a minute"
    console.print(f"Time        {time} on 64 A800 at the rate of the published run")
    console.print(f"Run folder  {recipe.folder}", soft_wrap=True)


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1_000_000 else f"{count:,}"


_ROWS = (
    "done by",
    "pieces",
    "parameters",
    "tokens",
    "iterations",
    "buckets",
    "learning rate",
    "operations",
)


def _plan_column(recipe: Recipe, plan: StagePlan | None) -> tuple[str, ...]:
    if plan is None:
        return ("the base model", *["-"] * (len(_ROWS) - 1))
    stage = plan.stage
    pieces = recipe.tokenizer.size if stage.vocabulary == "extended" else BASE_PIECES
    return (
        "this run",
        f"{pieces:,}",
        _millions(plan.num_parameters),
        _millions(stage.tokens),
        f"{plan.num_iterations:,}",
        f"{stage.buckets:,}",
        f"{stage.learning_rate:g} to {stage.min_learning_rate:g}",
        f"{plan.flops:.3g}",
    )
