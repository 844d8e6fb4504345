"""How well and how fast categories are learned, on your own labelled files.

    python benchmarks/categories.py data/zh/*.jsonl.zst data/en/*.jsonl.zst

Trains as `[corpus.categories] classifier = true` does, then predicts every labelled line that was
not learned from.  Accuracy is given on the held-out part of the sample (rare and frequent
categories alike) and on all those lines (as frequent as they are).  Times are CPU seconds of one
process; compiled code is loaded before.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.categories.categorizer import open_categorizer
from corpus.categories.classifier import HELD_OUT, Classifier, split_folds, train_classifier
from corpus.categories.labelled import Sample, sample_labelled
from corpus.reading.files import InputFile, detect_format
from corpus.reading.readers import read_file
from corpus.reading.records import hash_document
from tongwen.recipe import Categories, Input

LONGEST = 10_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("paths", type=Path, nargs="+")
    files = [describe(path) for path in sorted(parser.parse_args().paths)]
    warm_up()
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        made = open_categorizer(Categories(classifier=True), files, LONGEST, Path(folder))
        print(f"sample, train, report: {time.process_time() - start:.1f} CPU s")
        report = json.loads((Path(folder) / "classifier.json").read_text(encoding="utf-8"))
    assert made is not None and made.classifier is not None
    sample = sample_labelled(files, LONGEST)
    folds = split_folds(sample.ids, sample.labels)
    start = time.process_time()
    train_classifier(sample.texts, sample.labels, folds, sample.categories)
    print(
        f"train alone: {time.process_time() - start:.1f} CPU s, {sample.texts.nbytes / 1e6:.0f} MB"
    )
    show(report)
    measure_all(made.classifier, files, sample, folds)


def describe(path: Path) -> InputFile:
    """A file as a recipe would name it."""
    source = Input(paths=(str(path),))
    form, compression, stem = detect_format(path)
    return InputFile(path, path.name, form, compression, stem, source)


def warm_up() -> None:
    """Load the compiled loops."""
    labels, folds = np.repeat([0, 1], 20), np.arange(40) % 10
    texts = pa.array(["甲"] * 20 + ["乙"] * 20, pa.large_string())
    train_classifier(texts, labels, folds, ["a", "b"]).predict(texts)


def show(report: dict[str, Any]) -> None:
    """The held-out figures of `classifier.json`."""
    print(
        f"categories: {len(report['categories'])}, left out as too rare: {len(report['left_out'])}"
    )
    print(f"documents: {report['documents']}")
    for key in ("accuracy", "macro_f1", "baseline", "min_confidence", "calibration_error"):
        print(f"{key}: {report[key]}")
    for row in report["confused"][:5]:
        print(f"  {row['category']} taken for {row['taken_for']}: {row['documents']}")


def measure_all(
    learned: Classifier, files: Sequence[InputFile], sample: Sample, folds: Any
) -> None:
    """Accuracy and speed on every labelled line that was not learned from."""
    known = {id_ for id_, fold in zip(sample.ids, folds, strict=True) if fold != HELD_OUT}
    rows = [
        (text, category)
        for file in files
        for text, category, id_ in read_labelled(file)
        if category in learned.categories and id_ not in known
    ]
    texts = pa.array([text for text, _ in rows], pa.large_string())
    start = time.process_time()
    labels, confidence = learned.predict(texts)
    seconds = time.process_time() - start
    right = np.array(
        [learned.categories[a] == b for a, (_, b) in zip(labels, rows, strict=True)], np.bool_
    )
    read = sum(len(text[:2000].encode()) for text, _ in rows) / 1e6
    largest = max(Counter(category for _, category in rows).values()) / len(rows)
    sure = confidence >= 0.5
    print(f"lines not learned from: {len(rows)}, {texts.nbytes / 1e6:.0f} MB")
    print(f"  accuracy {right.mean():.4f}, always the largest category {largest:.4f}")
    print(f"  from 0.5 on: {sure.mean():.4f} answered, accuracy {right[sure].mean():.4f}")
    print(
        f"  predict {texts.nbytes / 1e6 / seconds:.0f} MB/s of text, {read / seconds:.0f} MB/s read"
    )


def read_labelled(file: InputFile) -> list[tuple[str, str, str]]:
    """Text, category and id of the labelled lines."""
    lines = [fields for _, fields in read_file(file, LONGEST) if isinstance(fields, dict)]
    return [
        (
            fields.get("target", fields.get("text", "")),
            fields["category"],
            hash_document(
                fields["source"] if "target" in fields else "",
                fields.get("target", fields.get("text", "")),
            ),
        )
        for fields in lines
        if isinstance(fields.get("category"), str)
    ]


if __name__ == "__main__":
    main()
