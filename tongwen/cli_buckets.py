"""`tongwen buckets ...`: the buckets of the training stages, and what they can answer for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tongwen.cli_corpus import RecipeFile, open_recipe
from tongwen.errors import TongwenError
from tongwen.progress import say

if TYPE_CHECKING:
    from tongwen.recipe import Recipe, Stage

buckets_group = typer.Typer(
    no_args_is_help=True, help="Documents to balanced, packed, traceable Megatron shards."
)
StageName = Annotated[str | None, typer.Option("--stage", help="Only this training stage.")]


def list_stages(recipe: Recipe, name: str | None) -> list[Stage]:
    """The trained stages, or the one of that name.

    Raises:
        TongwenError: there is none of that name.
    """
    stages = [stage for stage in recipe.trained_stages if name in (None, stage.name)]
    if not stages:
        names = ", ".join(stage.name for stage in recipe.trained_stages)
        raise TongwenError(f"no stage {name!r} is trained", expected=f"one of {names}")
    return stages


@buckets_group.command("plan")
def plan_mixture(
    recipe: RecipeFile,
    stage: StageName = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every row as CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every row as JSON.")] = False,
) -> None:
    """Show what each stage's mixture asks for and gets, before anything is written."""
    from buckets.building.preview import NAMES, list_values, preview_stage
    from tongwen import tables
    from tongwen.pipeline import list_steps, required_steps, run_steps
    from tongwen.run import RunFolder

    loaded = open_recipe(recipe)
    steps = list_steps(loaded)
    for each in list_stages(loaded, stage):
        before = required_steps(steps, f"buckets/{each.name}")[:-1]
        run_steps(loaded, before)
        preview = preview_stage(loaded, RunFolder(loaded.folder), each)
        names = ("part", "language", "category", "kind", *NAMES)
        rows = [list_values(line, each.tokens) for line in preview.lines]
        if as_csv or as_json:
            rows = [(each.name, *row) for row in rows]
            (tables.print_csv if as_csv else tables.print_json)(("stage", *names), rows)
            continue
        print(f"{each.name}: {each.tokens:,} tokens in {each.buckets:,} buckets")
        tables.print_table(names, rows, len(rows))
        for place, title in ((1, "language"), (3, "kind"), (0, "part")):
            sums = [list_values(line, each.tokens) for line in preview.add_up(place)]
            tables.print_table((title, *NAMES), sums, len(sums))
        for part in preview.short:
            say(f"part {part + 1} is too small for its share, even used max_epochs times")


@buckets_group.command("remix")
def remix_buckets(
    recipe: RecipeFile,
    stage: Annotated[str, typer.Option(help="The stage whose mixture was edited.")],
    from_bucket: Annotated[
        int | None, typer.Option(min=0, help="Begin here; by default right behind the training.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would change.")] = False,
) -> None:
    """Mix anew what of a stage is not trained on yet, by the recipe as it is now."""
    from buckets.lineage.remix import PART_NAMES, plan_remix, remix_stage
    from tongwen import tables
    from tongwen.pipeline import list_steps, required_steps, step_inputs
    from tongwen.run import RunFolder

    loaded = open_recipe(recipe)
    run, (chosen,) = RunFolder(loaded.folder), list_stages(loaded, stage)
    step = required_steps(list_steps(loaded), f"buckets/{stage}")[-1]
    known = {"config": step.config, "inputs": step_inputs(run, step), "from_bucket": from_bucket}
    remix = plan_remix(loaded, run, chosen, **known)
    tables.print_table(PART_NAMES, remix.parts, len(remix.parts))
    place = remix.place
    say(
        f"{place.iteration:,} iterations are done; buckets before {place.bucket} stay "
        f"({place.tokens:,} tokens), {remix.tokens:,} tokens are mixed anew"
    )
    if dry_run:
        return
    _, record = remix_stage(loaded, run, chosen, **known)
    say(", ".join(f"{name} {value}" for name, value in record.counts.items()))


@buckets_group.command("trace")
def trace(
    recipe: RecipeFile,
    stage: StageName = None,
    document: Annotated[str | None, typer.Option("--id", help="Where did a document go?")] = None,
    iteration: Annotated[int | None, typer.Option(min=1, help="As metrics.jsonl counts.")] = None,
    rank: Annotated[int, typer.Option(min=0, help="Data-parallel rank.")] = 0,
    micro_batch: Annotated[int, typer.Option(min=0, help="Of the rank's iteration.")] = 0,
    sequence_in_batch: Annotated[int, typer.Option(min=0, help="In the micro-batch.")] = 0,
    bucket: Annotated[int | None, typer.Option(min=0, help="Instead of an iteration.")] = None,
    sequence: Annotated[int, typer.Option(min=0, help="Of the bucket.")] = 0,
    position: Annotated[int, typer.Option(min=0, help="Token of the sequence.")] = 0,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every row as CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every row as JSON.")] = False,
) -> None:
    """Say which document stands at a place of the training, or where a document went."""
    from buckets.lineage import show
    from buckets.lineage.trace import Lineage, find_sequence, trace_document, trace_position
    from tongwen import tables
    from tongwen.run import RunFolder

    loaded = open_recipe(recipe)
    lineage = Lineage(loaded, RunFolder(loaded.folder))
    if document is not None:
        found = trace_document(lineage, document)
        names, rows = show.VISIT_NAMES, list(show.list_visits(found))
        for keeper in found.went_for:
            say(f"a duplicate: {keeper} stays for it")
    else:
        where = (bucket, sequence)
        name = list_stages(loaded, stage)[0].name
        if bucket is None:
            turn = (micro_batch, sequence_in_batch)
            where = find_sequence(lineage, name, iteration or 1, rank, turn)
        assert where[0] is not None
        at = (where[0], where[1], position)
        names, rows = ("what", "value"), show.list_facts(trace_position(lineage, name, *at))
    if as_csv or as_json:
        (tables.print_csv if as_csv else tables.print_json)(names, rows)
    else:
        tables.print_table(names, rows, len(rows))


@buckets_group.command("forget")
def forget_documents(
    recipe: RecipeFile,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of the documents.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file with an id a line.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would change.")] = False,
) -> None:
    """Take documents out of all buckets, and keep them out of later ones."""
    from buckets.lineage import show
    from buckets.lineage.forget import forget, plan_takedown
    from buckets.lineage.trace import Lineage
    from tongwen.run import RunFolder

    loaded = open_recipe(recipe)
    lineage = Lineage(loaded, RunFolder(loaded.folder))
    named = list(ids or []) + (file.read_text(encoding="utf-8").split() if file else [])
    takedown = plan_takedown(lineage, named)
    print(*show.describe_takedown(takedown), sep="\n")
    if not dry_run:
        forget(lineage, takedown)
