"""The steps of a run and what each depends on: the one list that knows every stage.

A step names the function that builds its output as `module:function`; the module is imported only
when the step is really built, so that a corpus command never loads torch.

    documents -> duplicates -> statistics
            \\-> vocabulary -> comparison
                          \\-> held_out, buckets of each stage
                                     \\-> training of each stage -> report
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tongwen.errors import TongwenError
from tongwen.progress import format_seconds, say
from tongwen.recipe import CorpusRecipe, Recipe
from tongwen.record import Counts, Record, identify_file, produce
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


def _tokenizer_steps(recipe: Recipe) -> Iterator[Step]:
    from tokenizer.files import resolve_model

    tokenizer = _dump(recipe.tokenizer)
    compare = tokenizer.pop("compare")
    for elsewhere in ("base", "embeddings", "sweep"):
        tokenizer.pop(elsewhere)
    held_out = _dump(recipe.buckets, "held_out_documents")
    base = resolve_model(recipe, recipe.tokenizer.base)
    yield Step(
        "tokenizer/vocabulary",
        "tokenizer.steps:build_vocabulary",
        {"tokenizer": tokenizer, "buckets": held_out},
        needs=_KEPT,
        files=(base,),
    )
    others = tuple(resolve_model(recipe, other.path) for other in recipe.tokenizer.compare)
    yield Step(
        "tokenizer/comparison",
        "tokenizer.steps:build_comparison",
        {"tokenizer": {"compare": [other["name"] for other in compare]}},
        needs=(*_KEPT, "tokenizer/vocabulary"),
        files=(base, *others),
    )


def _bucket_steps(recipe: Recipe) -> Iterator[Step]:
    needs = (*_KEPT, "tokenizer/vocabulary")
    files = (_base_tokenizer(recipe),)
    held_out = _dump(recipe.buckets, "held_out_documents", "sequence_length")
    yield Step(
        "buckets/held_out", "buckets.steps:build_held_out", {"buckets": held_out}, needs, files
    )
    for stage in recipe.trained_stages:
        config = {
            "buckets": _dump(recipe.buckets),
            "stage": _dump(stage, "name", "vocabulary", "tokens", "buckets", "mixture"),
            "seed": recipe.run.seed,
        }
        yield Step(
            f"buckets/{stage.name}",
            "buckets.steps:build_stage",
            config,
            needs=needs,
            files=files,
            arguments=(("stage", stage.name),),
        )


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
        {},
        needs=("tokenizer/vocabulary", *((before,) if before else ())),
        files=(_base_tokenizer(recipe), *(() if before else _base_weights(recipe))),
        arguments=(("before", before),),
    )


def _training_step(recipe: Recipe, name: str, before: str) -> Step:
    stage = next(stage for stage in recipe.stages if stage.name == name)
    model = _dump(recipe.model)
    model.pop("base")
    config = {
        "model": model,
        "train": _dump(recipe.train),
        "stage": _dump(stage),
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
    needs = (*_KEPT, "corpus/statistics", "tokenizer/vocabulary", "tokenizer/comparison")
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


def run_steps(recipe: CorpusRecipe, steps: tuple[Step, ...]) -> list[tuple[Step, Record, bool]]:
    """Build what is not built yet, in order; returns each record and whether it was built now.

    Raises:
        TongwenError: an output exists that was made with another recipe or other inputs.
    """
    run = RunFolder(recipe.folder)
    done: list[tuple[Step, Record, bool]] = []
    for number, step in enumerate(steps, 1):
        record, built = _run_step(recipe, run, step, f"[{number}/{len(steps)}]")
        done.append((step, record, built))
    return done


def _run_step(recipe: CorpusRecipe, run: RunFolder, step: Step, label: str) -> tuple[Record, bool]:
    if run.record(step.name) is None:
        say(f"{label} {step.name}")

    def build(out: Path) -> Counts:
        return step.load()(recipe, run, out)

    run.path(step.name).parent.mkdir(parents=True, exist_ok=True)
    record, built = produce(
        run.path(step.name),
        kind=step.name,
        config=step.config,
        inputs=step_inputs(run, step),
        build=build,
        resumable=step.resumable,
    )
    if built:
        counts = ", ".join(f"{key} {_show(value)}" for key, value in record.counts.items())
        say(f"      {format_seconds(record.seconds)}  {counts}")
    else:
        say(f"{label} {step.name}: done before")
    return record, built


def step_inputs(run: RunFolder, step: Step) -> dict[str, str]:
    """Name -> identity of everything a step reads."""
    found: dict[str, str] = {}
    for name in step.needs:
        run.finished(name)
        record = run.record(name)
        assert record is not None
        found[name] = record.content
    for file in step.files:
        identity = identify_file(file) if isinstance(file, Path) else file.identity
        found[f"{len(found)}:{file.name}"] = identity
    return found


def _show(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def required_steps(steps: tuple[Step, ...], name: str) -> tuple[Step, ...]:
    """The step of that name and all it needs, in order.

    Raises:
        TongwenError: there is no such step.
    """
    wanted = {_find_step(steps, name).name}
    for step in reversed(steps):
        if step.name in wanted:
            wanted.update(step.needs)
    return tuple(step for step in steps if step.name in wanted)


def _find_step(steps: tuple[Step, ...], name: str) -> Step:
    for step in steps:
        if step.name == name:
            return step
    raise TongwenError(
        f"there is no output {name!r} in this recipe",
        expected="one of " + ", ".join(step.name for step in steps),
    )


def remove_outputs(recipe: CorpusRecipe, steps: tuple[Step, ...], name: str) -> list[str]:
    """Remove an output and everything that was made from it; returns the names removed.

    Raises:
        TongwenError: there is no such step.
    """
    run, gone = RunFolder(recipe.folder), {_find_step(steps, name).name}
    for step in steps:
        if gone.intersection(step.needs):
            gone.add(step.name)
    present = [step.name for step in steps if step.name in gone and run.path(step.name).exists()]
    for output in present:
        shutil.rmtree(run.path(output))
    return present
