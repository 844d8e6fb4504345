"""Tokenizers compared on files of any kind that the corpus stage reads, without a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from corpus.alone import open_files
from corpus.sources import Source
from tokenizer.comparing.compare import Comparer, add_batches
from tokenizer.comparing.counters import Counter, open_counter
from tokenizer.comparing.rates import list_intervals
from tokenizer.comparing.tiktoken import EXPRESSIONS
from tongwen.errors import TongwenError

FILES = ("tokenizer.model", "tokenizer.json", "qwen.tiktoken")
"""What is looked for in a folder, in this order."""
COLUMNS = ("text", "prompt", "category", "language", "source")


def read_batches(documents: Source, columns: Sequence[str] = COLUMNS) -> Iterator[pa.RecordBatch]:
    """About 2 MB of text at a time."""
    return (chunk.batch for chunk in documents.read(list(columns)))


def open_tokenizers(
    tokenizers: Sequence[str], expressions: Sequence[str] = ()
) -> dict[str, Counter]:
    """Counters by name.

    Args:
        tokenizers: each NAME=FILE; a folder stands for the tokenizer in it.
        expressions: each NAME=EXPRESSION, for .tiktoken files whose number of ranks is not known.

    Raises:
        TongwenError: one is not of that form, two have one name, or a file cannot be read.
    """
    chosen = _split_pairs(expressions, "--expression", "NAME=" + "|".join(EXPRESSIONS))
    files = _split_pairs(tokenizers, "--tokenizer", "NAME=FILE, e.g. qwen=qwen.tiktoken")
    if unused := sorted(set(chosen) - set(files)):
        raise TongwenError(f"no tokenizer is called {unused[0]!r}", where="--expression")
    if not files:
        raise TongwenError("no tokenizer is named", expected="--tokenizer NAME=FILE, once or more")
    return {
        name: open_counter(_find_file(Path(file)), chosen.get(name, ""))
        for name, file in files.items()
    }


def _find_file(path: Path) -> Path:
    """The tokenizer in a folder, such as tokenizer/vocabulary of a run or a model's."""
    inside = [path / name for name in FILES] if path.is_dir() else []
    return next((file for file in inside if file.is_file()), path)


def _split_pairs(pairs: Sequence[str], option: str, expected: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or not value:
            raise TongwenError(f"{option} {pair!r} names nothing", expected=expected)
        if name in found:
            raise TongwenError(f"{option}: two are called {name!r}", expected="names that differ")
        found[name] = value
    return found


def compare_texts(
    paths: Sequence[str], counters: Mapping[str, Counter], *, seed: int = 1, workers: int = 1
) -> tuple[pa.Table, pa.Table]:
    """What tokenizers make of files.

    Returns:
        The sums (`compare.COMPARISON`) and the confidence intervals (`rates.INTERVALS`).

    Raises:
        TongwenError: a file cannot be read, or there is no document.
    """
    comparer = Comparer(counters, seed=seed, workers=workers)
    with open_files(paths) as documents:
        add_batches(comparer, read_batches(documents))
    return comparer.finish(), list_intervals(comparer)
