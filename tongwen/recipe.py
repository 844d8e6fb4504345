"""The recipe: one TOML file that holds everything which changes a result.

`load_recipe` turns the file into frozen, typed sections or into one `TongwenError` that names the
key, its value and what was expected.  A recipe is complete: it inherits from nothing and no flag
of the command line overrides it, so the file beside a result explains the result.  Paths in a
recipe are relative to the recipe's own folder.

The classes below are the reference of the recipe: a field's docstring is its help text.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tongwen.errors import TongwenError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = ("extended", "held_out")
_FACTOR = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_bytes(text: str) -> int:
    """Bytes of a size such as `"4GB"` (decimal units).  Raises ValueError for anything else."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as '4GB' or '512MB'")
    return int(float(match[1]) * _FACTOR[match[2].upper()])


def _check_size(text: str) -> str:
    parse_bytes(text)
    return text


def _check_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError("a name is a lower-case letter, then letters, digits or _, at most 40")
    if text in _TAKEN:
        raise ValueError(f"{text} is the name of another output")
    return text


Size = Annotated[str, AfterValidator(_check_size)]
Name = Annotated[str, AfterValidator(_check_name)]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A table of the recipe: frozen, strict, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _freeze_lists(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}


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


class Columns(Section):
    """`[corpus.inputs.columns]`: names of a line's fields, where they differ from those known."""

    text: str | None = None
    """Holds the text; by default `target` where a line has one (Colossal, QA), else `text`."""
    prompt: str | None = None
    """Holds the prompt (no loss on it); by default `source` where a line has a `target`."""
    category: str | None = None
    """By default `category`."""
    language: str | None = None
    """By default `language` or `lang`."""
    source: str | None = None
    """Where the text comes from; by default `source`, or `origin` where a line has a `target`."""


class Input(Section):
    """`[[corpus.inputs]]`: files of one kind."""

    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    """Files and globs; each must match something."""
    format: Literal["auto", "jsonl", "parquet", "text"] = "auto"
    """`auto` goes by the name: .jsonl/.json, .parquet, .txt/.md, each plain, .gz or .zst."""
    category: str | None = None
    """Category of lines that name none (default: the file's name)."""
    language: str | None = None
    """Language of lines that name none (default: found from the script)."""
    source: str | None = None
    """Source of lines that name none (default: the file's name)."""
    columns: Columns = Columns()


class Duplicates(Section):
    """`[corpus.duplicates]`: MinHash LSH with exact verification."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Exact Jaccard similarity from which two documents are near duplicates."""
    num_perm: Annotated[int, Field(ge=16, le=1024)] = 128
    """Permutations of a signature."""
    ngram: Annotated[int, Field(ge=1, le=32)] = 5
    """Length of a shingle: characters for Han, words for space-separated scripts."""


class Corpus(Section):
    """`[corpus]`: from raw files to documents."""

    inputs: Annotated[tuple[Input, ...], Field(min_length=1)]
    """One table for every group of files."""
    max_document_characters: Positive = 10_000_000
    """A longer document is rejected (and listed)."""
    duplicates: Duplicates = Duplicates()


class Comparison(Section):
    """`[[tokenizer.compare]]`: a tokenizer to measure ours against."""

    name: str
    """As the report shows it."""
    path: str
    """A SentencePiece .model, a tokenizer.json or a .tiktoken file."""


class Tokenizer(Section):
    """`[tokenizer]`: pieces learned from the corpus, appended to the base model's."""

    base: str
    """A SentencePiece BPE .model; `package:NAME/FILE` takes a file of an installed package."""
    size: Positive = 69_104
    """Pieces of the extended vocabulary, base included; met exactly."""
    languages: Annotated[tuple[str, ...], Field(min_length=1)] = ("zh",)
    """Languages whose documents the pieces are learned from."""
    punctuation_in_pieces: bool = True
    """Whether Chinese punctuation may join a piece (compresses about 6 % better)."""
    max_piece_length: Annotated[int, Field(ge=2, le=64)] = 16
    """Characters of the longest piece."""
    character_coverage: Annotated[float, Field(gt=0.9, le=1)] = 0.9995
    """Share of the running characters whose characters become pieces; the rest stay bytes."""
    min_count: Positive = 2
    """A pair must occur so often to become a piece."""
    max_characters: Positive = 200_000_000
    """At most so many characters are learned from (documents chosen by their id)."""
    compare: tuple[Comparison, ...] = ()


class Buckets(Section):
    """`[buckets]`: packing, and what is held out of all training."""

    sequence_length: Annotated[int, Field(ge=16)] = 4096
    """Tokens of a training sequence."""
    held_out_documents: Positive = 8
    """Documents of each category x language kept out of every stage (at most a fifth of them)."""
    small_categories: Literal["refuse", "merge"] = "refuse"
    """A category too small to give every bucket a bin: an error, or joined into `other`."""


class Part(Section):
    """`[[stages.mixture]]`: a share of a stage's tokens and the documents it is taken from."""

    share: Share
    """Of the stage's tokens; the shares of a stage add up to 1."""
    languages: tuple[str, ...] = ()
    """Empty: every language."""
    categories: tuple[str, ...] = ()
    """Names or globs; empty: every category."""
    kinds: tuple[Literal["text", "qa"], ...] = ()
    """`qa` documents have a prompt; empty: both."""
    max_epochs: Annotated[float, Field(ge=1)] = 1.0
    """How often a document may be used at most, where the corpus is smaller than the share."""


