"""`tongwen buckets plan`: what a stage's mixture asks for and gets, before anything is written.

Documents are counted; their tokens are estimated from a sample of every cell (counted, where the
cell is no larger than the sample).  The price: one pass over the corpus, and the sample's tokens in
a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from buckets.building.build import load_encoder
from buckets.building.survey import COLUMNS, survey_stage
from buckets.choosing.cells import make_salt
from buckets.choosing.rounds import Rounds
from buckets.encoding import TokenStore
from corpus import read_kept
from tongwen.recipe import Recipe, Stage
from tongwen.run import RunFolder


@dataclass(frozen=True)
class Line:
    """A row of the table; tokens everywhere but in `documents`.

    Attributes:
        name: what the row is about.
        counted: whether `available` was counted; else it is an estimate.
        repeated: of `used`, what is used a second time or more.
    """

    name: tuple[str, ...]
    documents: int
    asked: int
    available: int
    counted: bool
    used: int
    repeated: int

    @property
    def epochs(self) -> float:
        return self.used / max(self.available, 1)


@dataclass(frozen=True)
class Preview:
    """What a stage is going to be made of.

    Attributes:
        lines: a row for each part, language, category and kind.
        short: parts that are too small, as far as the sample tells.
    """

    stage: Stage
    lines: tuple[Line, ...]
    short: tuple[int, ...]

    def add_up(self, place: int) -> list[Line]:
        """The rows added up by one of their names: 0 part, 1 language, 2 category, 3 kind."""
        names = sorted({line.name[place] for line in self.lines})
        return [_add((name,), [e for e in self.lines if e.name[place] == name]) for name in names]


def preview_stage(recipe: Recipe, run: RunFolder, stage: Stage) -> Preview:
    """Estimate what `build_buckets` will do with a stage's mixture.

    Raises:
        TongwenError: a part of the mixture matches no document.
    """
    survey, excluded = survey_stage(recipe, run, stage)
    salt = make_salt("order", recipe.run.seed, stage.name)
    rounds = Rounds(stage, survey, stage.tokens, excluded, salt)
    encoder = load_encoder(recipe, run, stage.vocabulary)
    with tempfile.TemporaryDirectory(prefix=".preview-", dir=run.root) as folder:
        store = TokenStore(Path(folder) / "store", encoder.size)
        chosen = rounds.preview(
            lambda name, choose: store.encode_round(
                name, lambda: read_kept(run, COLUMNS), choose, encoder
            ),
            lambda: (
                *store.count_cells(len(survey.cells)),
                np.zeros(len(survey.cells), np.int64),
            ),
        )
        store.remove()
    lines = tuple(
        Line(
            name=(str(cell.part + 1), cell.language, cell.category, cell.kind),
            documents=int(survey.documents_C[number]),
            asked=int(chosen.quotas.asked_C[number]),
            available=int(chosen.available_C[number]),
            counted=rounds.is_whole(number),
            used=int(chosen.quotas.asked_C[number]),
            repeated=max(0, int(chosen.quotas.asked_C[number] - chosen.available_C[number])),
        )
        for number, cell in enumerate(survey.cells)
    )
    return Preview(stage, _ask_parts(lines, chosen.quotas.asked_P), chosen.quotas.short)


def _ask_parts(lines: tuple[Line, ...], asked_P: np.ndarray) -> tuple[Line, ...]:
    """Where a part is short, what it is asked for beyond what its cells can give stands with its
    largest cell."""
    found = list(lines)
    for part, asked in enumerate(asked_P.tolist(), 1):
        mine = [i for i, line in enumerate(found) if line.name[0] == str(part)]
        largest = max(mine, key=lambda i: found[i].available)
        missing = asked - sum(found[i].asked for i in mine)
        found[largest] = replace(found[largest], asked=found[largest].asked + missing)
    return tuple(found)


def _add(name: tuple[str, ...], lines: Sequence[Line]) -> Line:
    return Line(
        name,
        sum(line.documents for line in lines),
        sum(line.asked for line in lines),
        sum(line.available for line in lines),
        all(line.counted for line in lines),
        sum(line.used for line in lines),
        sum(line.repeated for line in lines),
    )


NAMES = ("documents", "available", "counted", "asked", "used", "repeated", "epochs", "share")


def list_values(line: Line, tokens: int) -> tuple[str | int | float, ...]:
    """A row: its name, then `NAMES`; the share is that of the stage's tokens, in percent."""
    known = "counted" if line.counted else "estimated"
    share = round(100 * line.used / max(tokens, 1), 2)
    amounts = (line.asked, line.used, line.repeated, round(line.epochs, 2), share)
    return (*line.name, line.documents, line.available, known, *amounts)
