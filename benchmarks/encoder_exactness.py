"""Every document of every file: ours and SentencePiece give the same ids, and the same text back.

    python benchmarks/encoder_exactness.py --models */tokenizer.model --files text/*.jsonl.zst

Files are JSON lines (`text`, or `source` and `target`), plain or `.zst`, or `.tar.zst` of such
files and of plain text, a document a line.  Prints a line for each model and file; exit status 1
if anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from encoder import read_texts, wants

from tokenizer import Encoder
from tokenizer.encoding.checks import load_processor
from tokenizer.model import parse_model
from tongwen.progress import progress
from tongwen.tables import print_table

_BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--files", type=Path, nargs="+", required=True)
    parser.add_argument("--every", type=int, default=1, help="compare only every n-th document")
    parser.add_argument("--num-threads", type=int, default=1)
    options = parser.parse_args()
    names = ["model", "file", "documents", "megabytes", "tokens", "other ids", "other text"]
    total = len(options.models) * len(options.files)
    rows: list[Sequence[Any]] = []
    with progress("comparing", total=total, unit=" files") as advance:
        for model in options.models:
            for file in options.files:
                rows.append(compare_file(model, file, options.every, options.num_threads))
                advance(1)
    print_table(names, rows, len(rows))
    sys.exit(any(row[-1] or row[-2] for row in rows))


def compare_file(model: Path, file: Path, every: int, num_threads: int) -> list[Any]:
    """A line of the table."""
    encoder, oracle = load_pair(model, num_threads)
    documents = size = tokens = other_ids = other_text = 0
    texts = islice(list_texts(file), 0, None, every)
    while batch := list(islice(texts, _BATCH)):
        column = pa.array(batch, pa.large_string())
        ids, offsets = encoder.encode(column)
        expected = oracle.encode(batch, num_threads=num_threads)
        got = [ids[start:stop].tolist() for start, stop in pairwise(offsets)]
        back = zip(encoder.decode_batch(ids, offsets), oracle.decode(expected), strict=True)
        other_ids += sum(one != other for one, other in zip(got, expected, strict=True))
        other_text += sum(one != other for one, other in back)
        documents, tokens = documents + len(batch), tokens + len(ids)
        size += sum(len(text.encode()) for text in batch)
    name = f"{model.parent.name}/{model.name}"
    return [name, file.name, documents, round(size / 1e6, 1), tokens, other_ids, other_text]


_PAIRS: dict[Path, tuple[Encoder, Any]] = {}


def load_pair(model: Path, num_threads: int) -> tuple[Encoder, Any]:
    """Ours and SentencePiece's; the last model stays loaded."""
    if model not in _PAIRS:
        _PAIRS.clear()
        oracle = load_processor(parse_model(model), str(model))
        _PAIRS[model] = Encoder(model, num_threads=num_threads), oracle
    return _PAIRS[model]


def list_texts(file: Path) -> Iterator[str]:
    """The documents of a file."""
    if file.name.endswith(".tar.zst"):
        yield from read_archive(file)
    else:
        yield from read_texts(file)


def read_archive(file: Path) -> Iterator[str]:
    with zstandard.open(file, "rb") as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            for line in content:
                yield from read_line(line.decode())


def read_line(line: str) -> Iterator[str]:
    """The texts of a line that may be JSON."""
    try:
        table = json.loads(line)
    except ValueError:
        table = line
    if not isinstance(table, dict):
        yield line
        return
    found = [table[key] for key in ("source", "target", "text") if wants(table, key)]
    yield from found or [line]


if __name__ == "__main__":
    main()
