"""Edited copies of a sample of documents: which document, which edit, in what order.

Everything follows from the documents and the seed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pyarrow as pa

from corpus.audit.edits import EDITS, Edit


@dataclass(frozen=True)
class Copy:
    """An edited copy of the document in row `original`."""

    original: int
    edit: Edit
    text: str


def plant_copies(documents: pa.Table, num_copies: int, seed: int) -> list[Copy]:
    """Edited copies, every edit about equally often in every language.

    An edit that changes nothing of a document (no letter to capitalise, one sentence to reorder)
    is passed over for the next; foreign words come from another document of the language.
    """
    texts, languages = documents["text"].to_pylist(), documents["language"].to_pylist()
    neighbours: defaultdict[str, list[int]] = defaultdict(list)
    for row, language in enumerate(languages):
        neighbours[language].append(row)
    rows = Random(seed).sample(range(len(texts)), len(texts))
    used: Counter[tuple[str, int]] = Counter()
    copies: list[Copy] = []
    for number in range(num_copies):
        row, chance = rows[number % len(rows)], Random(f"{seed}:{number}")
        other = _choose_other(row, neighbours[languages[row]], chance)
        copy = _edit_once(row, texts[row], texts[other], languages[row], used, chance)
        copies += [copy] if copy else []
    return copies


def _choose_other(row: int, rows: Sequence[int], chance: Random) -> int:
    """Another of the rows, which rise; the row itself where there is no other."""
    place = bisect_left(rows, row)
    return rows[(place + chance.randrange(1, max(2, len(rows)))) % len(rows)]


def _edit_once(
    row: int, text: str, other: str, language: str, used: Counter[tuple[str, int]], chance: Random
) -> Copy | None:
    """The copy by the edit least used so far that changes the text."""
    for number in sorted(range(len(EDITS)), key=lambda number: used[language, number]):
        edited = EDITS[number].apply(text, other, chance)
        if edited != text:
            used[language, number] += 1
            return Copy(row, EDITS[number], edited)
    return None
