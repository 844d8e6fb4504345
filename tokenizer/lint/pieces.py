"""Rules about the texts of pieces: dead, double, invisible, mixed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tokenizer.learning.characters import Kind, make_kinds
from tokenizer.lint.finding import Found
from tokenizer.lint.loading import list_twins
from tokenizer.lint.reach import CAUSES, Dead, find_dead
from tokenizer.lint.subject import Subject, is_blank, show_text
from tokenizer.model import SPACE, PieceType

_SPECIAL = re.compile(
    r"</?(s|pad|unk|bos|eos|mask|cls|sep|eod|eop|sop|eot|eoh|eoa|user|assistant|system)>"
    r"|\[/?(pad|unk|bos|eos|mask|gmask|smask|cls|sep|inst)\]|<\|[^<>|]+\|>",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>\s]+>")
_ODD = {"Cc": "control character", "Cn": "unassigned", "Co": "private use", "Cs": "surrogate"}
_USUAL = "\t\n\r"


def check_unreachable(subject: Subject) -> Found:
    """Dead pieces; those that are dead in the base, too, are its own affair."""
    dead, before = subject.dead, set[str]()
    if subject.base is not None:
        before = {each.piece for each in find_dead(subject.base)}
    mine = [each for each in dead if each.piece not in before]
    killed = [each for each in mine if each.id not in subject.added]
    lines = [_summarise(subject, dead, killed)] if dead else []
    lines += [_describe(subject, each, " (alive in the base)") for each in killed]
    lines += [_describe(subject, each, "") for each in mine if each.id in subject.added]
    inherited = [each for each in dead if each.piece in before]
    lines += [_describe(subject, each, " (dead in the base, too)") for each in inherited]
    return Found(len(dead), lines, None if mine else "note")


def _summarise(subject: Subject, dead: Sequence[Dead], killed: Sequence[Dead]) -> str:
    causes = Counter(CAUSES[each.cause] for each in dead)
    words = "; ".join(f"{cause}: {count:,}" for cause, count in causes.most_common())
    if subject.base is None:
        return words
    added = sum(each.id in subject.added for each in dead)
    head = f"{added:,} of {len(subject.added):,} added pieces"
    head += f", {len(killed):,} of the base's that were alive there" if killed else ""
    return f"{head}; {words}"


def _describe(subject: Subject, dead: Dead, remark: str) -> str:
    parts = " + ".join(show_text(piece) for piece in dead.encoded)
    unsure = "" if dead.proven else "; not proven"
    return f"{subject.show(dead.id)}: {parts or 'nothing'}; {CAUSES[dead.cause]}{unsure}{remark}"


def check_duplicates(subject: Subject) -> Found:
    """The same text under two ids."""
    twins = list_twins(subject.model)
    return Found(len(twins), [f"{subject.show(later)}: also {first}" for first, later in twins])


def check_normal_forms(subject: Subject) -> Found:
    """Pieces that are one text after normalisation; canonical twins look the same, too."""
    same = _find_same(subject, "NFC")
    alike = _find_same(subject, "NFKC")
    lines = [_show_group(subject, group) for group in [*same, *(g for g in alike if g not in same)]]
    return Found(len(lines), lines, "warning" if same and subject.base is not None else "note")


def _find_same(subject: Subject, form: str) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for number, piece in enumerate(subject.model.pieces):
        if piece.type in (PieceType.NORMAL, PieceType.USER_DEFINED):
            key = piece.piece
            key = key if key.isascii() else unicodedata.normalize(form, key)  # type: ignore[arg-type]
            groups.setdefault(key, []).append(number)
    return [
        group
        for group in groups.values()
        if len({subject.text(number) for number in group}) > 1
        and any(number in subject.added for number in group)
    ]


def _show_group(subject: Subject, group: Sequence[int]) -> str:
    return " = ".join(f"{subject.show(n)} ({_list_codes(subject.text(n))})" for n in group[:4])


def _list_codes(text: str) -> str:
    return " ".join(f"U+{ord(character):04X}" for character in text[:6])


def check_characters(subject: Subject) -> Found:
    """Pieces with a character that cannot be seen or means nothing."""
    lines: list[str] = []
    for number in subject.text_ids:
        odd = [remark for c in subject.text(number) if (remark := _name_odd(c))]
        if odd:
            lines.append(f"{subject.show(number)}: {', '.join(dict.fromkeys(odd))}")
    return Found(len(lines), lines, None if subject.base is not None else "note")


@cache
def _name_odd(character: str) -> str:
    code, category = f"U+{ord(character):04X}", unicodedata.category(character)
    if character in _USUAL or character == SPACE:
        return ""
    if category in _ODD:
        return f"{code} {_ODD[category]}"
    if category == "Cf":
        return f"{code} zero-width"
    return f"{code} replacement character" if character == "\ufffd" else ""


def check_scripts(subject: Subject) -> Found:
    """Pieces of Han characters together with letters or digits of another script."""
    mixed = [number for number in subject.text_ids if _is_mixed(subject.text(number))]
    return Found(len(mixed), [subject.show(number) for number in mixed])


@cache
def _read_kinds() -> NDArray[np.uint8]:
    return make_kinds(punctuation=False)


def _is_mixed(text: str) -> bool:
    if text.isascii():
        return False
    han = [bool(_read_kinds()[ord(character)] == Kind.HAN) for character in text]
    others = (c for c, is_han in zip(text, han, strict=True) if not is_han)
    return any(han) and any(other.isalpha() or other.isnumeric() for other in others)


def check_inner_spaces(subject: Subject) -> Found:
    """Pieces with a space between other characters, written ▁ or as literal U+0020."""
    suffix = subject.model.trainer_spec.treat_whitespace_as_suffix
    found: list[int] = []
    for number in subject.text_ids:
        text = subject.text(number)
        core = text.rstrip(SPACE) if suffix else text.lstrip(SPACE)
        blank = not text.replace(SPACE, " ").strip()
        if not blank and (SPACE in core or " " in core):
            found.append(number)
    return Found(len(found), [subject.show(number) for number in found])


def check_prefixes(subject: Subject) -> Found:
    """Added pieces that begin with the dummy prefix."""
    texts = ((number, subject.text(number)) for number in subject.text_ids)
    found = [n for n, text in texts if text.startswith(SPACE) and not is_blank(text)]
    return Found(len(found), [subject.show(number) for number in found])


def check_specials_as_text(subject: Subject) -> Found:
    """Special tokens that were entered as normal pieces."""
    dead = {each.id for each in subject.dead}
    named = [(n, subject.text(n)) for n in subject.text_ids]
    normal = [(n, t) for n, t in named if subject.model.pieces[n].type == PieceType.NORMAL]
    found = [
        number
        for number, text in normal
        if _SPECIAL.fullmatch(text) or (number in dead and _TAG.fullmatch(text))
    ]
    lines = [subject.show(n) + (": no text gives it" if n in dead else "") for n in found]
    return Found(len(lines), lines)
