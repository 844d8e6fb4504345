"""Where two texts differ: words of space-separated scripts, single characters of others.

The longest stretches that both texts share are kept as they are.  In replaced Chinese text some
characters always agree by chance (的, 一): a stretch shorter than the changes on both sides of it
counts as changed too, so that a change reads as one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from reports.blocks import Mark

_SPACELESS = (
    "\u0e00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNIT = re.compile(f"[^\\W_{_SPACELESS}]+|\\s+|.", re.DOTALL)
_LONGEST, _CONTEXT = 160, 50
CUT = 600
"""Characters of a text that are compared; the examples of the corpus stage are cut there too."""

Marked = tuple[tuple[str, Mark], ...]


class _Stretch(NamedTuple):
    """Units a0:a1 of the left text beside b0:b1 of the right one."""

    same: bool
    a0: int
    a1: int
    b0: int
    b1: int

    @property
    def length(self) -> int:
        return max(self.a1 - self.a0, self.b1 - self.b0)


def mark_differences(left: str, right: str) -> tuple[Marked, Marked]:
    """Both texts (their first 600 characters) in stretches that are the same or changed.

    A long stretch that is the same keeps its ends; the middle becomes a gap that says how long
    it was.  So does what one text has at its end only because the other was cut there.
    """
    a, b = _UNIT.findall(left[:CUT]), _UNIT.findall(right[:CUT])
    lefts: list[tuple[str, Mark]] = []
    rights: list[tuple[str, Mark]] = []
    for stretch in _compare(a, b):
        mine, other = a[stretch.a0 : stretch.a1], b[stretch.b0 : stretch.b1]
        if stretch.same:
            same = _shorten("".join(mine))
            lefts += same
            rights += same
        else:
            last = stretch.a1 == len(a) and stretch.b1 == len(b)
            lefts += _changed(mine, last and not other and len(right) >= CUT)
            rights += _changed(other, last and not mine and len(left) >= CUT)
    return tuple(lefts), tuple(rights)


def _compare(a: Sequence[str], b: Sequence[str]) -> list[_Stretch]:
    """Stretches in turn the same and changed."""
    codes = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    stretches: list[_Stretch] = []
    for tag, *places in codes:
        stretches.append(_Stretch(tag == "equal", *places))
        while len(stretches) > 2 and _is_chance(*stretches[-3:]):
            first, _, last = stretches[-3:]
            stretches[-3:] = [_Stretch(False, first.a0, last.a1, first.b0, last.b1)]
    return stretches


def _is_chance(before: _Stretch, between: _Stretch, after: _Stretch) -> bool:
    """Whether a shared stretch is shorter than the changes on both sides of it."""
    return between.same and between.length < min(before.length, after.length)


def _changed(units: Sequence[str], is_cut: bool) -> list[tuple[str, Mark]]:
    words = "".join(units)
    if is_cut and words:
        return [(f"{len(words)} characters more", "gap")]
    return [(words, "changed")] if words else []


def _shorten(text: str) -> list[tuple[str, Mark]]:
    if len(text) <= _LONGEST:
        return [(text, "same")]
    left_out = len(text) - 2 * _CONTEXT
    gap: tuple[str, Mark] = (f"{left_out} characters the same", "gap")
    return [(text[:_CONTEXT], "same"), gap, (text[-_CONTEXT:], "same")]
