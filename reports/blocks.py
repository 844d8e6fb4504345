"""What a report is made of: sections of blocks, the same for the page and for Markdown.

A block holds finished words and figures.  HTML adds the drawings; nothing is counted or formatted
twice, so the two cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from markupsafe import Markup

Mark = Literal["same", "changed", "gap"]
MAX_ROWS = 1000
"""Rows of a table on the page; a longer one says how many more there are."""


@dataclass(frozen=True)
class Heading:
    """The title of a part of a section."""

    kind: ClassVar[str] = "heading"
    words: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    words: str


@dataclass(frozen=True)
class Missing:
    """Outputs that are not finished, so that a part of the section cannot be shown."""

    kind: ClassVar[str] = "missing"
    what: str
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A figure of the summary: what, how much, and a remark."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """Figures side by side."""

    kind: ClassVar[str] = "figures"
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Chart:
    """A drawing with its caption; `narrow` replaces `wide` on a small screen."""

    title: str
    wide: Markup
    narrow: Markup | None = None
    note: str = ""


@dataclass(frozen=True)
class Charts:
    """Drawings side by side as far as there is room."""

    kind: ClassVar[str] = "charts"
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Table:
    """Rows of finished cells; the first `num_labels` columns are words, the others figures."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_labels: int = 1
    note: str = ""
    folded: bool = False
    total: bool = False
    """The last row is a sum of the others."""
    marked: frozenset[int] = frozenset()
    """Rows that are ours."""
    shades: tuple[tuple[float | None, ...], ...] = ()
    """Of each cell -1 (the full colour of less) to 1 (of more); None and 0 have none."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    severity: str
    title: str
    count: str
    explanation: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Checks with what they found."""

    kind: ClassVar[str] = "findings"
    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Search:
    """Pieces to search in the page; without scripts nothing of it shows, so other blocks have to
    list the most important ones.

    `columns` are strings with a value for each piece between spaces: pieces, ids, numbers, places
    of the kind in `kinds`; the most important piece first.
    """

    kind: ClassVar[str] = "search"
    name: str
    title: str
    number_name: str
    kinds: tuple[str, ...]
    columns: tuple[str, str, str, str]
    num_pieces: int

    @property
    def text(self) -> Markup:
        """The columns as JSON that no HTML parser can leave: it has no `<`, `>` or `&`."""
        text = json.dumps([list(self.kinds), *self.columns], ensure_ascii=False)
        for letter in "<>&\u2028\u2029":
            text = text.replace(letter, f"\\u{ord(letter):04x}")
        return Markup(text)


@dataclass(frozen=True)
class Pair:
    """Two texts side by side, each in stretches that are the same or changed."""

    kind: ClassVar[str] = "pair"
    title: str
    left: tuple[tuple[str, Mark], ...]
    right: tuple[tuple[str, Mark], ...]


@dataclass(frozen=True)
class Pieces:
    """A text as it is cut into pieces, by one vocabulary in each row."""

    kind: ClassVar[str] = "pieces"
    title: str
    rows: tuple[tuple[str, tuple[str, ...], str], ...]
    """Name, pieces, remark."""


@dataclass(frozen=True)
class Words:
    """A set of words or pieces, each in a frame of its own."""

    kind: ClassVar[str] = "words"
    title: str
    words: tuple[str, ...]


Block = (
    Heading | Text | Missing | Figures | Charts | Table | Pair | Pieces | Words | Findings | Search
)


@dataclass(frozen=True)
class Section:
    """A numbered part of the report."""

    name: str
    title: str
    blocks: tuple[Block, ...]


def make_table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    num_labels: int = 1,
    note: str = "",
    folded: bool = False,
    total: bool = False,
    marked: Collection[int] = (),
    shades: Sequence[Sequence[float | None]] = (),
) -> Table:
    """A table of at most `MAX_ROWS` rows."""
    left_out = len(rows) - MAX_ROWS
    if left_out > 0:
        note = f"{note} {left_out:,} more rows are in the Parquet files of the run.".strip()
    shown = tuple(tuple(row) for row in rows[:MAX_ROWS])
    return Table(
        caption,
        tuple(columns),
        shown,
        num_labels,
        note,
        folded,
        total and left_out <= 0,
        frozenset(marked),
        tuple(tuple(row) for row in shades[:MAX_ROWS]),
    )


def count_charts(sections: Sequence[Section]) -> int:
    """Drawings of a report; wide and narrow form count once."""
    blocks = (block for section in sections for block in section.blocks)
    return sum(len(block.charts) for block in blocks if isinstance(block, Charts))
