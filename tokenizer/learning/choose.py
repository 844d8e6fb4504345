"""Which of many candidates become pieces: those that pay, on text of sources not seen too.

Byte-pair encoding keeps every step and every phrase that one source repeats.  Here more pieces are
learned than there is room for, the text is encoded with all of them, and the piece that saves least
is taken out again and again until the number is right.  Its uses fall to its two halves, which are
then worth more; a half is never taken out while a piece that needs it stays, so everything stays
reachable.

What a piece is worth is a mean over sources of what it saves in each: one token a use, and for a
character, that would be bytes otherwise, one less than its bytes.  For merges it is a power mean
with an exponent below 1 (`agreement`): of two pieces used equally often, the one that more sources
use is worth more.  On sources held out of learning this compresses better than the mean (README,
Figures); for characters the plain mean does.

Price: one pass of encoding, then some 50 microseconds a piece taken out.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokenizer.learning.older import find_halves
from tokenizer.learning.sources import Source
from tokenizer.learning.usage import count_uses
from tokenizer.lint.proof import find_unreachable
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, PieceType

_STEP_WORTH = 0.5


@dataclass(frozen=True)
class Choice:
    """The candidates that stay, in their order, and those that do not.

    Attributes:
        dropped: the last one taken out comes last.
        dead: candidates that nothing produces once the others are gone.
    """

    kept: list[str]
    dropped: list[str]
    dead: list[str]


def choose_pieces(
    base: ModelProto,
    candidates: Sequence[str],
    sources: Sequence[Source],
    num_pieces: int,
    *,
    agreement: float = 0.5,
    protected: frozenset[str] = frozenset(),
    num_threads: int = 1,
) -> Choice:
    """Take out the candidates that pay least until `num_pieces` are left.

    Args:
        base: what the candidates would be appended to.
        candidates: in the order they would be appended in.
        sources: text to encode.
        num_pieces: fewer may stay where fewer are reachable.
        agreement: exponent of the power mean over sources, above 0; 1 is the mean.
        protected: candidates that stay, and what they are made of.
    """
    dead: set[str] = set()
    alive = list(candidates)
    while lost := find_lost(base, alive):
        dead |= lost
        alive = [text for text in alive if text not in lost]
    pool = _Pool(base, alive, sources, agreement, num_threads)
    dropped = pool.drop(len(alive) - num_pieces, protected)
    dropped += _trade_steps(base, pool, dropped, protected)
    while lost := find_lost(base, pool.kept):
        dead |= lost
        pool.lose(lost)
        dropped = pool.revive(dropped, dead, num_pieces)
    kept = pool.kept
    gone = set(kept) | dead
    rest = [text for text in dropped if text not in gone]
    return Choice(kept, rest, [text for text in candidates if text in dead])


def find_lost(base: ModelProto, texts: Sequence[str]) -> set[str]:
    """The texts that would not be produced, were all of them appended to the base.

    SentencePiece can merge a character that is no piece itself; Hugging Face tokenizers makes bytes
    of it first.  A text with such a character is lost, too.
    """
    model = append_pieces(base, texts)
    found = {model.pieces[number].piece for number in find_unreachable(model, len(base.pieces))}
    known = {piece.piece for piece in model.pieces if len(piece.piece) == 1}
    return found | {text for text in texts if not known.issuperset(text)}


class _Pool:
    """Candidates with their uses; a candidate is known by its place among them."""

    def __init__(
        self,
        base: ModelProto,
        texts: Sequence[str],
        sources: Sequence[Source],
        agreement: float,
        num_threads: int,
    ) -> None:
        start = len(base.pieces)
        uses_SV = count_uses(append_pieces(base, texts), sources, num_threads=num_threads)
        size_S = np.array([source.size for source in sources], np.float64)
        self.texts = list(texts)
        self.places = {text: place for place, text in enumerate(texts)}
        self.alive = np.ones(len(texts), np.bool_)
        self.needed = np.zeros(len(texts), np.int64)
        self._halves = _find_all_halves(base, texts, self.places)
        for halves in self._halves.values():
            np.add.at(self.needed, list(halves), 1)
        self._rate_VS = np.ascontiguousarray((uses_SV[:, start:] / size_S[:, None]).T)
        self._share_S = size_S / size_S.sum()
        self._agreement = agreement

    @property
    def kept(self) -> list[str]:
        """Those that are not taken out, in order."""
        return [text for text, alive in zip(self.texts, self.alive, strict=True) if alive]

    def measure(self, place: int) -> float:
        """What a candidate saves: tokens in a character of text, a mean over sources."""
        rate_S, text = self._rate_VS[place], self.texts[place]
        if len(text) == 1:
            return float(self._share_S @ rate_S) * (len(text.encode()) - 1)
        power = self._agreement
        return float(self._share_S @ rate_S**power) ** (1 / power)

    def drop(self, number: int, protected: frozenset[str]) -> list[str]:
        """Take out that many, the least worth first; returns them in that order."""
        heap = [(self.measure(place), place) for place in self._list_free(protected)]
        heapq.heapify(heap)
        gone: list[str] = []
        while len(gone) < number and heap:
            worth, place = heapq.heappop(heap)
            if not self.alive[place] or self.needed[place]:
                continue
            now = self.measure(place)
            if now > worth:
                heapq.heappush(heap, (now, place))
                continue
            gone.append(self.texts[place])
            for half in self.take_out(place):
                if self.texts[half] not in protected:
                    heapq.heappush(heap, (self.measure(half), half))
        return gone

    def take_out(self, place: int) -> list[int]:
        """Take one out; returns the halves that nothing needs any more."""
        self.alive[place] = False
        free: list[int] = []
        for half in self._halves.get(place, ()):
            self._rate_VS[half] += self._rate_VS[place]
            self.needed[half] -= 1
            if self.alive[half] and not self.needed[half]:
                free.append(half)
        return free

    def lose(self, texts: set[str]) -> None:
        """Take out candidates that turned out to be dead."""
        for text in sorted(texts):
            self.take_out(self.places[text])

    def revive(self, dropped: list[str], dead: set[str], num_pieces: int) -> list[str]:
        """Put back the last that were dropped and can be made; returns those still out."""
        out: list[str] = []
        missing = num_pieces - int(self.alive.sum())
        for text in reversed(dropped):
            place = self.places[text]
            halves = self._halves.get(place, ())
            if missing <= 0 or text in dead or not self.alive[list(halves)].all():
                out.append(text)
                continue
            self.put_back(place)
            missing -= 1
        return out[::-1]

    def put_back(self, place: int) -> None:
        """Undo `take_out`."""
        self.alive[place] = True
        for half in self._halves.get(place, ()):
            self._rate_VS[half] -= self._rate_VS[place]
            self.needed[half] += 1

    def find_margin(self) -> float:
        """What the cheapest merge that nothing else needs is worth."""
        free = self._list_free(frozenset())
        return min((self.measure(at) for at in free if len(self.texts[at]) > 1), default=0.0)

    def list_steps(self, protected: frozenset[str]) -> list[int]:
        """Merges that others need and that are worth little themselves."""
        limit = self.find_margin() * _STEP_WORTH
        places = np.flatnonzero(self.alive & (self.needed > 0)).tolist()
        merges = (at for at in places if len(self.texts[at]) > 1)
        chosen = (at for at in merges if self.texts[at] not in protected)
        return [at for at in chosen if self.measure(at) < limit]

    def list_makers(self, text: str) -> set[int]:
        """All candidates that a text is made from, step by step."""
        found: set[int] = set()
        open_ = [self.places[text]]
        while open_:
            for half in self._halves.get(open_.pop(), ()):
                if half not in found:
                    found.add(half)
                    open_.append(half)
        return found

    def _list_free(self, protected: frozenset[str]) -> list[int]:
        places = np.flatnonzero(self.alive & (self.needed == 0)).tolist()
        return [place for place in places if self.texts[place] not in protected]


def _trade_steps(
    base: ModelProto, pool: _Pool, dropped: list[str], protected: frozenset[str]
) -> list[str]:
    """Take out the steps without which all the rest can still be made, and revive as many.

    `dropped` loses what is revived; returns the steps.
    """
    num_pieces = int(pool.alive.sum())
    steps = set(pool.list_steps(protected))
    while steps:
        trial = [text for at, text in enumerate(pool.texts) if pool.alive[at] and at not in steps]
        lost = find_lost(base, trial)
        if not lost:
            break
        steps -= set().union(*(pool.list_makers(text) for text in lost))
    for place in steps:
        pool.alive[place] = False
    dropped[:] = pool.revive(dropped, set(), num_pieces)
    return [pool.texts[place] for place in sorted(steps)]


def _find_all_halves(
    base: ModelProto, texts: Sequence[str], places: Mapping[str, int]
) -> dict[int, tuple[int, ...]]:
    """For each candidate the candidates that it is merged from (a half may be the base's)."""
    scores = {piece.piece: -piece.score for piece in base.pieces if piece.type == PieceType.NORMAL}
    order = {score: rank for rank, score in enumerate(sorted(set(scores.values())))}
    ranks = {text: order[score] for text, score in scores.items()}
    ranks |= {text: len(order) + place for text, place in places.items()}
    found: dict[int, tuple[int, ...]] = {}
    for place, text in enumerate(texts):
        halves = find_halves(text, ranks) if len(text) > 1 else None
        if halves is not None:
            both = (halves.left, halves.right)
            found[place] = tuple(places[half] for half in both if half in places)
    return found
