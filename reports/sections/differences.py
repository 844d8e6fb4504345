"""Where two texts differ: words of space-separated scripts, single characters of others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from reports.blocks import Mark

_UNIT = re.compile(r"[A-Za-z0-9]+|\s+|.", re.DOTALL)
_LONGEST, _CONTEXT = 160, 50
_CUT = 600

Marked = tuple[tuple[str, Mark], ...]


def mark_differences(left: str, right: str) -> tuple[Marked, Marked]:
    """Both texts (their first 600 characters) in stretches that are the same or changed.

    A long stretch that is the same keeps its ends; the middle becomes a gap that says how long
    it was.
    """
    a, b = _UNIT.findall(left[:_CUT]), _UNIT.findall(right[:_CUT])
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    lefts: list[tuple[str, Mark]] = []
    rights: list[tuple[str, Mark]] = []
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag == "equal":
            same = _shorten(a[a0:a1])
            lefts += same
            rights += same
        else:
            lefts += _changed(a[a0:a1])
            rights += _changed(b[b0:b1])
    return tuple(lefts), tuple(rights)


def _changed(units: Sequence[str]) -> list[tuple[str, Mark]]:
    return [("".join(units), "changed")] if units else []


def _shorten(units: Sequence[str]) -> list[tuple[str, Mark]]:
    text = "".join(units)
    if len(text) <= _LONGEST:
        return [(text, "same")]
    left_out = len(text) - 2 * _CONTEXT
    gap: tuple[str, Mark] = (f"{left_out} characters the same", "gap")
    return [(text[:_CONTEXT], "same"), gap, (text[-_CONTEXT:], "same")]
