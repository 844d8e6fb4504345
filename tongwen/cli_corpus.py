"""`tongwen corpus ...`: the verbs that do more than build one output.

Those that only build one (`read`, `dedup`, `stats`) are registered in `tongwen.cli`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tongwen.heap import keep_freed_memory
from tongwen.progress import say
from tongwen.recipe import CorpusRecipe, Recipe, load_corpus_recipe, load_recipe

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")]

corpus_group = typer.Typer(
    no_args_is_help=True, help="Raw files to documents, duplicates, statistics."
)


def open_recipe(path: Path) -> Recipe:
    """Load a recipe and lay out the sample corpus where it asks for that."""
    recipe = load_recipe(path)
    _lay_out_sample(recipe)
    return recipe


def open_corpus_recipe(path: Path) -> CorpusRecipe:
    """The same for the corpus stage, which needs [run] and [corpus] only."""
    keep_freed_memory()
    recipe = load_corpus_recipe(path)
    _lay_out_sample(recipe)
    return recipe


def _lay_out_sample(recipe: CorpusRecipe) -> None:
    if any(path.startswith("sample:") for source in recipe.corpus.inputs for path in source.paths):
        from tongwen.sample import write_sample

        write_sample(recipe.folder / "sample", seed=recipe.run.seed)


@corpus_group.command("sql")
def ask_statistics(
    recipe: RecipeFile,
    query: Annotated[
        str, typer.Argument(help="A SELECT; without one the tables and views are listed.")
    ] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every row as CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every row as JSON.")] = False,
    limit: Annotated[int | None, typer.Option(min=0, help="Rows (40 of a table).")] = None,
) -> None:
    """Ask the statistics, and the texts behind them, in SQL."""
    from itertools import islice

    from corpus.counting.sql import ask, describe_statistics, open_statistics
    from tongwen import tables
    from tongwen.recipe import parse_bytes
    from tongwen.run import RunFolder

    loaded = load_corpus_recipe(recipe)
    run, memory = RunFolder(loaded.folder), parse_bytes(loaded.run.memory)
    with open_statistics(run, memory=memory, workers=loaded.run.workers) as database:
        if not query:
            tables.print_names(each.list_words() for each in describe_statistics(database))
            return
        answer = ask(database, query)
        names, rows = answer.schema.names, tables.list_rows(answer.batches)
        if as_csv or as_json:
            print_rows = tables.print_csv if as_csv else tables.print_json
            print_rows(names, islice(rows, limit))
        else:
            tables.print_table(names, rows, 40 if limit is None else limit)


@corpus_group.command("audit")
def audit_duplicates(recipe: RecipeFile) -> None:
    """Plant edits into a sample of the corpus and measure how well they are found."""
    from corpus.audit.tables import format_audit
    from tongwen.pipeline import list_all_steps, required_steps, run_steps

    loaded = open_corpus_recipe(recipe)
    run_steps(loaded, required_steps(list_all_steps(loaded), "corpus/audit"))
    print(format_audit(loaded.folder / "corpus" / "audit"))


@corpus_group.command("query")
def query_known(
    sketch: Annotated[Path, typer.Argument(help="A sketch: RUN/corpus/sketch.")],
    files: Annotated[list[Path], typer.Argument(help="Files with the texts to look up.")],
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Similarity from which a document is shown.")
    ] = 0.5,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every row as CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every row as JSON.")] = False,
) -> None:
    """Say which known documents some texts are like; the old text is not needed."""
    import tempfile

    from corpus.dedup.query import query_sketch
    from corpus.steps import build_documents
    from tongwen import tables
    from tongwen.recipe import parse_corpus_recipe
    from tongwen.run import RunFolder

    paths = [str(path.absolute()) for path in files]
    with tempfile.TemporaryDirectory(prefix="tongwen-query-") as folder:
        table = {"run": {"folder": folder}, "corpus": {"inputs": [{"paths": paths}]}}
        recipe = parse_corpus_recipe(table, home=Path(folder))
        build_documents(recipe, RunFolder(Path(folder)), Path(folder))
        found = query_sketch(sketch, Path(folder), threshold=threshold)
    rows = [tuple(row.values()) for row in found.to_pylist()]
    if as_csv or as_json:
        print_rows = tables.print_csv if as_csv else tables.print_json
        print_rows(found.column_names, iter(rows))
    elif rows:
        tables.print_table(found.column_names, iter(rows), len(rows))
    else:
        say(f"nothing in the sketch has a similarity of {threshold:g} or more")
