"""`tongwen corpus ...`: the verbs that do more than build one output.

Those that only build one (`read`, `dedup`, `stats`) are registered in `tongwen.cli`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tongwen.recipe import Recipe, load_recipe

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")]

corpus_group = typer.Typer(
    no_args_is_help=True, help="Raw files to documents, duplicates, statistics."
)


def open_recipe(path: Path) -> Recipe:
    """Load a recipe and lay out the sample corpus where it asks for that."""
    recipe = load_recipe(path)
    if any(path.startswith("sample:") for source in recipe.corpus.inputs for path in source.paths):
        from tongwen.sample import write_sample

        write_sample(recipe.folder / "sample", seed=recipe.run.seed)
    return recipe
