"""Pieces that a user asks for: lists of words, term bases, the vocabulary of another tokenizer.

Four forms are told apart by their content: JSON lines `{"piece": "你好"}` (a `count` may stand
beside it), plain lines, lines `word frequency tag` as jieba's dictionaries have them (behind a tab
or a blank), and a SentencePiece .model of any kind, of which the pieces with a Han character are
taken, without the ▁ in front.  Each entry is checked alone and against the others; what is not
taken comes back as a row with the file and line, never silently.

A piece must hold a character that no English text has (`is_cjk_only`), because an appended piece
changes every text that it stands in.  Lines are read in bounded parts, whatever a file holds; what
is kept is the pieces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tokenizer.learning.characters import Kind, is_cjk_only, make_kinds
from tokenizer.learning.left_out import LeftOut
from tokenizer.learning.oddities import find_unprintable, fold
from tokenizer.model import SPACE, PieceType, parse_model
from tongwen.errors import TongwenError

_KEY = "tokenizer.lists"
_LONGEST_LINE = 1 << 16
_PLAIN = re.compile(r"(\S+)(?:[ \t]+(\d{1,18}))?(?:[ \t]+[a-z]{1,8})?")
_HAN = make_kinds(punctuation=False)
_OTHERS = (b'["', b"[{", b"[\n", b"[\r", b"<!DOCTYPE", b"<html", b"version https://git-lfs")
_EXPECTED = 'JSON lines of {"piece": ...}, plain lines (UTF-8), or a SentencePiece .model'


@dataclass(frozen=True, slots=True)
class ListedText:
    """An entry of a list that may become a piece.

    Attributes:
        count: as the list states it, or 0.
        place: `file:line`, or `file:id` for a piece of a model.
    """

    text: str
    count: int
    place: str


@dataclass(frozen=True, slots=True)
class _Entry:
    text: str
    count: int
    place: str
    problem: tuple[str, str] | None


def read_lists(
    paths: Iterable[Path], known: Collection[str], *, max_piece_length: int
) -> tuple[list[ListedText], list[LeftOut]]:
    """The pieces of some lists, in their order, and what was not taken.

    Args:
        known: pieces of the base.
        max_piece_length: characters of the longest piece.

    Returns:
        Entries that differ from each other and from `known`, also after normalisation; a row for
        every other line, with a rule that begins with `list:`.

    Raises:
        TongwenError: a file cannot be read, or is none of the forms.
    """
    checker = _Checker(known, max_piece_length)
    for place, path in enumerate(paths):
        for entry in _read_entries(path, f"{_KEY}.{place}"):
            checker.add(entry)
    return checker.taken, checker.rows


class _Checker:
    def __init__(self, known: Collection[str], max_piece_length: int) -> None:
        self.taken: list[ListedText] = []
        self.rows: list[LeftOut] = []
        self._longest = max_piece_length
        self._known = frozenset(known)
        self._seen: dict[str, str] = {}
        self._folded: dict[str, str] = {fold(text): text for text in self._known}

    def add(self, entry: _Entry) -> None:
        problem = entry.problem or self._check_alone(entry.text) or self._compare(entry.text)
        if problem is not None:
            rule, reason = problem
            count = max(entry.count, 1)
            self.rows.append(LeftOut(entry.text, count, f"list:{rule}", f"{entry.place}: {reason}"))
            return
        self._seen[entry.text] = entry.place
        self._folded[fold(entry.text)] = entry.text
        self.taken.append(ListedText(entry.text, entry.count, entry.place))

    def _check_alone(self, text: str) -> tuple[str, str] | None:
        if not text:
            return "empty", "an empty piece"
        if SPACE in text:
            return "space", f"holds {SPACE}, which SentencePiece writes for a space"
        odd = find_unprintable(text)
        if odd is not None:
            return odd
        if len(text) > self._longest:
            return "long", f"{len(text)} characters, tokenizer.max_piece_length is {self._longest}"
        if not any(map(is_cjk_only, text)):
            return "no-cjk", "without a Chinese character it would change English text"
        return None

    def _compare(self, text: str) -> tuple[str, str] | None:
        if text in self._known:
            return "in-base", "the base has this piece"
        if text in self._seen:
            return "duplicate", f"is listed before, {self._seen[text]}"
        twin = self._folded.get(fold(text))
        if twin is not None:
            where = "the base" if twin in self._known else self._seen[twin]
            return "normalisation", f"the same text as {twin!r} ({where}) after NFKC"
        return None


def _read_entries(path: Path, key: str) -> Iterator[_Entry]:
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_LINE)
            file.seek(0)
            if start.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise _refuse(path, key, "it is UTF-16")
            if _is_binary(path, start):
                yield from _read_model(path)
            elif _find_first(start).startswith(b"{"):
                yield from _read_json_lines(file, path, key)
            else:
                yield from _read_plain(file, path, key)
    except OSError as error:
        found = "is a folder" if path.is_dir() else f"cannot be read: {error.strerror}"
        raise TongwenError(
            f"the list {path} {found}",
            where=key,
            expected=_EXPECTED,
            do="correct the path; a relative one starts at the recipe's folder",
        ) from None


def _is_binary(path: Path, start: bytes) -> bool:
    return path.suffix == ".model" or b"\0" in start


def _find_first(start: bytes) -> bytes:
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()


def _read_json_lines(file: BinaryIO, path: Path, key: str) -> Iterator[_Entry]:
    good = 0
    for number, line in _read_lines(file):
        entry = _parse_json(line, f"{path.name}:{number}")
        good += entry.problem is None
        yield entry
    if not good:
        raise _refuse(path, key, "no line of it is an object with a `piece`")


def _parse_json(line: bytes | None, place: str) -> _Entry:
    text, problem = _decode(line)
    if problem is not None:
        return _Entry(text, 0, place, problem)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return _Entry(_shorten(text), 0, place, ("json", f"is not JSON: {error}"))
    if not isinstance(value, dict) or "piece" not in value:
        return _Entry(_shorten(text), 0, place, ("type", "is no object with a `piece`"))
    piece, count = value["piece"], value.get("count")
    if not isinstance(piece, str):
        kind = type(piece).__name__
        return _Entry(_shorten(text), 0, place, ("type", f"`piece` is not text but {kind}"))
    number = count if isinstance(count, int) and not isinstance(count, bool) else 0
    return _Entry(piece, min(max(number, 0), 1 << 62), place, None)


def _read_plain(file: BinaryIO, path: Path, key: str) -> Iterator[_Entry]:
    first = _find_first(file.read(64))
    file.seek(0)
    if first.startswith(_OTHERS):
        raise _refuse(path, key, f"it begins with {first[:20].decode('utf-8', 'replace')!r}")
    for number, line in _read_lines(file):
        text, problem = _decode(line)
        place = f"{path.name}:{number}"
        if problem is None and text.startswith("#"):
            continue
        match = _PLAIN.fullmatch(text) if problem is None else None
        if match is not None:
            yield _Entry(match[1], int(match[2] or 0), place, None)
        else:
            yield _Entry(text, 0, place, problem or ("space", "holds a space"))


def _read_lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Number and bytes of each line that is not blank; None for one that is far too long."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        whole = line.endswith(b"\n") or len(line) < _LONGEST_LINE
        while not whole:
            rest = file.readline(_LONGEST_LINE)
            whole = rest.endswith(b"\n") or len(rest) < _LONGEST_LINE
            line = None
        if line is None or line.strip():
            yield number, line


def _decode(line: bytes | None) -> tuple[str, tuple[str, str] | None]:
    if line is None:
        return "", ("long", f"the line has more than {_LONGEST_LINE:,} bytes")
    try:
        return line.decode("utf-8").lstrip("\ufeff").strip(" \t\r\n"), None
    except UnicodeDecodeError:
        shown = _shorten(line.decode("utf-8", "backslashreplace").strip())
        return shown, ("utf-8", "is not UTF-8 (an older Chinese file is often GB 18030)")


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _read_model(path: Path) -> Iterator[_Entry]:
    """The pieces of a model with a Han character; one row stands for all the others."""
    others = 0
    for number, piece in enumerate(parse_model(path).pieces):
        text = piece.piece.lstrip(SPACE)
        if piece.type != PieceType.NORMAL or not any(_HAN[ord(c)] == Kind.HAN for c in text):
            others += 1
        else:
            yield _Entry(text, 0, f"{path.name}:{number}", None)
    if others:
        yield _Entry(
            "", others, path.name, ("no-han", f"{others:,} pieces without Han are not taken")
        )


def _refuse(path: Path, key: str, why: str) -> TongwenError:
    return TongwenError(
        f"{path.name} is no list of pieces: {why}",
        where=f"{key} ({path})",
        expected=_EXPECTED,
        do='write one piece a line, or {"piece": "..."} a line',
    )
