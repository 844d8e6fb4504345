"""Which learned pieces are left out: shapes, advertising, the user's patterns and denylist.

A vocabulary is published, so a telephone number in it is published too, and every row it spends on
`点击下载` is a row less for words.  `Filter.judge` looks at one piece alone and is fast enough for
every candidate (80,000 in less than a second); `find_twins` compares pieces with each other.  What
is taken out is listed with its rule and reason (`left_out.py`), never silently.

The price is known: a rule sees the piece and not its sentences, so the list of phrases is short and
holds nothing that is also said elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tokenizer.learning.advertising import PHRASES, PhraseSet, fold_phrase
from tokenizer.learning.left_out import LeftOut
from tokenizer.learning.oddities import find_repetition, find_unprintable, fold
from tokenizer.learning.shapes import find_shape
from tongwen.errors import TongwenError
from tongwen.recipe import PieceFilter

_ADVERTISING = PhraseSet(PHRASES)
_KEY = "tokenizer.filter"


class Verdict(NamedTuple):
    """Why a piece is left out.

    Attributes:
        rule: `shape:phone`, `advertising`, `pattern`, `denylist`, `control`, ...
        reason: one sentence for a person.
    """

    rule: str
    reason: str


Judge = Callable[[str], Verdict | None]
"""None: the piece may be learned."""


class Filter:
    """Judges pieces.

    Args:
        shapes: leave out addresses and numbers.
        advertising: leave out phrases of advertising and of web pages.
        patterns: a piece in which one of them is found is left out.
        denylist: a piece that holds one of these phrases is left out; neither capitals nor
            full-width letters make a difference.
    """

    def __init__(
        self,
        *,
        shapes: bool = True,
        advertising: bool = True,
        patterns: Iterable[re.Pattern[str]] = (),
        denylist: Iterable[str] = (),
    ) -> None:
        self._shapes, self._advertising = shapes, advertising
        self._patterns = tuple(patterns)
        self._denylist = PhraseSet(denylist)

    @classmethod
    def from_recipe(cls, section: PieceFilter, resolve: Callable[[str], Path]) -> Filter:
        """The filter of `[tokenizer.filter]`.

        Args:
            resolve: makes a path of the recipe absolute (`recipe.resolve`).

        Raises:
            TongwenError: an expression is wrong or matches everything; the denylist cannot be read.
        """
        patterns = [_compile(text, place) for place, text in enumerate(section.patterns)]
        path = section.denylist
        denylist = [] if path is None else read_phrases(resolve(path), f"{_KEY}.denylist")
        return cls(
            shapes=section.shapes,
            advertising=section.advertising,
            patterns=patterns,
            denylist=denylist,
        )

    def judge(self, text: str) -> Verdict | None:
        """Why a piece is left out, or None.

        Characters that no piece may hold are left out whatever the recipe says.
        """
        odd = find_unprintable(text)
        if odd is not None:
            return Verdict(*odd)
        mark = find_repetition(text)
        if mark is not None:
            return Verdict("repetition", f"{mark!r} too many times in a row")
        return self._judge_words(text)

    def _judge_words(self, text: str) -> Verdict | None:
        folded = fold_phrase(text)
        shape = find_shape(folded) if self._shapes else None
        if shape is not None:
            return Verdict(f"shape:{shape[0]}", shape[1])
        phrase = _ADVERTISING.find(folded) if self._advertising else None
        if phrase is not None:
            return Verdict("advertising", f"holds {phrase!r}")
        phrase = self._denylist.find(folded)
        if phrase is not None:
            return Verdict("denylist", f"holds {phrase!r} of {_KEY}.denylist")
        for place, pattern in enumerate(self._patterns):
            if pattern.search(text):
                return Verdict("pattern", f"{_KEY}.patterns.{place} matches: {pattern.pattern}")
        return None


def find_twins(counts: Mapping[str, int], known: Iterable[str] = ()) -> list[LeftOut]:
    """The pieces that differ from another only by normalisation; one of each is kept.

    Kept is the standard form (`fold`) where it is there, otherwise the most frequent.

    Args:
        counts: pieces to compare and how often each occurs.
        known: pieces that are in the vocabulary in any case, such as the base's.
    """
    fixed = set(known)
    groups: dict[str, list[str]] = {}
    for text in counts:
        if text not in fixed:
            groups.setdefault(fold(text), []).append(text)
    rows: list[LeftOut] = []
    for standard, texts in groups.items():
        texts.sort(key=lambda text: (text != standard, -counts[text], text))
        kept = standard if standard in fixed else texts.pop(0)
        reason = f"the same text as {kept!r} after normalisation (NFKC)"
        rows += [LeftOut(text, counts[text], "normalisation", reason) for text in texts]
    return rows


def read_phrases(path: Path, key: str) -> list[str]:
    """The phrases of a denylist: one a line, UTF-8; blank lines and lines from `#` are passed over.

    Raises:
        TongwenError: the file cannot be read or is not UTF-8; names the key and the line.
    """
    data = _read(path, key)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TongwenError(
            f"line {line} of {path.name} is not UTF-8",
            where=f"{key} ({path})",
            expected="a text file in UTF-8, one phrase a line",
            do="save it as UTF-8 (an older Chinese file is often GB 18030)",
        ) from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        found = "is a folder" if path.is_dir() else f"cannot be read: {error.strerror}"
        raise TongwenError(
            f"the denylist {path} {found}",
            where=key,
            expected="a text file in UTF-8, one phrase a line",
            do="correct the path; a relative one starts at the recipe's folder",
        ) from None


def _compile(text: str, place: int) -> re.Pattern[str]:
    key = f"{_KEY}.patterns.{place}"
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        at = getattr(error, "pos", None)
        raise TongwenError(
            f"{text!r} is no regular expression: {error}",
            where=key + ("" if at is None else f", character {at + 1} of the expression"),
            expected="a regular expression of Python's re",
            do="correct it; a dot or bracket that means itself is written \\. or \\(",
        ) from None
    if pattern.search("") is not None:
        raise TongwenError(
            f"{text!r} matches the empty string, so it would leave out every piece",
            where=key,
            expected="an expression that needs at least one character",
            do="write + where there is *, or remove the empty alternative",
        )
    return pattern
