"""What the corpus holds to learn from: its languages, categories and sources, its characters.

A vocabulary learned from nothing would be filled with common characters and look like any other, so
a language that no document has, and text without a single Chinese character (emoji, a table of
numbers, a wrong language label), are refused before anything is learned.  Measuring costs one pass
over the kept documents' lengths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute

from tokenizer.learning.sampling import Read
from tongwen.errors import TongwenError

Group = tuple[str, str]
"""Category and source."""


def measure_groups(read: Read, held_out: pa.Array) -> dict[str, dict[Group, int]]:
    """For each language the characters (text and prompt) of every category and source.

    Args:
        read: reads the kept documents.
        held_out: ids that are not counted.
    """
    sizes: Counter[tuple[str, str, str]] = Counter()
    for batch in read(["id", "text", "prompt", "category", "source", "language"]):
        unseen = _call("invert", _call("is_in", batch.column("id"), value_set=held_out))
        for key, size in _sum_lengths(batch.filter(unseen)):
            sizes[key] += size
    found: dict[str, dict[Group, int]] = {}
    for (language, category, source), size in sorted(sizes.items()):
        found.setdefault(language, {})[category, source] = size
    return found


def check_languages(sizes: Mapping[str, Mapping[Group, int]], wanted: Iterable[str]) -> None:
    """Refuse languages that the corpus does not hold.

    Args:
        sizes: from `measure_groups`.

    Raises:
        TongwenError: names those that it holds, with their characters.
    """
    totals = {language: sum(groups.values()) for language, groups in sizes.items()}
    missing = [language for language in wanted if not totals.get(language)]
    if missing:
        names = ", ".join(map(repr, missing))
        raise TongwenError(
            f"the corpus has no document in {names} to learn pieces from",
            where="tokenizer.languages",
            expected=f"languages of the corpus: {_list_languages(totals)}",
            do="correct tokenizer.languages, or set `language` of [[corpus.inputs]] if it is "
            "detected wrongly",
        )


def check_runs(num_characters: int, wanted: Iterable[str]) -> None:
    """Refuse text that has no character to learn from.

    Args:
        num_characters: in the runs of the documents of the wanted languages.

    Raises:
        TongwenError: there is none.
    """
    if num_characters == 0:
        names = ", ".join(map(repr, wanted))
        raise TongwenError(
            f"the documents in {names} hold no Chinese character, so no piece can be learned",
            where="tokenizer.languages",
            expected="text with Han characters; digits, Latin and emoji are left to the base",
            do="look at some of the documents, and at their `language`",
        )


def _list_languages(totals: Mapping[str, int]) -> str:
    ordered = sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{language or '(none)'} ({size:,} characters)" for language, size in ordered if size]
    return ", ".join(shown) or "none, it is empty"


def _sum_lengths(batch: pa.RecordBatch) -> Iterator[tuple[tuple[str, str, str], int]]:
    lengths = _call(
        "add",
        _call("utf8_length", batch.column("text")),
        _call("fill_null", _call("utf8_length", batch.column("prompt")), 0),
    )
    names = ["language", "category", "source"]
    columns = {name: batch.column(name).cast(pa.string()) for name in names}
    table = pa.table({**columns, "n": lengths})
    sums = table.group_by(names).aggregate([("n", "sum")])
    for row in sums.to_pylist():
        yield (row["language"] or "", row["category"] or "", row["source"] or ""), row["n_sum"]


def _call(name: str, *arguments: Any, **options: Any) -> Any:
    return getattr(pyarrow.compute, name)(*arguments, **options)
