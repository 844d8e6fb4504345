"""`[corpus]`: from raw files to documents without duplicates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tongwen.recipe.section import Positive, Section


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
    """Files and globs, local or remote (`s3://`, `hf://`, ...); each must match something."""
    format: Literal["auto", "jsonl", "parquet", "text"] = "auto"
    """`auto` goes by the name: .jsonl/.json, .parquet, .txt/.md, each plain, .gz or .zst."""
    category: str | None = None
    """Category of lines that name none (default: the file's name)."""
    language: str | None = None
    """Language of lines that name none (default: found from the script)."""
    source: str | None = None
    """Source of lines that name none (default: the file's name)."""
    columns: Columns = Columns()


class Rule(Section):
    """`[[corpus.categories.rules]]`: a category for lines that name none, by patterns."""

    category: Annotated[str, Field(min_length=1)]
    """Given to the lines that match."""
    path: str = "*"
    """Glob over the file's name as it stands in `origin`."""
    source: str = "*"
    """Glob over the line's source."""
    language: str = "*"
    """Glob over the line's language."""
    text: str = ""
    """Regular expression that must be found in the first 2,000 characters."""


class Categories(Section):
    """`[corpus.categories]`: categories for lines that name none."""

    rules: tuple[Rule, ...] = ()
    """The first rule that matches gives the category."""
    classifier: bool = False
    """Learn character n-grams from the lines that name their category, for those still without."""
    min_confidence: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Probability below which the classifier leaves the default category."""

    @model_validator(mode="after")
    def _check_patterns(self) -> Categories:
        import re

        for number, rule in enumerate(self.rules):
            try:
                re.compile(rule.text)
            except re.error as error:
                raise ValueError(f"rules.{number}.text is no regular expression: {error}") from None
        return self


class Engine(Section):
    """`[corpus.engine]`: what runs the tasks of the corpus stage; never changes a result."""

    kind: Literal["local", "ray"] = "local"
    """`local`: threads of this process; `ray`: tasks of a Ray cluster (`tongwen[ray]`)."""
    address: str = ""
    """Of a running Ray cluster ("auto", "ray://HOST:10001"); empty: one is started here."""


class Duplicates(Section):
    """`[corpus.duplicates]`: exact copies, and MinHash LSH with exact verification."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Exact Jaccard similarity from which two documents are near duplicates."""
    num_perm: Annotated[int, Field(ge=16, le=1024)] = 128
    """Permutations of a signature."""
    ngram: Annotated[int, Field(ge=1, le=32)] = 5
    """Length of a shingle: characters for Han, words for space-separated scripts."""
    normalized: bool = True
    """Whether documents that differ only in case, width, punctuation and space are copies."""
    keep: Literal["earliest", "longest", "priority", "order"] = "earliest"
    """Which document of several alike stays; ties go to the earliest (file, then line)."""
    priority: tuple[str, ...] = ()
    """With `keep = "priority"`: sources or globs of them, best first; others come last."""
    order: str = ""
    """With `keep = "order"`: DuckDB's ORDER BY over the columns of documents and `characters`."""
    against: tuple[str, ...] = ()
    """Folders of sketches of earlier runs (their `corpus/sketch`); what they know is removed."""
    paragraphs: Annotated[int, Field(ge=0)] = 0
    """A paragraph found in more documents than this is boilerplate and cut; 0: none is."""
    min_paragraph_characters: Positive = 20
    """Paragraphs with fewer, without the white space around them, are never cut."""

    @model_validator(mode="after")
    def _check_keep(self) -> Duplicates:
        for key in ("priority", "order"):
            if bool(getattr(self, key)) != (self.keep == key):
                raise ValueError(f'`{key}` belongs to keep = "{key}", and must be given with it')
        return self


class Audit(Section):
    """`[corpus.audit]`: how well duplicates are found, measured on planted edits."""

    documents: Annotated[int, Field(ge=10, le=100_000)] = 2000
    """Documents of the corpus that edited copies are made from."""
    copies: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Edited copies for each of them."""


class Corpus(Section):
    """`[corpus]`: from raw files to documents."""

    inputs: Annotated[tuple[Input, ...], Field(min_length=1)]
    """One table for every group of files."""
    max_document_characters: Positive = 10_000_000
    """A longer document is rejected (and listed)."""
    compression: Literal["none", "lz4", "zstd"] = "lz4"
    """Of the document shards: from the fastest to the smallest; never changes a result."""
    categories: Categories = Categories()
    engine: Engine = Engine()
    duplicates: Duplicates = Duplicates()
    audit: Audit = Audit()
