"""Edited copies of known strength: what really happens to a text between two places it is found.

    perturbation   strength                                      Jaccard of 5-token shingles
    scattered      share of tokens replaced, one by one          (1 - 5s) / (1 + 5s)
    block          share replaced by a stretch of another text   (1 - s) / (1 + s)
    truncation     share cut off the end                         1 - s
    concatenation  another text appended, so long for one        1 / (1 + s)
    reordering     share of sentences that change places         by the length of a sentence
    script         share of the characters that have a partner   simplified <-> traditional
    boilerplate    lines of header and footer                    by the length of the text
    case, width, punctuation   share of the places changed       1: all three are folded

A token is what `corpus.hashing.shingles` takes for one, nearly: a Han character or kana or a word,
so the same strength means the same for both kinds of script.  The similarities are about what to
expect; an edit promises nothing, the audit measures what came out.  Converted script is not folded
by the shingles, so such copies have a low similarity and stay: the audit makes that visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from string import ascii_letters, digits

from corpus.audit.variants import choose_partners
from corpus.hashing.shingles import classify

Spans = list[tuple[int, int]]
Change = Callable[[str, float, str, Random], str]

_SPACELESS = (
    "\u0e00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_TOKEN = re.compile(f"[{_SPACELESS}]|[^\\W_{_SPACELESS}]+")
_SENTENCE = re.compile(r"(?<=[。！？!?\n])|(?<=\. )")
_FULL_WIDTH = {letter: chr(ord(letter) + 0xFEE0) for letter in ascii_letters + digits}

_ZH = (
    (
        "首页 > 频道 > 正文",
        "请登录后查看全部内容，未注册用户请先注册",
        "字号：小 中 大 打印本页 收藏 分享到微信和微博",
        "本站公告：系统将于今晚升级，届时服务可能中断",
    ),
    (
        "版权所有，未经许可不得转载或建立镜像",
        "上一篇 下一篇 返回列表 回到顶部",
        "关于我们 联系方式 广告服务 招聘信息 网站地图",
        "如有侵权请联系管理员，我们会在核实后尽快删除",
    ),
)
_EN = (
    (
        "Home > Topics > Article",
        "Sign in or create a free account to read this and all other articles",
        "Share this page by mail or print it in a larger font size",
        "We use cookies to give you the best experience on our site",
    ),
    (
        "All rights reserved, no part may be reproduced without permission",
        "Previous page Next page Back to the top of the list",
        "About us Contact Privacy policy Terms of service Site map",
        "Subscribe to our newsletter and never miss a story again",
    ),
)
_WIDE = dict(zip(",.;:!?()-", "，。；：！？（）—", strict=True))
_EXCHANGED = _WIDE | {wide: narrow for narrow, wide in _WIDE.items()} | {"　": " ", " ": "  "}


@dataclass(frozen=True)
class Edit:
    """One perturbation at one strength."""

    perturbation: str
    strength: float
    change: Change

    def apply(self, text: str, other: str, chance: Random) -> str:
        """The edited text; where nothing can be changed, the text itself.

        Args:
            other: a text to take foreign words from.
            chance: the only source of randomness.
        """
        return self.change(text, self.strength, other, chance)


def find_tokens(text: str) -> Spans:
    """Start and end of every token."""
    return [match.span() for match in _TOKEN.finditer(text)]


def scatter(text: str, share: float, other: str, chance: Random) -> str:
    """Replace single tokens, spread over the text, by tokens of another."""
    spans, foreign = find_tokens(text), find_tokens(other)
    if not spans or not foreign:
        return text
    parts, done = [], 0
    for place in sorted(chance.sample(range(len(spans)), _count(share, len(spans)))):
        start, end = chance.choice(foreign)
        parts += [text[done : spans[place][0]], other[start:end]]
        done = spans[place][1]
    return "".join([*parts, text[done:]])


def replace_block(text: str, share: float, other: str, chance: Random) -> str:
    """Replace one stretch by a stretch of another text, as many tokens long."""
    spans, foreign = find_tokens(text), find_tokens(other)
    if not spans or not foreign:
        return text
    length = _count(share, len(spans))
    first = chance.randrange(len(spans) - length + 1)
    taken = min(length, len(foreign))
    start = chance.randrange(len(foreign) - taken + 1)
    stretch = other[foreign[start][0] : foreign[start + taken - 1][1]]
    return text[: spans[first][0]] + stretch + text[spans[first + length - 1][1] :]


def truncate(text: str, share: float, other: str, chance: Random) -> str:
    """Cut off the end."""
    spans = find_tokens(text)
    kept = len(spans) - _count(share, len(spans)) if spans else 0
    return text[: spans[kept - 1][1]] if kept else text


def concatenate(text: str, share: float, other: str, chance: Random) -> str:
    """Append the beginning of another text."""
    spans, foreign = find_tokens(text), find_tokens(other)
    if not spans or not foreign:
        return text
    taken = min(_count(share, len(spans)), len(foreign))
    return f"{text}\n{other[: foreign[taken - 1][1]]}"


def reorder(text: str, share: float, other: str, chance: Random) -> str:
    """Let some sentences, but not the last, change places."""
    sentences = _SENTENCE.split(text)
    movable = [place for place, words in enumerate(sentences[:-1]) if words.strip()]
    if len(movable) < 2:
        return text
    chosen = sorted(chance.sample(movable, max(2, _count(share, len(movable)))))
    turned = chance.sample(chosen, len(chosen))
    if turned == chosen:
        turned = chosen[1:] + chosen[:1]
    moved = dict(zip(chosen, turned, strict=True))
    return "".join(sentences[moved.get(place, place)] for place in range(len(sentences)))


def convert_script(text: str, share: float, other: str, chance: Random) -> str:
    """Turn simplified characters into traditional ones, or the reverse."""
    partners = choose_partners(text)
    return _exchange(text, partners.get, share, chance)


def add_boilerplate(text: str, lines: float, other: str, chance: Random) -> str:
    """Put a header and a footer around the text, half of the lines each."""
    header, footer = _ZH if _is_spaceless(text) else _EN
    half = int(lines) // 2
    return "\n".join([*header[:half], text, *footer[:half]])


def change_case(text: str, share: float, other: str, chance: Random) -> str:
    """Swap the case of letters that are folded back."""
    return _exchange(text, _swap_folded, share, chance)


def change_width(text: str, share: float, other: str, chance: Random) -> str:
    """Turn ASCII letters and digits into their full-width forms."""
    return _exchange(text, _FULL_WIDTH.get, share, chance)


def change_punctuation(text: str, share: float, other: str, chance: Random) -> str:
    """Exchange punctuation for that of the other script, and single spaces for two."""
    return _exchange(text, _EXCHANGED.get, share, chance)


def _count(share: float, whole: int) -> int:
    return min(whole, max(1, round(share * whole)))


def _exchange(text: str, partner: Callable[[str], str | None], share: float, chance: Random) -> str:
    """Exchange a share of the characters that have a partner."""
    letters = list(text)
    places = [place for place, changed in enumerate(map(partner, letters)) if changed]
    if places:
        for place in chance.sample(places, _count(share, len(places))):
            letters[place] = partner(letters[place]) or letters[place]
    return "".join(letters)


@lru_cache(1 << 14)
def _swap_folded(letter: str) -> str | None:
    """The letter in its other case, where the shingles take it for the same."""
    changed = letter.swapcase()
    if len(changed) != 1 or changed == letter:
        return None
    return changed if classify(ord(changed)) == classify(ord(letter)) else None


def _is_spaceless(text: str) -> bool:
    """Whether most tokens are single characters."""
    spans = find_tokens(text)
    return sum(end - start == 1 for start, end in spans) * 2 > len(spans)


def _list_edits(*rows: tuple[str, Change, Sequence[float]]) -> tuple[Edit, ...]:
    return tuple(
        Edit(name, strength, change) for name, change, strengths in rows for strength in strengths
    )


EDITS = _list_edits(
    ("scattered", scatter, (0.005, 0.01, 0.015, 0.02, 0.03, 0.05)),
    ("block", replace_block, (0.02, 0.05, 0.08, 0.11, 0.2, 0.35)),
    ("truncation", truncate, (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)),
    ("concatenation", concatenate, (0.05, 0.1, 0.15, 0.25, 0.5, 1.0)),
    ("reordering", reorder, (0.1, 0.3, 1.0)),
    ("script", convert_script, (0.02, 0.05, 0.1, 1.0)),
    ("boilerplate", add_boilerplate, (2, 4, 8)),
    ("case", change_case, (0.3, 1.0)),
    ("width", change_width, (0.3, 1.0)),
    ("punctuation", change_punctuation, (0.3, 1.0)),
)
"""Every perturbation at every strength that the audit plants."""

UNCHANGED = frozenset({"case", "width", "punctuation"})
"""Perturbations that leave the shingles as they are."""
