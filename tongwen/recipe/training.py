"""The stages, the model and how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tongwen.recipe.section import Name, Positive, Section, Share


class Part(Section):
    """`[[stages.mixture]]`: a share of a stage's tokens and the documents it is taken from."""

    share: Share | None = None
    """Of the stage's tokens; parts without one divide what is left, as the corpus has them."""
    languages: tuple[str, ...] = ()
    """Empty: every language."""
    categories: tuple[str, ...] = ()
    """Names or globs; empty: every category."""
    kinds: tuple[Literal["text", "qa"], ...] = ()
    """`qa` documents have a prompt; empty: both."""
    max_epochs: Annotated[float, Field(ge=1)] = 1.0
    """How often a document may be used at most, where the corpus is smaller than the share."""
    temperature: Annotated[float, Field(ge=1, le=100)] = 1.0
    """Between its categories and languages: 1 as the corpus has them, more is evener."""


class Curriculum(Section):
    """`[stages.curriculum]`: documents in an order other than by chance, in every category."""

    by: str
    """`length` (tokens of a document), or a column of `table`."""
    table: str | None = None
    """A Parquet file with `id` and that column; documents without a value come last."""
    descending: bool = False
    """The largest values first."""

    @model_validator(mode="after")
    def _check_table(self) -> Curriculum:
        if (self.by == "length") != (self.table is None):
            raise ValueError('by = "length" takes no table, and any other column needs one')
        return self


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
    curriculum: Curriculum | None = None
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
        self._check_shares()
        if self.min_learning_rate > self.learning_rate:
            raise ValueError("min_learning_rate is above learning_rate")
        return self

    def _check_shares(self) -> None:
        total = sum(part.share for part in self.mixture if part.share is not None)
        is_open = any(part.share is None for part in self.mixture)
        if is_open and total >= 1 - 1e-6:
            raise ValueError(
                f"the shares of the mixture add up to {total:g} and leave nothing to the part "
                "without a share"
            )
        if self.mixture and not is_open and abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the mixture add up to {total:g}, not to 1")


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

    def count_parameters(self, num_pieces: int) -> int:
        """Parameters with a vocabulary of that size; input and output embeddings are untied."""
        width, head = self.hidden_size, self.hidden_size // self.num_attention_heads
        attention = 2 * width * width + 2 * width * head * self.num_query_groups
        layer = attention + 3 * width * self.ffn_hidden_size + 2 * width
        return 2 * num_pieces * width + self.num_layers * layer + width

    def count_attention(self, length: int) -> int:
        """Operations that training a token of a sequence takes beside those of parameters.

        Scores and their sums are 4 operations for each of the width's numbers and each of the
        length / 2 positions before a token, and training takes three times the forward pass (the
        PaLM paper, appendix B, with the causal half).
        """
        return 6 * self.num_layers * self.hidden_size * length

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
