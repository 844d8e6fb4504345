"""The command line: `tongwen run RECIPE` does everything that is not done yet.

A stage is imported only when one of its outputs is built, so `tongwen corpus ...` loads no torch.
Results go to standard output, progress and messages to standard error.  Exit status: 0 done,
1 `doctor` found a problem, 2 a problem that the message explains.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tongwen.cli_buckets import buckets_group
from tongwen.cli_corpus import RecipeFile, corpus_group, open_corpus_recipe, open_recipe
from tongwen.cli_tokenizer import tokenizer_group
from tongwen.errors import TongwenError
from tongwen.progress import format_seconds, say
from tongwen.recipe import CorpusRecipe, load_recipe

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Teach a LLaMA-family model a new language: raw text in, a continued-pre-trained model
and the evidence for it out.

\b
  tongwen init recipe.toml FILES...   look at your files and write a recipe for them
  tongwen run recipe.toml             do all that is not done yet; ends with a report
  tongwen status recipe.toml          what is done, what is missing""",
)
Redo = Annotated[
    list[str] | None,
    typer.Option(help="Build this output (corpus/duplicates, ...) and all that follows again."),
]


@app.command()
def init(
    recipe: RecipeFile,
    files: Annotated[list[Path], typer.Argument(help="Files or folders with your text.")],
    base_tokenizer: Annotated[
        str, typer.Option(help="The base model's tokenizer.model (SentencePiece BPE).")
    ] = "package:mistral_common/data/tokenizer.model.v1",
    compare: Annotated[
        list[str] | None, typer.Option(help="Another tokenizer to compare with: NAME=FILE.")
    ] = None,
    size: Annotated[int, typer.Option(help="Pieces of the extended vocabulary.")] = 69_104,
    force: Annotated[bool, typer.Option(help="Replace a recipe that is there.")] = False,
) -> None:
    """Look at your files and write a complete, commented recipe for them."""
    from tongwen.init import write_recipe

    say(write_recipe(recipe, files, base_tokenizer, compare or [], size, force=force))


@app.command()
def run(recipe: RecipeFile, redo: Redo = None) -> None:
    """Do everything that is not done yet: from raw text to the report."""
    from tongwen.pipeline import list_steps, run_steps

    loaded = open_recipe(recipe)
    steps = list_steps(loaded)
    _remove(loaded, redo)
    done = run_steps(loaded, steps)
    seconds = sum(record.seconds for _, record, _ in done)
    page = loaded.folder / "reports" / "report" / "report.html"
    say(f"Everything is done ({format_seconds(seconds)} of work). The report:")
    print(page)


@app.command()
def plan(recipe: RecipeFile) -> None:
    """Check a recipe and show what it will do and cost, without running anything."""
    from tongwen.plan import show_plan

    show_plan(load_recipe(recipe))


@app.command()
def status(recipe: RecipeFile) -> None:
    """Show every output of a recipe: done, changed or missing."""
    from tongwen.status import show_status

    show_status(open_recipe(recipe))


@app.command()
def doctor() -> None:
    """Check this machine: packages, shadowed names, memory, disk, GPUs."""
    from tongwen.doctor import show_health

    if not show_health():
        raise typer.Exit(1)


def _remove(recipe: CorpusRecipe, names: list[str] | None) -> None:
    from tongwen.pipeline import list_all_steps, remove_outputs

    for name in names or []:
        for gone in remove_outputs(recipe, list_all_steps(recipe), name):
            say(f"removed {gone}")


def _build(path: Path, name: str, redo: bool) -> None:
    """Build one output (`stage/output`, or a stage's all with `stage/`) and what it needs."""
    from tongwen.pipeline import list_all_steps, required_steps, run_steps

    recipe = open_corpus_recipe(path) if name.startswith("corpus/") else open_recipe(path)
    if redo:
        _remove(recipe, [name])
    steps = required_steps(list_all_steps(recipe), name)
    for step, record, _ in run_steps(recipe, steps)[-1:]:
        print(recipe.folder / step.name)
        for key, value in record.counts.items():
            print(f"  {key}: {value}")


def _verb(stage: str, verb: str, name: str, text: str) -> None:
    """Register `tongwen STAGE VERB RECIPE`, which builds the output `name`."""

    def command(
        recipe: RecipeFile,
        redo: Annotated[bool, typer.Option(help="Build it again, and all that follows.")] = False,
    ) -> None:
        _build(recipe, name, redo)

    command.__doc__ = text
    _groups[stage].command(verb)(command)


def _group(stage: str, text: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=text)
    app.add_typer(group, name=stage)
    return group


app.add_typer(corpus_group, name="corpus")
app.add_typer(tokenizer_group, name="tokenizer")
app.add_typer(buckets_group, name="buckets")
_groups = {
    "corpus": corpus_group,
    "tokenizer": tokenizer_group,
    "buckets": buckets_group,
    "train": _group("train", "Train the stages with Megatron-Core."),
    "reports": _group("reports", "The page that shows all of it."),
}

_verb("corpus", "read", "corpus/documents", "Read the files into documents; list the rejects.")
_verb("corpus", "dedup", "corpus/duplicates", "Find exact and near duplicates.")
_verb("corpus", "keep", "corpus/kept", "Write the documents without duplicates as Parquet.")
_verb("corpus", "sketch", "corpus/sketch", "Make what later runs and `query` compare with.")
_verb("corpus", "stats", "corpus/statistics", "Count by category, language and source.")
_verb("tokenizer", "learn", "tokenizer/vocabulary", "Learn pieces and append them to the base.")


StageName = Annotated[str | None, typer.Option("--stage", help="Only this training stage.")]


@_groups["buckets"].command("build")
def build_buckets(recipe: RecipeFile, stage: StageName = None) -> None:
    """Pack the documents of the training stages into buckets."""
    for name in _stage_names(recipe, stage):
        _build(recipe, f"buckets/{name}", redo=False)


@_groups["train"].command("run")
def run_training(recipe: RecipeFile, stage: StageName = None) -> None:
    """Train the stages (or go on with them) and export Hugging Face folders."""
    for name in _stage_names(recipe, stage):
        _build(recipe, f"train/{name}", redo=False)


@_groups["reports"].command("build")
def build_reports(recipe: RecipeFile) -> None:
    """Write the report of a run; of a half-done run, what there is of it."""
    from tongwen.draft import write_draft

    print(write_draft(open_recipe(recipe)))


def _stage_names(path: Path, stage: str | None) -> list[str]:
    names = [each.name for each in load_recipe(path).trained_stages]
    if stage is not None and stage not in names:
        raise TongwenError(f"no stage {stage!r} is trained", expected="one of " + ", ".join(names))
    return names if stage is None else [stage]


_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM)
"""Errors of the operating system that are no defect of ours: no room, or no right to write."""


def main() -> None:
    """Run the command line; a `TongwenError` ends in its message and status 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except TongwenError as error:
        print(f"tongwen: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in _MACHINE:
            raise
        print(f"tongwen: {error}; free space or change [run] folder", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("tongwen: stopped; run again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
