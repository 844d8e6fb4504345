"""`tongwen tokenizer ...`: the verbs that do more than build one output.

Those that only build one (`learn`) are registered in `tongwen.cli`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from tongwen.recipe import Embeddings

tokenizer_group = typer.Typer(
    no_args_is_help=True, help="Learn pieces, extend the vocabulary, prove, compare, start."
)

AsCsv = Annotated[bool, typer.Option("--csv", help="Print every row as CSV.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print every row as JSON.")]
Redo = Annotated[bool, typer.Option(help="Build it again, and all that follows.")]


@tokenizer_group.command("compare")
def compare(
    files: Annotated[
        list[str], typer.Argument(metavar="RECIPE | FILES...", help="A recipe; or texts.")
    ] = [],  # noqa: B006 (typer reads it)
    text: Annotated[
        list[str] | None, typer.Option(help="A file with text: no recipe is needed.")
    ] = None,
    tokenizer: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE (.model, tokenizer.json, .tiktoken); the first is the base."),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Name of the tokenizer that is 1 (Chinese-LLaMA-2).")
    ] = None,
    expression: Annotated[
        list[str] | None,
        typer.Option(help="NAME=qwen|gpt2|cl100k|o200k: how a .tiktoken file splits text."),
    ] = None,
    by: Annotated[
        Literal["language", "category", "source"], typer.Option(help="What a row is.")
    ] = "language",
    as_csv: AsCsv = False,
    as_json: AsJson = False,
    redo: Redo = False,
) -> None:
    """Tokens per character of tokenizers: of a recipe on its held-out text, or on any files.

    \b
      tongwen tokenizer compare recipe.toml
      tongwen tokenizer compare --tokenizer base=a.model --tokenizer b=tokenizer.json --text *.jsonl
    """
    from tokenizer.comparing.rates import list_columns, make_rates
    from tokenizer.comparing.show import format_rates
    from tongwen import tables

    if tokenizer or text:
        found = _compare_files([*(text or []), *files], tokenizer or [], expression or [])
    else:
        found = _compare_recipe(files, redo)
    rates = make_rates(found[0], by, intervals=found[1], reference=reference)
    if as_csv or as_json:
        names, rows = list_columns(rates)
        print_rows = tables.print_csv if as_csv else tables.print_json
        print_rows(names, rows)
    else:
        print(format_rates(rates, by))


@tokenizer_group.command("lint")
def lint(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .model, or a folder with one.")],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXTS]...", help="More files with text.")
    ] = None,
    base: Annotated[Path | None, typer.Option(help="The .model (or folder) it extends.")] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Text in the base's language, read as a corpus is.")
    ] = None,
    languages: Annotated[
        str, typer.Option(help="Take documents in these languages: en,fr. All by default.")
    ] = "",
    tensor_parallel: Annotated[
        str, typer.Option(help="Sizes that should divide the vocabulary: 1,2,4,8.")
    ] = "1,2,4,8",
    examples: Annotated[int, typer.Option(min=0, help="Of each finding.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print lint.json.")] = False,
) -> None:
    """Prove what a SentencePiece model does, ours or anybody's: dead pieces, ties, changed text.

    Exit status: 0 no finding is an error, 1 one is, 2 a file cannot be read.

    \b
      tongwen tokenizer lint tokenizer.model
      tongwen tokenizer lint extended.model --base llama2.model --text en.jsonl
    """
    from tokenizer.lint.lint import lint_files, parse_sizes
    from tokenizer.lint.show import NAMES, format_details, list_rows
    from tongwen import tables

    report = lint_files(
        file,
        base=base,
        texts=[*(text or []), *(more or [])],
        languages=[name.strip() for name in languages.split(",") if name.strip()],
        tensor_parallel=parse_sizes(tensor_parallel),
    )
    if as_json:
        print(report.to_json(), end="")
    else:
        tables.print_table(NAMES, list_rows(report), len(report.findings))
        print(format_details(report, examples))
    raise typer.Exit(1 if report.worst == "error" else 0)


@tokenizer_group.command("sweep")
def sweep(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")],
    model_shape: Annotated[
        Literal["recipe", "7b"] | None,
        typer.Option(help="Price this model only: [model] of the recipe, or LLaMA-2-7B's shape."),
    ] = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
    redo: Redo = False,
) -> None:
    """Sizes of vocabulary: how well each compresses, what each costs, where the knee is."""
    from dataclasses import astuple, fields

    from tokenizer.comparing.costs import Cost
    from tokenizer.comparing.show_sweep import format_sweep
    from tokenizer.comparing.sweep import list_costs, read_sweep
    from tongwen import tables

    result = read_sweep(_build(recipe, "tokenizer/sweep", redo))
    if as_csv or as_json:
        names = [field.name for field in fields(Cost)]
        rows = (astuple(cost) for cost in list_costs(result, model_shape or "recipe"))
        print_rows = tables.print_csv if as_csv else tables.print_json
        print_rows(names, rows)
    else:
        print(format_sweep(result, model_shape or ""))


@tokenizer_group.command("start")
def start(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The base: a Hugging Face LLaMA folder.")
    ],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]...", help="More files with text.")
    ] = None,
    vocabulary: Annotated[
        Path, typer.Option(help="The extended vocabulary: RUN/tokenizer/vocabulary.")
    ] = Path("tokenizer/vocabulary"),
    text: Annotated[
        list[Path] | None, typer.Option(help="Files with text that nothing was learned from.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="METHOD or INPUT/OUTPUT; all methods by default."),
    ] = None,
    noise: Annotated[float, typer.Option(min=0.0, help="Scale of `gaussian`.")] = 0.1,
    match_norm: Annotated[bool, typer.Option(help="Give new rows the base's norm.")] = False,
    characters: Annotated[
        int, typer.Option(min=1, help="Measure on so many characters of each language.")
    ] = 50_000,
    seed: Annotated[int, typer.Option(min=0, help="Of noise.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Write the extended model with the best of the methods.")
    ] = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """Start the embeddings of new pieces: bits per character of each way before any training.

    \b
      tongwen tokenizer start llama-2-7b --vocabulary RUN/tokenizer/vocabulary --text zh.jsonl
      tongwen tokenizer start ... --method mean --out extended
    """
    from tokenizer.starting.table import choose_best, name_start
    from tokenizer.starting.write import parse_methods, write_start
    from tongwen.progress import say

    paths, starts = [*(text or []), *(files or [])], parse_methods(method or [], noise, match_norm)
    table: dict[str, Any] = {}
    if paths or out is None or len(starts) > 1:
        table = _measure_starts(model, vocabulary, starts, paths, characters, seed)
        _print_starts(table, as_csv, as_json)
    if out is not None:
        best = choose_best(table) if table else name_start(starts[0])
        chosen = next(start for start in starts if name_start(start) == best)
        write_start(out, model, vocabulary, chosen, table, seed=seed)
        say(f"{out} starts by {best}")


def _print_starts(table: dict[str, Any], as_csv: bool, as_json: bool) -> None:
    from tokenizer.starting.write import COLUMNS
    from tongwen import tables

    rows = [[row.get(name) for name in COLUMNS] for row in table["rows"]]
    if as_csv or as_json:
        print_rows = tables.print_csv if as_csv else tables.print_json
        print_rows(COLUMNS, rows)
    else:
        tables.print_table(COLUMNS, rows, len(rows))


def _measure_starts(
    model: Path,
    vocabulary: Path,
    starts: Sequence[Embeddings],
    paths: list[Path],
    characters: int,
    seed: int,
) -> dict[str, Any]:
    from tokenizer.starting.table import compare_starts
    from tokenizer.starting.texts import sample_texts
    from tongwen.errors import TongwenError
    from train.step_zero import StepZero

    if not paths:
        raise TongwenError("no text is named", expected="--text FILES..., read as a corpus is")
    opened, texts = StepZero(model), sample_texts(paths, characters)
    return compare_starts(opened, model, vocabulary, texts, starts, seed=seed)


def _compare_files(
    files: list[str], tokenizers: list[str], expressions: list[str]
) -> tuple[pa.Table, pa.Table | None]:
    import os

    from tokenizer.comparing.texts import compare_texts, open_tokenizers
    from tongwen.errors import TongwenError

    if not files:
        raise TongwenError("no text is named", expected="--text FILES..., read as a corpus is")
    counters = open_tokenizers(tokenizers, expressions)
    return compare_texts(files, counters, workers=len(os.sched_getaffinity(0)))


def _compare_recipe(files: list[str], redo: bool) -> tuple[pa.Table, pa.Table | None]:
    from tokenizer.comparing.write import read_comparison
    from tongwen.errors import TongwenError

    if len(files) != 1:
        raise TongwenError(
            f"{len(files)} recipes are named" if files else "no recipe is named",
            expected="one RECIPE, or --text FILES... with --tokenizer NAME=FILE",
        )
    return read_comparison(_build(Path(files[0]), "tokenizer/comparison", redo))


def _build(path: Path, name: str, redo: bool) -> Path:
    """Build an output of a recipe and what it needs; returns its folder."""
    from tongwen.cli_corpus import open_recipe
    from tongwen.pipeline import list_all_steps, remove_outputs, required_steps, run_steps
    from tongwen.progress import say

    recipe = open_recipe(path)
    steps = list_all_steps(recipe)
    for gone in remove_outputs(recipe, steps, name) if redo else []:
        say(f"removed {gone}")
    run_steps(recipe, required_steps(steps, name))
    say(f"{recipe.folder / name}")
    return recipe.folder / name
