"""From runs to the pieces of a vocabulary: learn, filter, choose, add listed pieces, fill up.

A round learns more pieces than there is room for and keeps those that pay (`choose`).  The next
round continues from what was kept, so that the places of pieces that were only steps or hardly ever
used go to pieces that byte-pair encoding finds now.  Rounds end when the text gets no shorter.
With `rounds = 0` the first pieces are taken as they were learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tokenizer.learning.choose import choose_pieces, find_lost
from tokenizer.learning.filter import Judge, find_twins
from tokenizer.learning.learn import Limits, Piece, fill_up, learn_candidates
from tokenizer.learning.left_out import LeftOut
from tokenizer.learning.listed import Listed, plan_listed
from tokenizer.learning.sources import Source, join_runs
from tokenizer.learning.usage import count_uses
from tokenizer.learning.weighting import UNIT
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto
from tongwen.progress import say
from tongwen.recipe import Tokenizer

_SPARE = 1.05
_PAYS = 1e-4
_MORE_PLACES = 16


@dataclass
class Built:
    """A vocabulary's new pieces and how they came about.

    Attributes:
        pieces: in the order they are appended in.
        uses: tokens that are each piece, in the weighted text learned from.
        left_out: pieces that were not taken, and why.
        rates: tokens a character of the weighted text after each round.
    """

    pieces: list[Piece]
    uses: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    left_out: list[LeftOut] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def build_pieces(
    base: ModelProto,
    sources: Sequence[Source],
    kinds: NDArray[np.uint8],
    section: Tokenizer,
    judge: Judge,
    listed: Sequence[str] = (),
    *,
    num_threads: int = 1,
) -> Built:
    """Exactly as many pieces as the recipe's size asks for.

    Args:
        base: a BPE model, from `load_model`.
        sources: what is learned from, weighted in thousandths.
        kinds: `Kind` of every code point, as the sources' runs were made with.
        section: size, limits, candidates, rounds and agreement are used.
        judge: a piece that it objects to is left out.
        listed: pieces that a user asks for, from `read_lists`.

    Raises:
        TongwenError: the text does not support so many pieces.
    """
    builder = _Builder(base, sources, kinds, section, judge, num_threads)
    num_pieces = section.size - len(base.pieces)
    built = builder.build(num_pieces, listed)
    taken = {piece.text for piece in built.pieces}
    objections = [row for row in builder.objections.values() if row.piece not in taken]
    built.left_out = [*built.left_out, *objections]
    return builder.finish(built, num_pieces)


class _Builder:
    def __init__(
        self,
        base: ModelProto,
        sources: Sequence[Source],
        kinds: NDArray[np.uint8],
        section: Tokenizer,
        judge: Judge,
        num_threads: int,
    ) -> None:
        self.objections: dict[str, LeftOut] = {}
        self._base, self._sources, self._kinds = base, sources, kinds
        self._section, self._judge, self._num_threads = section, judge, num_threads
        self._runs = join_runs(sources)
        self._known = {piece.piece for piece in base.pieces}
        self._limits = Limits(
            section.max_piece_length, section.character_coverage, section.min_count * UNIT
        )

    def build(self, num_pieces: int, listed: Sequence[str]) -> Built:
        """Listed pieces take their places from the others."""
        plain = self._run_rounds(num_pieces, frozenset(listed))
        have = {piece.text for piece in plain.pieces}
        missing = [text for text in listed if text not in have]
        if not missing:
            return plain
        kept, places = plain, 0
        plan = self._plan(kept, missing, num_pieces)
        while plan.needed > num_pieces - len(kept.pieces) and places < num_pieces:
            places = min(max(plan.needed, places + _MORE_PLACES), num_pieces)
            kept = self._cut(plain, num_pieces - places, frozenset(listed))
            plan = self._plan(kept, missing, num_pieces)
        added = [Piece(piece.text, 0, piece.kind) for piece in plan.pieces]
        rows = [LeftOut(*_name_row(row)) for row in plan.rejected]
        return replace(kept, pieces=[*kept.pieces, *added], left_out=rows)

    def _plan(self, kept: Built, missing: Sequence[str], num_pieces: int) -> Listed:
        model = append_pieces(self._base, [piece.text for piece in kept.pieces])
        return plan_listed(model, missing, num_pieces - len(kept.pieces), self._judge)

    def finish(self, built: Built, num_pieces: int) -> Built:
        """Fill up, and count what is used in the end."""
        banned = [text for text in self.objections if len(text) == 1]
        pieces = fill_up(built.pieces, self._base, num_pieces, banned)
        uses_V = self._count([piece.text for piece in pieces])
        uses_P = np.rint(uses_V[len(self._base.pieces) :] / UNIT).astype(np.int64)
        scaled = [replace(piece, count=piece.count // UNIT) for piece in pieces]
        rates = [*built.rates, self._measure(uses_V)]
        return replace(built, pieces=scaled, uses=uses_P, rates=rates)

    def _run_rounds(self, num_pieces: int, protected: frozenset[str]) -> Built:
        if not self._section.rounds:
            found = self._learn(self._base, ceil(num_pieces * _SPARE), {})
            return Built(list(found.values())[:num_pieces])
        found = self._learn(self._base, ceil(num_pieces * self._section.candidates), {})
        if len(found) <= num_pieces:
            return Built(list(found.values()))
        best = self._cut(Built(list(found.values())), num_pieces, protected)
        for number in range(1, self._section.rounds):
            model = append_pieces(self._base, [piece.text for piece in best.pieces])
            chosen = {piece.text: piece for piece in best.pieces}
            more = self._learn(model, ceil(num_pieces * self._section.candidates / 4), chosen)
            trial = self._cut(Built(list(more.values()), rates=best.rates), num_pieces, protected)
            if trial.rates[-1] > best.rates[-1] * (1 - _PAYS):
                break
            say(f"      round {number + 1}: {trial.rates[-1]:.4f} tokens a character")
            best = trial
        return best

    def _learn(
        self, model: ModelProto, num_pieces: int, chosen: dict[str, Piece]
    ) -> dict[str, Piece]:
        """The chosen pieces and the candidates after them that nothing speaks against."""
        found = dict(chosen)
        for piece in learn_candidates(self._runs, model, self._kinds, num_pieces, self._limits):
            verdict = self._judge(piece.text)
            if verdict is None:
                found[piece.text] = piece
            else:
                self._object(LeftOut(piece.text, piece.count // UNIT, *verdict))
        counts = {text: piece.count // UNIT for text, piece in found.items()}
        for row in find_twins(counts, self._known):
            self._object(row)
            del found[row.piece]
        return self._keep_reachable(found)

    def _keep_reachable(self, found: dict[str, Piece]) -> dict[str, Piece]:
        """Without those whose only way led over a piece that was left out."""
        while lost := find_lost(self._base, list(found)):
            for text in sorted(lost):
                piece = found.pop(text)
                reason = "a piece that it is merged from was left out"
                self._object(LeftOut(text, piece.count // UNIT, "step", reason))
        return found

    def _object(self, row: LeftOut) -> None:
        self.objections.setdefault(row.piece, row)

    def _cut(self, built: Built, num_pieces: int, protected: frozenset[str]) -> Built:
        """As many pieces as there are places, those that pay."""
        if len(built.pieces) <= num_pieces:
            return built
        if not self._section.rounds:
            return replace(built, pieces=built.pieces[:num_pieces])
        choice = choose_pieces(
            self._base,
            [piece.text for piece in built.pieces],
            self._sources,
            num_pieces,
            agreement=self._section.agreement,
            protected=protected,
            num_threads=self._num_threads,
        )
        kept = set(choice.kept)
        pieces = [piece for piece in built.pieces if piece.text in kept]
        rate = self._measure(self._count(choice.kept))
        return replace(built, pieces=pieces, rates=[*built.rates, rate])

    def _count(self, texts: Sequence[str]) -> NDArray[np.float64]:
        model = append_pieces(self._base, texts)
        return count_uses(model, self._sources, num_threads=self._num_threads).sum(axis=0)

    def _measure(self, uses_V: NDArray[np.float64]) -> float:
        """Tokens a character."""
        return float(uses_V.sum() / max(sum(source.size for source in self._sources), 1))


def _name_row(row: tuple[str, str, str]) -> tuple[str, int, str, str]:
    text, rule, reason = row
    return text, 0, rule, reason
