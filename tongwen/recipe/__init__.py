"""The recipe: one TOML file that holds everything which changes a result.

`load_recipe` turns the file into frozen, typed sections or into one `TongwenError` that names the
key, its value and what was expected.  A recipe is complete: it inherits from nothing and no flag
of the command line overrides it, so the file beside a result explains the result.  Paths in a
recipe are relative to the recipe's own folder.

The classes here, in `corpus`, `tokenizer` and `training` are the reference of the recipe: a
field's docstring is its help text.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from tongwen.errors import TongwenError
from tongwen.recipe.corpus import (
    Audit,
    Categories,
    Columns,
    Corpus,
    Duplicates,
    Engine,
    Input,
    Rule,
)
from tongwen.recipe.section import Positive, Section, Size, parse_bytes
from tongwen.recipe.tokenizer import (
    Comparison,
    Embeddings,
    PieceFilter,
    Sweep,
    Tokenizer,
    Weight,
)
from tongwen.recipe.training import Curriculum, Model, Part, Stage, Train

__all__ = [
    "Audit",
    "Buckets",
    "Categories",
    "Columns",
    "Comparison",
    "Corpus",
    "CorpusRecipe",
    "Curriculum",
    "Duplicates",
    "Embeddings",
    "Engine",
    "Input",
    "Model",
    "Part",
    "PieceFilter",
    "Recipe",
    "Reports",
    "Rule",
    "Run",
    "Section",
    "Stage",
    "Sweep",
    "Tokenizer",
    "Train",
    "Weight",
    "load_corpus_recipe",
    "load_recipe",
    "parse_bytes",
    "parse_corpus_recipe",
    "parse_recipe",
]


class Run(Section):
    """`[run]`: where the results go and what the machine may use."""

    folder: str
    """The run folder; everything is written below it."""
    seed: int = 1
    """The seed of every choice made by chance."""
    workers: Positive = 2
    """Processes or threads that a stage may use; never changes a result."""
    memory: Size = "4GB"
    """Memory that the out-of-core stages keep to (approximately)."""


class Buckets(Section):
    """`[buckets]`: packing, and what is held out of all training."""

    sequence_length: Annotated[int, Field(ge=16)] = 4096
    """Tokens of a training sequence."""
    held_out_documents: Positive = 8
    """Documents of each category x language kept out of every stage (at most a fifth of them)."""
    small_categories: Literal["refuse", "merge"] = "refuse"
    """A category too small to give every bucket a bin: an error, or joined into `other`."""


class Reports(Section):
    """`[reports]`: the page at the end."""

    title: str = ""
    """The page's heading; by default the run folder's name."""


class CorpusRecipe(Section):
    """A recipe of the corpus stage alone.  `home` is the file's folder, where paths start."""

    run: Run
    corpus: Corpus
    home: Annotated[Path, Field(exclude=True)] = Path()

    def resolve(self, path: str) -> Path:
        """A path of the recipe as an absolute one."""
        return (self.home / Path(path).expanduser()).resolve()

    @property
    def folder(self) -> Path:
        """The run folder, absolute."""
        return self.resolve(self.run.folder)


class Recipe(CorpusRecipe):
    """A whole recipe."""

    tokenizer: Tokenizer
    buckets: Buckets = Buckets()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    model: Model
    train: Train = Train()
    reports: Reports = Reports()

    @property
    def trained_stages(self) -> tuple[Stage, ...]:
        """The stages that are run here, in order."""
        return tuple(stage for stage in self.stages if stage.done_by == "run")

    @model_validator(mode="after")
    def _check_stages(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError("two stages have the same name")
        for before, after in zip(self.stages, self.stages[1:], strict=False):
            if before.vocabulary == "extended" and after.vocabulary == "base":
                raise ValueError(f"stage {after.name} goes back to the base vocabulary")
            if after.done_by == "base":
                raise ValueError(f"stage {after.name}: only the first stage can be done_by base")
        if self.stages[0].done_by == "base" and self.model.base is None:
            raise ValueError(f"stage {self.stages[0].name} is done_by base, but [model] names none")
        return self

    @model_validator(mode="after")
    def _check_parallel_sizes(self) -> Recipe:
        model, train = self.model, self.train
        for key in ("num_attention_heads", "num_query_groups", "ffn_hidden_size"):
            if getattr(model, key) % train.tensor_parallel:
                raise ValueError(f"tensor_parallel does not divide {key} = {getattr(model, key)}")
        if model.num_layers % train.pipeline_parallel:
            raise ValueError(f"pipeline_parallel does not divide num_layers = {model.num_layers}")
        if self.tokenizer.size % train.tensor_parallel:
            raise ValueError(f"tensor_parallel does not divide size = {self.tokenizer.size}")
        return self


AnyRecipe = TypeVar("AnyRecipe", bound=CorpusRecipe)


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        TongwenError: the file is missing, is not TOML, or a key is unknown, has a wrong value or
            contradicts another; the message names every such key.
    """
    return parse_recipe(_read_toml(path), home=path.resolve().parent, where=str(path))


def load_corpus_recipe(path: Path) -> CorpusRecipe:
    """`load_recipe` for a stage that needs [run] and [corpus] only; others may be left out."""
    table = _read_toml(path)
    parse = parse_corpus_recipe if set(table) <= {"run", "corpus"} else parse_recipe
    return parse(table, home=path.resolve().parent, where=str(path))


def parse_recipe(table: dict[str, Any], *, home: Path, where: str = "recipe") -> Recipe:
    """`load_recipe` for a table that was already read."""
    return _parse(Recipe, table, home, where)


def parse_corpus_recipe(
    table: dict[str, Any], *, home: Path, where: str = "recipe"
) -> CorpusRecipe:
    """`load_corpus_recipe` for a table of [run] and [corpus] that was already read."""
    return _parse(CorpusRecipe, table, home, where)


def _parse(kind: type[AnyRecipe], table: dict[str, Any], home: Path, where: str) -> AnyRecipe:
    if "home" in table:
        raise TongwenError("unknown key home", where=where, expected="the keys of FORMATS.md")
    try:
        return kind.model_validate({**table, "home": home})
    except ValidationError as error:
        raise _explain(error, where) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TongwenError(
            f"there is no recipe {path}", do="write one with: tongwen init RECIPE FILES..."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise TongwenError(f"cannot read the recipe: {error}", where=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise TongwenError(f"not valid TOML: {error}", where=str(path)) from None


def _explain(error: ValidationError, where: str) -> TongwenError:
    lines: list[str] = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "(recipe)"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key; {_known_keys(problem['loc'])}")
        elif isinstance(problem["input"], str | int | float | bool):
            lines.append(f"{key} = {problem['input']!r}: {message}")
        else:
            lines.append(f"{key}: {message}")
    return TongwenError(
        "the recipe does not hold together:\n    " + "\n    ".join(lines),
        where=where,
        expected="the keys and values that FORMATS.md lists",
        do="correct the keys named above; `tongwen plan RECIPE` checks without running",
    )


def _known_keys(location: tuple[int | str, ...]) -> str:
    section: Any = Recipe
    for part in location[:-1]:
        if isinstance(part, str) and part in section.model_fields:
            section = _section_of(section.model_fields[part].annotation)
    names = [name for name in section.model_fields if name != "home"]
    return "this table knows " + ", ".join(names)


def _section_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    found = (_section_of(inner) for inner in getattr(annotation, "__args__", ()))
    return next((section for section in found if section is not None), None)