class Stage(Section):
    """`[[stages]]`: one of the training stages, in order."""

    name: Name
    """Also the name of its output folders."""
    done_by: Literal["run", "base"] = "run"
    """`base`: nothing is trained, the weights of `[model] base` take its place."""
    vocabulary: Literal["base", "extended"] = "extended"
    """The pieces this stage trains with; once extended, a later stage stays so."""
    tokens: Positive = 1_000_000
    """Token budget, padding aside; with `done_by = "base"` not used."""
    buckets: Positive = 8
    """Buckets of the stage, each with one bin of every category."""
    mixture: tuple[Part, ...] = ()
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """The highest, reached at the end of the warm-up."""
    min_learning_rate: Annotated[float, Field(ge=0)] = 1e-5
    """The last."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the stage's iterations with a rising learning rate."""
    trainable: Literal["all", "embeddings"] = "all"
    """`embeddings`: only the input and output embeddings learn."""

    @model_validator(mode="after")
    def _check_mixture(self) -> Stage:
        if self.done_by == "run" and not self.mixture:
            raise ValueError("a stage that is run needs at least one [[stages.mixture]]")
        total = sum(part.share for part in self.mixture)
        if self.mixture and abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the mixture add up to {total:g}, not to 1")
        if self.min_learning_rate > self.learning_rate:
            raise ValueError("min_learning_rate is above learning_rate")
        return self


class Model(Section):
    """`[model]`: the LLaMA that is trained."""

    base: str | None = None
    """A Hugging Face LLaMA folder that the first stage starts from; none: random weights."""
    num_layers: Positive
    """Transformer layers; a multiple of pipeline_parallel."""
    hidden_size: Positive
    """Width of the residual stream."""
    ffn_hidden_size: Positive
    """Width inside the gated feed-forward layer."""
    num_attention_heads: Positive
    """A multiple of tensor_parallel."""
    num_query_groups: Positive
    """Key/value heads; equal to num_attention_heads for LLaMA-2-7B."""
    rope_theta: Annotated[float, Field(gt=0)] = 10_000.0
    """Base of the rotary embedding's wavelengths."""
    norm_epsilon: Annotated[float, Field(gt=0)] = 1e-5
    """Of RMSNorm."""
    init_std: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of random weights."""

    @model_validator(mode="after")
    def _check_shape(self) -> Model:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("num_attention_heads does not divide hidden_size")
        if (self.hidden_size // self.num_attention_heads) % 2:
            raise ValueError("hidden_size / num_attention_heads must be even (rotary embedding)")
        if self.num_attention_heads % self.num_query_groups:
            raise ValueError("num_query_groups does not divide num_attention_heads")
        return self


class Train(Section):
    """`[train]`: layout, batch and optimizer of every stage."""

    num_processes: Positive = 1
    """World size; the data-parallel size is what tensor and pipeline parallel leave of it."""
    tensor_parallel: Positive = 1
    """Ranks that share every matrix."""
    pipeline_parallel: Positive = 1
    """Ranks that share the layers."""
    micro_batch_size: Positive = 1
    """Sequences that go through the model at once."""
    global_batch_size: Positive = 8
    """Sequences of one iteration."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of weights and activations; bf16 keeps fp32 main weights and gradients."""
    distributed_optimizer: bool = True
    """Optimizer states sharded over the data-parallel ranks."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """Decoupled (AdamW); not on norms."""
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the first moment."""
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """Decay of the second moment."""
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the root of the second moment."""
    clip_grad: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of all gradients together."""
    checkpoint_every: Positive = 50
    """Iterations between checkpoints."""
    evaluate_every: Positive = 50
    """Iterations between evaluations on the held-out documents."""
    log_every: Positive = 1
    """Iterations between lines of metrics.jsonl."""
    tensorboard: bool = True
    """Write TensorBoard events too."""

    @property
    def data_parallel(self) -> int:
        return self.num_processes // (self.tensor_parallel * self.pipeline_parallel)

    @model_validator(mode="after")
    def _check_layout(self) -> Train:
        layout = self.tensor_parallel * self.pipeline_parallel
        if self.num_processes % layout:
            raise ValueError(
                f"num_processes = {self.num_processes} is not a multiple of tensor_parallel x "
                f"pipeline_parallel = {self.tensor_parallel} x {self.pipeline_parallel} = {layout}"
            )
        if self.global_batch_size % (self.micro_batch_size * self.data_parallel):
            raise ValueError(
                f"global_batch_size = {self.global_batch_size} is not a multiple of "
                f"micro_batch_size x data-parallel size = {self.micro_batch_size} x "
                f"{self.data_parallel}"
            )
        return self


class Reports(Section):
    """`[reports]`: the page at the end."""

    title: str = ""
    """The page's heading; by default the run folder's name."""


class Recipe(Section):
    """A whole recipe.  `home` is the folder of the file, where relative paths start."""

    run: Run
    corpus: Corpus
    tokenizer: Tokenizer
    buckets: Buckets = Buckets()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    model: Model
    train: Train = Train()
    reports: Reports = Reports()
    home: Annotated[Path, Field(exclude=True)] = Path()

    def resolve(self, path: str) -> Path:
        """A path of the recipe as an absolute one."""
        return (self.home / Path(path).expanduser()).resolve()

    @property
    def folder(self) -> Path:
        """The run folder, absolute."""
        return self.resolve(self.run.folder)

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


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        TongwenError: the file is missing, is not TOML, or a key is unknown, has a wrong value or
            contradicts another; the message names every such key.
    """
    return parse_recipe(_read_toml(path), home=path.resolve().parent, where=str(path))


def parse_recipe(table: dict[str, Any], *, home: Path, where: str = "recipe") -> Recipe:
    """`load_recipe` for a table that was already read."""
    if "home" in table:
        raise TongwenError("unknown key home", where=where, expected="the keys of FORMATS.md")
    try:
        return Recipe.model_validate({**table, "home": home})
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
