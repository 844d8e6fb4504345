"""Categories for lines that name none: by a table of rules, then by a classifier.

The rules are tried in order and the first that matches gives the category.  Globs are matched once
for each different value of a column, a regular expression only where the globs let a line through.
What no rule knows goes to the classifier, which was learned from the lines of the same inputs that
name theirs; where it is in doubt the category stays "".
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus.categories.classifier import Classifier, split_folds, train_classifier
from corpus.categories.labelled import sample_labelled
from corpus.categories.ngrams import CHARACTERS
from corpus.categories.report import report_classifier
from corpus.reading.files import InputFile
from tongwen.recipe import Categories, Rule
from tongwen.record import write_text

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Categorizer:
    """Gives categories; can be sent to other processes.

    Attributes:
        rules: in the order in which they are tried.
        classifier: None where there are only rules.
        min_confidence: probability from which the classifier's answer counts.
    """

    rules: tuple[Rule, ...]
    classifier: Classifier | None = None
    min_confidence: float = 0.5

    def fill(
        self,
        file: str,
        texts: pa.Array,
        sources: pa.Array,
        languages: pa.Array,
        categories: pa.Array,
    ) -> pa.Array:
        """The categories, with those that were "" filled in where they are known.

        Args:
            file: the file's name as it stands in `origin`.
            texts: strings, as the other columns; a null counts as "".

        Returns:
            Strings, "" where neither rules nor classifier know.
        """
        categories = categories.cast(pa.string()).fill_null("")
        unknown = _to_mask(pc.call_function("equal", [categories, pa.scalar("", pa.string())]))
        if not unknown.any():
            return categories
        names = [rule.category for rule in self.rules]
        found = np.full(len(categories), -1, np.int64)
        self._apply_rules(file, texts, sources, languages, unknown, found)
        if self.classifier is not None:
            rows = np.flatnonzero(unknown & (found < 0))
            labels, confidence = self.classifier.predict(_take(texts, rows))
            found[rows] = np.where(confidence >= self.min_confidence, len(names) + labels, -1)
            names += self.classifier.categories
        places = pa.array(found, mask=found < 0)
        given = pa.array(names, pa.string()).take(places)
        return pc.call_function("coalesce", [given, categories])

    def _apply_rules(
        self,
        file: str,
        texts: pa.Array,
        sources: pa.Array,
        languages: pa.Array,
        unknown: Mask,
        found: NDArray[np.int64],
    ) -> None:
        """found[row] becomes the number of the first rule that matches an unknown row."""
        for number, rule in enumerate(self.rules):
            if not fnmatchcase(file, rule.path):
                continue
            open_ = unknown & (found < 0)
            open_ &= _match_glob(sources, rule.source) & _match_glob(languages, rule.language)
            rows = np.flatnonzero(open_)
            found[rows[_match_text(_take(texts, rows), rule.text)]] = number


def open_categorizer(
    settings: Categories, files: Sequence[InputFile], max_characters: int, out: Path
) -> Categorizer | None:
    """What the recipe asks for; None where it asks for nothing.

    With `classifier = true` one is trained on lines of the files that name their category (or whose
    [[corpus.inputs]] does), and `classifier.npz` and `classifier.json` are written to `out`.

    Raises:
        TongwenError: there is too little to learn from.
    """
    if not settings.rules and not settings.classifier:
        return None
    classifier = None
    if settings.classifier:
        classifier = _learn(files, max_characters, settings.min_confidence, out)
    return Categorizer(settings.rules, classifier, settings.min_confidence)


def _learn(
    files: Sequence[InputFile], max_characters: int, min_confidence: float, out: Path
) -> Classifier:
    sample = sample_labelled(files, max_characters)
    folds = split_folds(sample.ids, sample.labels)
    learned = train_classifier(sample.texts, sample.labels, folds, sample.categories)
    learned.save(out)
    report = report_classifier(learned, sample, folds, min_confidence)
    text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
    write_text(out / "classifier.json", text)
    return learned


def _match_glob(column: pa.Array, glob: str) -> Mask:
    """Which rows match; the glob is matched against each different value once."""
    if glob == "*":
        return np.ones(len(column), np.bool_)
    coded = column.cast(pa.string()).fill_null("").dictionary_encode()
    hits = np.array([fnmatchcase(value, glob) for value in coded.dictionary.to_pylist()], np.bool_)
    return hits[coded.indices.to_numpy(zero_copy_only=False)]


def _match_text(texts: pa.Array, pattern: str) -> Mask:
    """Which texts hold the pattern in their first 2,000 characters; an empty one is in all."""
    if not pattern:
        return np.ones(len(texts), np.bool_)
    search = re.compile(pattern).search
    options = pc.SliceOptions(0, CHARACTERS)
    starts = pc.call_function("utf8_slice_codeunits", [texts], options).to_pylist()
    return np.array([search(start or "") is not None for start in starts], np.bool_)


def _take(texts: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
    """Some rows; without a copy where it is all of them."""
    return texts if len(rows) == len(texts) else texts.take(pa.array(rows))


def _to_mask(values: pa.Array) -> Mask:
    return values.to_numpy(zero_copy_only=False).astype(np.bool_)
