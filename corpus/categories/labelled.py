"""A bounded sample of the lines that name their category, for the classifier to learn from.

Every file gives its share of 200 million characters of text, from its start.  Of what is read, each
category keeps the texts with the smallest hashes: as many as make 20,000 in all, and at most 2,000
of one.  So rare categories are whole in the sample, neither the order of the lines nor the cut into
files decides what is in it, and it takes seconds whatever the corpus's size.  Its price: a large
file that is sorted by category shows only its first ones, and the shares of the categories in the
sample are not those in the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.categories.ngrams import CHARACTERS
from corpus.reading.arrays import Fields
from corpus.reading.files import InputFile
from corpus.reading.readers import read_file
from corpus.reading.records import Rules, UnusableError
from tongwen.errors import TongwenError

MIN_DOCUMENTS, MAX_PER_CATEGORY, MAX_DOCUMENTS = 20, 2000, 20_000
MAX_CATEGORIES = 500
MAX_FILES, MAX_CHARACTERS = 1000, 200_000_000

_LINE_COST = 100
"""Characters that a line counts at least, so that files of tiny lines end too."""
_WHERE = "corpus.categories.classifier"


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled texts, in the order of their ids.

    Attributes:
        texts: at most the first 2,000 characters of each.
        labels: the number of each text's category in `categories`.
        left_out: categories with too few texts, and how many they have.
    """

    ids: tuple[str, ...]
    texts: pa.Array
    labels: NDArray[np.int64]
    categories: tuple[str, ...]
    left_out: dict[str, int]


def sample_labelled(files: Sequence[InputFile], max_characters: int) -> Sample:
    """Labelled texts of the files; copies in the same category count once.

    Raises:
        TongwenError: fewer than two categories have 20 texts, or more than 500 have.
    """
    chosen, collector = _choose_files(files), Collector()
    left = MAX_CHARACTERS
    for number, file in enumerate(chosen):
        # What a small file leaves of its share goes to those after it.
        share = left // (len(chosen) - number)
        left -= share
        left += _collect(file, max_characters, share, collector)
    return _check(collector.finish())


def _choose_files(files: Sequence[InputFile]) -> Sequence[InputFile]:
    """All files, or as many as may be opened, evenly spread over them."""
    if len(files) <= MAX_FILES:
        return files
    return [files[number * len(files) // MAX_FILES] for number in range(MAX_FILES)]


def _collect(file: InputFile, max_characters: int, share: int, collector: Collector) -> int:
    """Take the documents with a category among the first `share` characters; returns what is left
    of the share."""
    rules = Rules(
        columns=file.source.columns,
        origin=file.origin,
        category=file.source.category or "",
        # A language, so that none is looked for.
        language=file.source.language or "any",
        source=file.source.source or file.stem,
        max_characters=max_characters,
    )
    for line, fields in read_file(file, max_characters):
        share -= _LINE_COST
        # Lines that cannot be used are listed by the reader of the documents.
        with suppress(UnusableError):
            document = rules.make_document(_require_fields(fields), line)
            share -= len(document.text) + len(document.category)
            if document.category:
                collector.add(document.category, document.id, document.text[:CHARACTERS])
        if share <= 0:
            break
    return max(0, share)


def _require_fields(fields: Fields | UnusableError) -> Fields:
    if isinstance(fields, UnusableError):
        raise fields
    return fields


class Collector:
    """Keeps, of every category, the texts with the smallest hashes; any order gives the same."""

    def __init__(
        self, max_documents: int = MAX_DOCUMENTS, max_per_category: int = MAX_PER_CATEGORY
    ) -> None:
        self.max_documents, self.most = max_documents, max_per_category
        self._texts: dict[str, dict[str, str]] = {}
        self._held = 0

    def add(self, category: str, id_: str, text: str) -> None:
        """Take a text, or not."""
        texts = self._texts.setdefault(category, {})
        self._held += id_ not in texts
        texts[id_] = text
        if len(texts) >= 2 * self.most + MIN_DOCUMENTS:
            self._prune(category)
        if self._held >= 2 * self.max_documents:
            self._lower()

    def finish(self) -> Sample:
        """What is kept, without the categories that have too few texts."""
        self._lower()
        left_out = {
            name: len(texts)
            for name, texts in sorted(self._texts.items())
            if len(texts) < MIN_DOCUMENTS
        }
        categories = tuple(sorted(self._texts.keys() - left_out.keys()))
        rows = sorted(
            (id_, label, text)
            for label, name in enumerate(categories)
            for id_, text in self._texts[name].items()
        )
        return Sample(
            ids=tuple(id_ for id_, _, _ in rows),
            texts=pa.array([text for _, _, text in rows], pa.large_string()),
            labels=np.array([label for _, label, _ in rows], np.int64),
            categories=categories,
            left_out=left_out,
        )

    def _lower(self) -> None:
        """Find the most that a category may keep, and let go of the rest."""
        counts = np.sort([len(texts) for texts in self._texts.values()])
        while self.most > 1 and np.minimum(counts, self.most).sum() > self.max_documents:
            self.most -= 1
        for category in self._texts:
            self._prune(category)
        if self._held > self.max_documents:
            raise TongwenError(
                f"more than {self.max_documents:,} different categories were read",
                where=_WHERE,
                expected="a column `category` with few different values",
                do="name another column in [corpus.inputs.columns], or set classifier = false",
            )

    def _prune(self, category: str) -> None:
        texts = self._texts[category]
        if len(texts) > self.most:
            # The end of an id, because its beginning deals out the folds.
            smallest = sorted(texts, key=lambda id_: (id_[::-1], id_))[: self.most]
            self._held -= len(texts) - len(smallest)
            self._texts[category] = {id_: texts[id_] for id_ in smallest}


def _check(sample: Sample) -> Sample:
    num = len(sample.categories)
    if num < 2:
        raise TongwenError(
            f"too little to learn categories from: {_count(num)} {MIN_DOCUMENTS} labelled "
            f"documents or more{_list(sample)}",
            where=_WHERE,
            expected=f"at least two categories of {MIN_DOCUMENTS} different documents each, named "
            "in the lines or as `category` of [[corpus.inputs]]",
            do="label more documents, write [[corpus.categories.rules]], or set classifier = false",
        )
    if num > MAX_CATEGORIES:
        raise TongwenError(
            f"{num} categories to learn, {MAX_CATEGORIES} are allowed",
            where=_WHERE,
            do="name a coarser column in [corpus.inputs.columns], or set classifier = false",
        )
    return sample


def _count(num: int) -> str:
    return "only one category has" if num else "no category has"


def _list(sample: Sample) -> str:
    few = [f"{name!r} {count}" for name, count in list(sample.left_out.items())[:5]]
    return f" (too few: {', '.join(few)})" if few else ""
