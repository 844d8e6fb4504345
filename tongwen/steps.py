"""The steps of a run and what each depends on: the one list that knows every stage.

A step names the function that builds its output as `module:function`; the module is imported only
when the step is really built, so that a corpus command never loads torch.

    documents -> duplicates -> statistics
            \\-> vocabulary -> comparison, lint
                          \\-> held_out, buckets of each stage
                                     \\-> training of each stage -> report
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tongwen.errors import TongwenError
from tongwen.recipe import CorpusRecipe, Recipe, Stage
from tongwen.record import Counts
from tongwen.run import RunFolder

if TYPE_CHECKING:
    from corpus.reading.paths import RemotePath

Build = Callable[[Any, RunFolder, Path], Counts]


@dataclass(frozen=True)
class Step:
    """One output of a run.

    Attributes:
        name: its folder below the run folder, `stage/output`.
        build: `module:function`; the function is called with the recipe, the run and a folder.
        config: what of the recipe changes the result.
        needs: the outputs it reads.
        files: input files it reads from outside the run folder; a remote one knows its identity.
        resumable: the function goes on in a folder that a killed run left.
        arguments: passed on to the function by name.
    """

    name: str
    build: str
    config: dict[str, Any]
    needs: tuple[str, ...] = ()
    files: tuple[Path | RemotePath, ...] = ()
    resumable: bool = False
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def stage(self) -> str:
        return self.name.partition("/")[0]

    def load(self) -> Build:
        """Import the function that builds this step."""
        module, _, function = self.build.partition(":")
        built = getattr(import_module(module), function)
        arguments = dict(self.arguments)
        return lambda recipe, run, out: built(recipe, run, out, **arguments)


def list_steps(recipe: Recipe) -> tuple[Step, ...]:
    """Every step of a run, each after the ones it needs."""
    return (
        *_corpus_steps(recipe),
        *_tokenizer_steps(recipe),
        *_bucket_steps(recipe),
        *_train_steps(recipe),
        _report_step(recipe),
    )


def list_all_steps(recipe: CorpusRecipe) -> tuple[Step, ...]:
    """Those of a run and those that are built when asked for by name."""
    own = list_steps(recipe) if isinstance(recipe, Recipe) else _corpus_steps(recipe)
    return (*own, *_extra_steps(recipe))


def _extra_steps(recipe: CorpusRecipe) -> Iterator[Step]:
    yield Step("corpus/kept", "corpus.steps:build_kept", {}, needs=_KEPT)
    duplicates = _dump(recipe.corpus.duplicates, "threshold", "num_perm", "ngram")
    sketch = {"corpus": {"duplicates": duplicates}}
    yield Step("corpus/sketch", "corpus.steps:build_sketch", sketch, needs=_KEPT)
    audit = {"corpus": _dump(recipe.corpus, "duplicates", "audit"), "seed": recipe.run.seed}
    needs = ("corpus/documents",)
    yield Step("corpus/audit", "corpus.steps:build_audit", audit, needs=needs)
    if isinstance(recipe, Recipe):
        yield _sweep_step(recipe)


def _dump(section: Any, *names: str) -> dict[str, Any]:
    return section.model_dump(mode="json", include=set(names) if names else None)


_KEPT = ("corpus/documents", "corpus/duplicates")


def _corpus_steps(recipe: CorpusRecipe) -> Iterator[Step]:
    from corpus.reading.files import find_files

    corpus = _dump(recipe.corpus, "inputs", "max_document_characters", "categories")
    duplicates = _dump(recipe.corpus, "duplicates")
    files = tuple(file for source in recipe.corpus.inputs for file in find_files(recipe, source))
    yield Step("corpus/documents", "corpus.steps:build_documents", {"corpus": corpus}, files=files)
    yield Step(
        "corpus/duplicates",
        "corpus.steps:build_duplicates",
        {"corpus": duplicates},
        needs=("corpus/documents",),
        files=_sketches(recipe),
        resumable=True,
    )
    yield Step("corpus/statistics", "corpus.steps:build_statistics", {}, needs=_KEPT)


def _sketches(recipe: CorpusRecipe) -> tuple[Path, ...]:
    if not recipe.corpus.duplicates.against:
        return ()
    from corpus.dedup.sketch import list_identity

    folders = map(recipe.resolve, recipe.corpus.duplicates.against)
    return tuple(path for folder in folders for path in list_identity(folder))


_LEARNING = (
    *("size", "languages", "punctuation_in_pieces", "spaces_in_pieces", "max_piece_length"),
    *("character_coverage", "min_count", "max_characters", "balance", "weights"),
)
_BUDGET = ("name", "done_by", "vocabulary", "tokens")
_CHOOSING = ("candidates", "rounds", "agreement", "lists", "filter")


def _tokenizer_steps(recipe: Recipe) -> Iterator[Step]:
    from tokenizer.files import resolve_model

    held_out = _dump(recipe.buckets, "held_out_documents")
    base = resolve_model(recipe, recipe.tokenizer.base)
    lists = (*recipe.tokenizer.lists, *filter(None, (recipe.tokenizer.filter.denylist,)))
    yield Step(
        "tokenizer/vocabulary",
        "tokenizer.steps:build_vocabulary",
        {"tokenizer": _dump(recipe.tokenizer, *_LEARNING, *_CHOOSING), "buckets": held_out},
        needs=_KEPT,
        files=(base, *map(_find_list, map(recipe.resolve, lists))),
    )
    others = tuple(resolve_model(recipe, other.path) for other in recipe.tokenizer.compare)
    names = [other.name for other in recipe.tokenizer.compare]
    yield Step(
        "tokenizer/comparison",
        "tokenizer.steps:build_comparison",
        {"tokenizer": {"compare": names}, "seed": recipe.run.seed},
        needs=(*_KEPT, "tokenizer/vocabulary"),
        files=(base, *others),
    )
    needs = (*_KEPT, "tokenizer/vocabulary")
    yield Step("tokenizer/lint", "tokenizer.steps:build_lint", {}, needs=needs)


def _find_list(path: Path) -> Path:
    if not path.is_file():
        raise TongwenError(
            f"there is no file {path}",
            where="tokenizer.lists or tokenizer.filter.denylist",
            expected="files with pieces, or with phrases that no piece may hold",
            do="correct the path; a relative one starts at the recipe's folder",
        )
    return path


def _sweep_step(recipe: Recipe) -> Step:
    config = {
        "tokenizer": _dump(recipe.tokenizer, *_LEARNING, "sweep"),
        "buckets": _dump(recipe.buckets, "held_out_documents", "sequence_length"),
        "model": recipe.model.model_dump(mode="json", exclude={"base"}),
        "stages": [
            _dump(each, "name", "done_by", "vocabulary", "tokens") for each in recipe.stages
        ],
    }
    build, base = "tokenizer.comparing.sweep:build_sweep", _base_tokenizer(recipe)
    return Step("tokenizer/sweep", build, config, needs=_KEPT, files=(base,))


def _bucket_steps(recipe: Recipe) -> Iterator[Step]:
    needs = (*_KEPT, "tokenizer/vocabulary")
    files = (_base_tokenizer(recipe),)
    held_out = _dump(recipe.buckets, "held_out_documents", "sequence_length")
    yield Step(
        "buckets/held_out", "buckets.steps:build_held_out", {"buckets": held_out}, needs, files
    )
    for stage in recipe.trained_stages:
        config: dict[str, Any] = {
            "buckets": _dump(recipe.buckets),
            "stage": _dump(
                stage, "name", "vocabulary", "tokens", "buckets", "mixture", "curriculum"
            ),
            "seed": recipe.run.seed,
        }
        yield Step(
            f"buckets/{stage.name}",
            "buckets.steps:build_stage",
            config,
            needs=needs,
            files=(*files, *_curriculum_files(recipe, stage)),
            resumable=True,
            arguments=(("stage", stage.name),),
        )


def _curriculum_files(recipe: Recipe, stage: Stage) -> tuple[Path, ...]:
    if stage.curriculum is None or stage.curriculum.table is None:
        return ()
    path = recipe.resolve(stage.curriculum.table)
    if not path.is_file():
        raise TongwenError(
            f"there is no file {path}",
            where=f"stages.{stage.name}.curriculum.table",
            expected=f"a Parquet table with id and {stage.curriculum.by}",
            do="correct the path; a relative one starts at the recipe's folder",
        )
    return (path,)


def _train_steps(recipe: Recipe) -> Iterator[Step]:
    """Each trained stage, and between the vocabularies the extension of the weights."""
    before, vocabulary = "", "base"
    for stage in recipe.stages:
        if (
            stage.vocabulary == "extended"
            and vocabulary == "base"
            and (before or recipe.model.base)
        ):
            yield _extension_step(recipe, before)
            before = "train/extended"
        vocabulary = stage.vocabulary
        if stage.done_by == "run":
            yield _training_step(recipe, stage.name, before)
            before = f"train/{stage.name}"


def _extension_step(recipe: Recipe, before: str) -> Step:
    return Step(
        "train/extended",
        "tokenizer.steps:build_extended_model",
        {"tokenizer": _dump(recipe.tokenizer, "embeddings"), "seed": recipe.run.seed},
        needs=("tokenizer/vocabulary", *((before,) if before else ())),
        files=(_base_tokenizer(recipe), *(() if before else _base_weights(recipe))),
        arguments=(("before", before),),
    )


def _training_step(recipe: Recipe, name: str, before: str) -> Step:
    from train.job import select_stage

    stage = next(stage for stage in recipe.stages if stage.name == name)
    model = _dump(recipe.model)
    model.pop("base")
    config = {
        "model": model,
        "train": _dump(recipe.train),
        "stage": select_stage(_dump(stage)),
        "sequence_length": recipe.buckets.sequence_length,
        "seed": recipe.run.seed,
    }
    start = (before,) if before else ()
    return Step(
        f"train/{name}",
        "train.steps:build_training",
        config,
        needs=(f"buckets/{name}", "buckets/held_out", "tokenizer/vocabulary", *start),
        files=(_base_tokenizer(recipe), *(() if before else _base_weights(recipe))),
        resumable=True,
        arguments=(("stage", name), ("before", before)),
    )


def _report_step(recipe: Recipe) -> Step:
    trained = [f"train/{stage.name}" for stage in recipe.trained_stages]
    bucketed = [f"buckets/{stage.name}" for stage in recipe.trained_stages]
    tokenizer = ("tokenizer/vocabulary", "tokenizer/comparison", "tokenizer/lint")
    needs = (*_KEPT, "corpus/statistics", *tokenizer)
    return Step(
        "reports/report",
        "reports.steps:build_report",
        {"reports": _dump(recipe.reports)},
        needs=(*needs, "buckets/held_out", *bucketed, *trained),
    )


def _base_tokenizer(recipe: Recipe) -> Path:
    from tokenizer.files import resolve_model

    return resolve_model(recipe, recipe.tokenizer.base)


def _base_weights(recipe: Recipe) -> tuple[Path, ...]:
    """The weight files of the base model; none where it starts from random weights."""
    if recipe.model.base is None:
        return ()
    folder = recipe.resolve(recipe.model.base)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").exists():
        raise TongwenError(
            "no Hugging Face model there",
            where=f"model.base = {recipe.model.base!r} ({folder})",
            expected="a folder with config.json and *.safetensors",
            do="convert the checkpoint to safetensors or correct the path",
        )
    return (folder / "config.json", *weights)
