"""Appending listed pieces so that each of them can be produced.

Byte-pair encoding merges two pieces at a time, so a listed text becomes a piece only if its last
two parts are pieces.  A text that the vocabulary so far cuts into two parts costs one place; one of
k parts costs up to k - 2 steps more, and a character that has no piece yet one each.  A step is
chosen for what it serves: a pair whose text is listed itself is free, otherwise the pair that
stands in most of the texts still open is taken (byte-pair encoding of the list, in effect).

Everything is appended with lower scores than all before it, so it merges after them: what the
vocabulary made of a text before is what the new merges begin with, earlier pieces stay reachable,
and other text is encoded as before unless two parts of a new piece stand side by side.  Every step
holds a character that no English text has, as every piece does.

Price: SentencePiece encodes the list once, then some 20 microseconds a text.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import sentencepiece

from tokenizer.learning.characters import is_cjk_only
from tokenizer.learning.filter import Judge
from tokenizer.lint.proof import find_unreachable
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, PieceType
from tongwen.progress import Advance, progress

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class ListedPiece:
    """A piece to append.

    Attributes:
        kind: `list`: it was asked for; `step`: one that was asked for is merged from it.
    """

    text: str
    kind: Literal["list", "step"]


@dataclass(frozen=True, slots=True)
class Listed:
    """What becomes of a list.

    Attributes:
        pieces: to append, in this order.
        rejected: texts that do not become pieces, each with a rule and a reason.
        needed: places that all of them would take, whatever the budget.
    """

    pieces: list[ListedPiece]
    rejected: list[tuple[str, str, str]]
    needed: int


def plan_listed(model: ModelProto, texts: Sequence[str], budget: int, judge: Judge) -> Listed:
    """The pieces to append to a model so that the texts become pieces of it.

    Texts are taken in their order while the budget lasts.

    Args:
        model: the base with the pieces learned so far, in order.
        texts: without a space, each with a character of which `is_cjk_only` is true (`read_lists`).
        budget: places that there are.
        judge: what it leaves out becomes neither a piece nor a step.
    """
    planner = _Planner(model, judge)
    planner.open(texts)
    with progress("placing listed pieces", total=len(texts), unit="pieces") as advance:
        planner.close_all(advance)
    pieces, late = _cut(planner, budget)
    rejected = [*planner.rejected, *((text, "list:no-place", reason) for text, reason in late)]
    return _prove(model, Listed(pieces, rejected, len(planner.added)))


class _Planner:
    """Merges the texts, each held as the parts it is cut into so far."""

    def __init__(self, model: ModelProto, judge: Judge) -> None:
        self.added: dict[str, Literal["list", "step"]] = {}
        self.rejected: list[tuple[str, str, str]] = []
        self.ends: list[tuple[str, int]] = []
        self._judge = judge
        self._model = model
        self._scores = {
            piece.piece: piece.score for piece in model.pieces if piece.type == PieceType.NORMAL
        }
        self._next = min(self._scores.values(), default=0.0) - 1.0
        self._parts: dict[str, list[str]] = {}
        self._uses: Counter[str] = Counter()
        self._holders: defaultdict[str, set[str]] = defaultdict(set)

    def open(self, texts: Sequence[str]) -> None:
        """Cut the texts that may become pieces with the model as it is."""
        wanted = [text for text in dict.fromkeys(texts) if self._admit(text)]
        for text, parts in _segment(self._model, wanted, self._scores):
            if len(parts) == 1 and parts[0] in self._scores:
                self.rejected.append((text, "list:known", "the vocabulary has this piece"))
            elif text in self._scores:
                reason = "the base has this piece but cannot produce it"
                self.rejected.append((text, "list:dead", reason))
            else:
                self._enter(text, parts)

    def close_all(self, advance: Advance) -> None:
        """Make each text a piece, in order."""
        for text in list(self._parts):
            self._close(text)
            self.ends.append((text, len(self.added)))
            advance(1)

    def _admit(self, text: str) -> bool:
        verdict = self._judge(text)
        if verdict is not None:
            self.rejected.append((text, f"list:{verdict.rule}", verdict.reason))
        elif not any(map(is_cjk_only, text)):
            reason = "without a Chinese character it would change English text"
            self.rejected.append((text, "list:no-cjk", reason))
        else:
            return True
        return False

    def _close(self, text: str) -> None:
        for character in dict.fromkeys(text):
            if character not in self._scores:
                self._append(character, text)
        while len(self._parts[text]) > 2:
            step = self._choose_step(self._parts[text])
            if step is None:
                reason = "the filter leaves out every step towards it"
                self.rejected.append((text, "list:unreachable", reason))
                return
            self._append(step, text)
        if text not in self._scores:
            self._append(text, text)
        self.added[text] = "list"

    def _choose_step(self, parts: list[str]) -> str | None:
        """A pair that is listed and made of these parts, else the one in most texts.

        A pair that is listed but cut otherwise comes last: its text would need other steps still.
        """
        best, best_rank = None, (0, 0)
        for left, right in pairwise(parts):
            pair = left + right
            if not any(map(is_cjk_only, pair)) or self._judge(pair) is not None:
                continue
            own = self._parts.get(pair, [])
            rank = (1 if not own else 2 * (own == [left, right]), self._uses[pair])
            if best is None or rank > best_rank:
                best, best_rank = pair, rank
        return best

    def _append(self, piece: str, text: str) -> None:
        self._scores[piece] = self._next
        self._next -= 1.0
        self.added[piece] = "list" if piece in self._parts else "step"
        for holder in sorted(self._holders.pop(piece, ())) or [text]:
            self._leave(holder)
            self._enter(holder, _merge(self._parts[holder], self._scores.get))

    def _enter(self, text: str, parts: list[str]) -> None:
        self._parts[text] = parts
        for left, right in pairwise(parts):
            self._uses[left + right] += 1
            self._holders[left + right].add(text)

    def _leave(self, text: str) -> None:
        for left, right in pairwise(self._parts[text]):
            self._uses[left + right] -= 1
            self._holders[left + right].discard(text)


def _merge(parts: list[str], score_of: Callable[[str], float | None]) -> list[str]:
    """Merge neighbours whose text is a piece, the highest score first, then the leftmost."""
    parts = list(parts)
    while True:
        best, place = None, -1
        for number, (left, right) in enumerate(pairwise(parts)):
            score = score_of(left + right)
            if score is not None and (best is None or score > best):
                best, place = score, number
        if best is None:
            return parts
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


def _segment(
    model: ModelProto, texts: Sequence[str], scores: Mapping[str, float]
) -> Iterable[tuple[str, list[str]]]:
    """Each text with the parts that SentencePiece makes of it; a character it lacks is a part."""
    processor = _load_plain(model)
    for begin in range(0, len(texts), _BATCH):
        batch = list(texts[begin : begin + _BATCH])
        for text, parts in zip(batch, processor.encode(batch, out_type=str), strict=True):
            whole = "".join(parts) == text
            yield text, parts if whole else _merge(list(text), scores.get)


def _load_plain(model: ModelProto) -> sentencepiece.SentencePieceProcessor:
    plain = type(model)()
    plain.CopyFrom(model)
    plain.normalizer_spec.add_dummy_prefix = False
    return sentencepiece.SentencePieceProcessor(model_proto=plain.SerializeToString())


def _cut(planner: _Planner, budget: int) -> tuple[list[ListedPiece], list[tuple[str, str]]]:
    """The pieces of the texts that the budget holds whole, and the texts that come too late."""
    last = max((end for _, end in planner.ends if end <= budget), default=0)
    pieces = [ListedPiece(text, kind) for text, kind in list(planner.added.items())[:last]]
    taken = {piece.text for piece in pieces}
    reason = f"the list needs {len(planner.added):,} places, there are {budget:,}"
    late = [(text, reason) for text, _ in planner.ends if text in planner.added]
    return pieces, [entry for entry in late if entry[0] not in taken]


def _prove(model: ModelProto, plan: Listed) -> Listed:
    """Take out what SentencePiece itself does not produce; nothing, for a plain BPE model."""
    while plan.pieces:
        extended = append_pieces(model, [piece.text for piece in plan.pieces])
        dead = {
            extended.pieces[number].piece
            for number in find_unreachable(extended, len(model.pieces))
        }
        if not dead:
            break
        reason = "SentencePiece does not merge its parts: a special piece of the base is in between"
        lost = [(piece.text, "list:unreachable", reason) for piece in plan.pieces]
        lost = [row for row in lost if row[0] in dead]
        kept = [piece for piece in plan.pieces if piece.text not in dead]
        plan = Listed(kept, [*plan.rejected, *lost], plan.needed)
    return plan
