"""What can be seen on texts, in one pass over their lines and in bounded memory.

Lines, because one Chinese word in a document says nothing about the rest of it.  Those without a
CJK-only character are the base language's: the extended model has to cut them as the base does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import sentencepiece

from tokenizer.learning.characters import is_cjk_only
from tokenizer.lint.fast import Fast
from tokenizer.lint.report import Change
from tokenizer.model import SPACE
from tongwen.progress import progress

_BATCH_CHARACTERS = 1 << 20
_MOST_CHANGES = 200
_MOST_SAMPLED = 20_000
_AROUND = 4
_LONGEST = 40
_FIRST_CJK = "\u3000"

Processor = sentencepiece.SentencePieceProcessor


@dataclass
class TextFacts:
    """Counts of lines.

    Attributes:
        lines: all that are not empty.
        compared: those without a CJK-only character, encoded by base and model.
        changed: those of them that are encoded differently.
        changes: the first of them.
        sampled: lines of which the text was compared with what decoding gives back.
        altered: (line, what came back) of those that come back changed; the first ones.
        num_altered: how many.
        asked: lines that the Hugging Face tokenizer encoded, too.
        disagreements: the first lines for which it gave other ids.
        num_disagreements: how many.
    """

    lines: int = 0
    compared: int = 0
    changed: int = 0
    changes: list[Change] = field(default_factory=list)
    sampled: int = 0
    altered: list[tuple[str, str]] = field(default_factory=list)
    num_altered: int = 0
    asked: int = 0
    disagreements: list[str] = field(default_factory=list)
    num_disagreements: int = 0


def measure_texts(
    texts: Iterable[str], processor: Processor, base: Processor | None, fast: Fast | None
) -> TextFacts:
    """Encode every line by the base, the model and the Hugging Face tokenizer.

    The last one and decoding look at the first 20,000 lines, for they are slow.
    """
    facts = TextFacts()
    with progress("comparing lines", unit="lines") as advance:
        for lines in _batch_lines(texts):
            facts.lines += len(lines)
            if base is not None:
                _compare(facts, [line for line in lines if is_plain(line)], base, processor)
            sample = lines[: max(0, _MOST_SAMPLED - facts.sampled)]
            facts.sampled += len(sample)
            _decode(facts, sample, processor)
            if fast is not None:
                _ask(facts, sample, processor, fast)
            advance(len(lines))
    return facts


def is_plain(line: str) -> bool:
    """Whether a line has no CJK-only character (`tokenizer.learning.characters`)."""
    return line.isascii() or max(line) < _FIRST_CJK or not any(map(is_cjk_only, line))


def _batch_lines(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        for line in text.split("\n"):
            if line:
                batch.append(line)
                size += len(line)
            if size >= _BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _compare(facts: TextFacts, lines: Sequence[str], base: Processor, processor: Processor) -> None:
    """Pieces are compared where ids differ: ids that moved are another rule's finding."""
    before = base.encode(list(lines), out_type=int)
    after = processor.encode(list(lines), out_type=int)
    facts.compared += len(lines)
    for old, new in zip(before, after, strict=True):
        if old == new:
            continue
        one, two = base.id_to_piece(old), processor.id_to_piece(new)
        if one != two:
            facts.changed += 1
            if len(facts.changes) < _MOST_CHANGES:
                facts.changes.append(cut_change(one, two))


def cut_change(base: Sequence[str], extended: Sequence[str]) -> Change:
    """The first place where two segmentations part, with a few pieces around it."""
    ends_base, ends_extended = _list_ends(base), _list_ends(extended)
    pairs = zip(base, extended, strict=False)
    head = next(
        (n for n, (one, two) in enumerate(pairs) if one != two), min(map(len, (base, extended)))
    )
    meet = min(set(ends_base[head:]) & set(ends_extended[head:]), default=0)
    start = max(0, head - _AROUND)
    one = _cut(base, ends_base, start, meet)
    two = _cut(extended, ends_extended, start, meet)
    return Change(_read_text(one), one, two)


def _cut(pieces: Sequence[str], ends: Sequence[int], start: int, meet: int) -> list[str]:
    stop = ends.index(meet) + 1 if meet in ends else len(pieces)
    return list(pieces[start : min(stop + _AROUND, start + _LONGEST)])


def _read_text(pieces: Sequence[str]) -> str:
    parts = (bytes((int(p[3:5], 16),)) if is_byte(p) else p.encode() for p in pieces)
    return b"".join(parts).decode("utf-8", "replace").replace(SPACE, " ")


def _list_ends(pieces: Sequence[str]) -> list[int]:
    """After each piece, the bytes of text up to there; a byte piece stands for one."""
    return list(accumulate(1 if is_byte(piece) else len(piece.encode()) for piece in pieces))


def is_byte(piece: str) -> bool:
    """Whether a piece is the name of a byte, `<0x0A>`."""
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")


def _decode(facts: TextFacts, lines: Sequence[str], processor: Processor) -> None:
    """Count lines that do not come back; a written U+2581 never does and is left out."""
    lines = [line for line in lines if SPACE not in line]
    if not lines:
        return
    for line, back in zip(lines, processor.decode(processor.encode(lines)), strict=True):
        if back != line:
            facts.num_altered += 1
            if len(facts.altered) < _MOST_CHANGES:
                facts.altered.append((line, back))


def _ask(facts: TextFacts, lines: Sequence[str], processor: Processor, fast: Fast) -> None:
    lines = [line for line in lines if not fast.holds_special(line)]
    facts.asked += len(lines)
    pairs = zip(processor.encode(lines), fast.encode(lines), strict=True)
    for line, (slow, quick) in zip(lines, pairs, strict=True):
        if slow != quick:
            facts.num_disagreements += 1
            if len(facts.disagreements) < _MOST_CHANGES:
                facts.disagreements.append(line)
