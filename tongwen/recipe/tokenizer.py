"""The tokenizer: which pieces are learned, what they are compared with, where their rows start."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tongwen.recipe.section import Positive, Section

StartInput = Literal["mean", "weighted", "late", "gaussian"]
StartOutput = Literal["mean", "weighted", "prior", "gaussian"]


class Comparison(Section):
    """`[[tokenizer.compare]]`: a tokenizer to measure ours against."""

    name: str
    """As the report shows it."""
    path: str
    """A SentencePiece .model, a tokenizer.json or a .tiktoken file."""


class Weight(Section):
    """`[[tokenizer.weights]]`: how much some documents count when pieces are learned."""

    categories: tuple[str, ...] = ()
    """Names or globs; empty: every category."""
    sources: tuple[str, ...] = ()
    """Names or globs; empty: every source."""
    weight: Annotated[float, Field(ge=0, le=1000)]
    """Factor; the weights of all entries that match a document are multiplied, 0 leaves it out."""


class PieceFilter(Section):
    """`[tokenizer.filter]`: pieces that are not learned, each listed with its reason."""

    shapes: bool = True
    """Leave out what looks like an e-mail address, a URL, a telephone, bank-card or ID number."""
    advertising: bool = True
    """Leave out phrases of advertising and of web pages (`点击下载`, `加微信`, ...)."""
    patterns: tuple[str, ...] = ()
    """Regular expressions (Python); a piece in which one is found is left out."""
    denylist: str | None = None
    """A text file with one phrase a line; a piece that holds one is left out."""


class Embeddings(Section):
    """`[tokenizer.embeddings]`: where the rows of new pieces start."""

    input: StartInput = "late"
    """Rows of the input embedding: `mean` of the base pieces of the same text, without the dummy
    prefix; `weighted`: rare ones count more; `late`: each counts twice the one before it;
    `gaussian`: mean plus noise of the base's covariance. Also those of a tied embedding."""
    output: StartOutput = "prior"
    """Rows of the output embedding: as above, or `prior`: mostly that of the first base piece,
    moved so that the new piece is as much less likely than that as it is rarer in the text."""
    noise: Annotated[float, Field(ge=0)] = 0.1
    """Scale of the noise of `gaussian`, 1 is the base's own spread."""
    match_norm: bool = False
    """Scale each new row to the median norm of the base's rows (before `prior` moves it)."""


class Sweep(Section):
    """`[tokenizer.sweep]`: sizes of vocabulary and what each would cost."""

    sizes: Annotated[tuple[Positive, ...], Field(min_length=2)] = (
        40_000,
        46_000,
        49_953,
        55_296,
        60_000,
        64_789,
        69_104,
        80_000,
        90_000,
        100_000,
    )
    """Pieces of each vocabulary; those that the corpus does not support are said and left out."""
    flops_per_second: Annotated[float, Field(gt=0)] = 312e12
    """Peak of one GPU in the training precision (A800 and A100: 312e12)."""
    utilization: Annotated[float, Field(gt=0, le=1)] = 0.33
    """Share of the peak that training reaches (model FLOPs utilization)."""
    dollars_per_gpu_hour: Annotated[float, Field(ge=0)] = 1.0
    """Price of a GPU and hour."""


class Tokenizer(Section):
    """`[tokenizer]`: pieces learned from the corpus, appended to the base model's."""

    base: str
    """A SentencePiece BPE .model; `package:NAME/FILE` takes a file of an installed package."""
    size: Positive = 69_104
    """Pieces of the extended vocabulary, base included; met exactly."""
    languages: Annotated[tuple[str, ...], Field(min_length=1)] = ("zh",)
    """Languages whose documents the pieces are learned from."""
    punctuation_in_pieces: bool = True
    """Whether Chinese punctuation may join a piece."""
    spaces_in_pieces: bool = True
    """Whether the space in front of Chinese text may join a piece, as it does in English ones."""
    max_piece_length: Annotated[int, Field(ge=2, le=64)] = 16
    """Characters of the longest piece."""
    character_coverage: Annotated[float, Field(gt=0.9, le=1)] = 0.9995
    """Share of the running characters whose characters become pieces; the rest stay bytes."""
    min_count: Positive = 2
    """A pair must occur so often (weighted) to become a piece."""
    max_characters: Positive = 200_000_000
    """At most so many characters are learned from (documents chosen by their id)."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Exponent on the size of each source: 1 counts every character alike, 0 every source."""
    weights: tuple[Weight, ...] = ()
    candidates: Annotated[float, Field(ge=1, le=10)] = 3.0
    """So many times the new pieces are learned; the ones that pay are chosen among them."""
    rounds: Annotated[int, Field(ge=0, le=20)] = 2
    """How often pieces that do not pay give their places to others, at most; 0: plain BPE."""
    agreement: Annotated[float, Field(gt=0, le=1)] = 0.5
    """1: a piece is worth its mean use; the lower, the more sources must use it."""
    lists: tuple[str, ...] = ()
    """Files with pieces to add: JSON lines of {"piece": ...}, plain lines, or another .model."""
    filter: PieceFilter = PieceFilter()
    compare: tuple[Comparison, ...] = ()
    embeddings: Embeddings = Embeddings()
    sweep: Sweep = Sweep()

    @model_validator(mode="after")
    def _check_sweep(self) -> Tokenizer:
        if list(self.sweep.sizes) != sorted(set(self.sweep.sizes)):
            raise ValueError("the sizes of the sweep must rise")
        return self
