"""Which documents a stage uses: the shares of its mixture, met in tokens.

A part's tokens are its share of the stage's budget; within a part, every category x language gets
tokens in proportion to what it has.  Documents are taken whole, in the order of a hash, each that
still fits; what a group leaves goes to the next, larger one of its part, so a part comes within a
document of its share (`used_tokens`).  Where the share is larger than what there is, the documents
are used again in another order, up to the part's `max_epochs`.

What a group has is known only once it is encoded.  A corpus may be far larger than the budget, so
only a sample and then what is needed are encoded, and the rest is estimated from its bytes at the
rate measured so far.  The choice among documents is exact; the estimate only sets how a part is
divided among its groups, and before a part is refused all of it is encoded.  The price is one more
pass over the corpus for each round, two or three in practice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from buckets.candidates import Candidates, order_by_hash
from buckets.fitting import take_fitting
from buckets.tokens import TokenStore
from tongwen.errors import TongwenError
from tongwen.recipe import Stage

_SAMPLE_DOCUMENTS, _SAMPLE_BYTES = 200, 256_000
_MARGIN, _MORE_DOCUMENTS = 1.1, 8

EncodeMore = Callable[[NDArray[np.int64]], None]
"""Encodes some candidates (indices) into the store."""

Use = tuple[NDArray[np.int64], int]
"""Documents (indices among the candidates) and the epoch they are used in."""


@dataclass(frozen=True)
class PartUse:
    """What a part was asked for and what it gave, in tokens."""

    asked: int
    available: int
    used: int
    documents: int


@dataclass(frozen=True)
class Selection:
    """The documents that a stage uses, one entry a use.

    Attributes:
        document_U: int64, index among the candidates.
        epoch_U: int32, 1 for the first use of a document.
        parts: one for each part of the mixture.
    """

    document_U: NDArray[np.int64]
    epoch_U: NDArray[np.int32]
    parts: tuple[PartUse, ...]


def choose_documents(
    stage: Stage, candidates: Candidates, store: TokenStore, encode: EncodeMore, seed: int
) -> Selection:
    """Choose a stage's documents and have them encoded.

    Raises:
        TongwenError: a part has too few tokens even when used `max_epochs` times.
    """
    return _Chooser(stage, candidates, store, seed).choose(encode)


def divide(total: int, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers in proportion to `weights` that add up to `total`."""
    edges = np.rint(np.cumsum(weights) * (total / max(int(weights.sum()), 1))).astype(np.int64)
    return np.diff(edges, prepend=0)


class _Chooser:
    """The rounds of encoding; a cell's documents are encoded in the order of their use."""

    def __init__(self, stage: Stage, candidates: Candidates, store: TokenStore, seed: int) -> None:
        self.stage, self.candidates, self.store, self.seed = stage, candidates, store, seed
        self.part_C = np.array([cell.part for cell in candidates.cells])
        self.orders = {1: self._order(1)}
        self.encoded = [0] * len(candidates.cells)
        self.asked_P = divide(stage.tokens, np.array([part.share * 1e9 for part in stage.mixture]))

    def choose(self, encode: EncodeMore) -> Selection:
        self._encode([self._sample(order) for order in self.orders[1]], encode)
        while True:
            available_C = np.array([self._measure(cell) for cell in range(len(self.orders[1]))])
            asked_C = self._ask(available_C)
            wanted = [self._want(cell, int(asked)) for cell, asked in enumerate(asked_C)]
            self._widen_short_parts(available_C, wanted)
            uses, left_P = self._take(asked_C)
            self._widen_unfilled_parts(left_P, asked_C, wanted)
            if not self._encode(wanted, encode):
                break
        self._check(available_C)
        return self._collect(uses, available_C)

    def _order(self, epoch: int) -> list[NDArray[np.int64]]:
        """The candidates of each cell in the order of their use in an epoch."""
        order = order_by_hash(self.candidates.id_N2, "order", self.seed, self.stage.name, epoch)
        order = order[np.argsort(self.candidates.cell_N[order], kind="stable")]
        counts = np.bincount(self.candidates.cell_N, minlength=len(self.candidates.cells))
        return np.split(order, np.cumsum(counts)[:-1])

    def _sample(self, order: NDArray[np.int64]) -> int:
        """How many documents of a cell to encode before anything is known of it."""
        sizes = np.cumsum(self.candidates.bytes_N[order[:_SAMPLE_DOCUMENTS]])
        return int(np.searchsorted(sizes, _SAMPLE_BYTES)) + 1

    def _encode(self, wanted: list[int], encode: EncodeMore) -> bool:
        """Have the first `wanted` documents of each cell encoded; False if they all were."""
        more: list[NDArray[np.int64]] = []
        for cell, order in enumerate(self.orders[1]):
            until = min(max(wanted[cell], self.encoded[cell]), len(order))
            more.append(order[self.encoded[cell] : until])
            self.encoded[cell] = until
        documents = np.concatenate(more)
        if len(documents):
            encode(documents)
        return bool(len(documents))

    def _known(self, cell: int) -> tuple[int, float]:
        """Tokens encoded so far, and tokens per byte of them."""
        documents = self.orders[1][cell][: self.encoded[cell]]
        tokens = int(self.store.length_N[documents].sum(dtype=np.int64))
        return tokens, tokens / max(int(self.candidates.bytes_N[documents].sum()), 1)

    def _measure(self, cell: int) -> int:
        """Tokens of a cell: counted where encoded, estimated elsewhere."""
        tokens, rate = self._known(cell)
        rest = self.candidates.bytes_N[self.orders[1][cell][self.encoded[cell] :]]
        return tokens + round(float(rest.sum()) * rate)

    def _ask(self, available_C: NDArray[np.int64]) -> NDArray[np.int64]:
        asked_C = np.zeros(len(available_C), np.int64)
        for part, asked in enumerate(self.asked_P):
            cells = self.part_C == part
            asked_C[cells] = divide(int(asked), available_C[cells])
        return asked_C

    def _want(self, cell: int, asked: int) -> int:
        """How many documents of a cell to have encoded to reach `asked` tokens, by estimate."""
        tokens, rate = self._known(cell)
        if tokens >= asked:
            return self.encoded[cell]
        rest = self.candidates.bytes_N[self.orders[1][cell][self.encoded[cell] :]]
        needed = int(np.searchsorted(tokens + np.cumsum(rest) * rate, asked * _MARGIN))
        return self.encoded[cell] + needed + _MORE_DOCUMENTS

    def _widen_short_parts(self, available_C: NDArray[np.int64], wanted: list[int]) -> None:
        """A part that seems too small is encoded whole before it is refused."""
        for part in self._short_parts(available_C):
            for cell in np.flatnonzero(self.part_C == part):
                wanted[cell] = len(self.orders[1][cell])

    def _short_parts(self, available_C: NDArray[np.int64]) -> list[int]:
        parts = enumerate(self.stage.mixture)
        reach = [int(available_C[self.part_C == i].sum()) * part.max_epochs for i, part in parts]
        return [part for part, asked in enumerate(self.asked_P) if reach[part] < asked]

    def _check(self, available_C: NDArray[np.int64]) -> None:
        for number in self._short_parts(available_C):
            part, asked = self.stage.mixture[number], int(self.asked_P[number])
            available = int(available_C[self.part_C == number].sum())
            raise TongwenError(
                f"a part of the mixture is asked for {asked:,} tokens (share {part.share:g} of "
                f"{self.stage.tokens:,}) but its documents have {available:,}, which used "
                f"{part.max_epochs:g} times give {int(available * part.max_epochs):,}",
                where=f"stages.{self.stage.name}.mixture.{number}",
                expected=f"at least {asked:,} tokens",
                do=f"lower the stage's tokens to {int(available * part.max_epochs / part.share):,}"
                f", raise the part's max_epochs to {asked / max(available, 1) + 0.005:.2f}, give "
                "it more languages, categories or kinds, or add documents",
            )

    def _take(self, asked_C: NDArray[np.int64]) -> tuple[list[Use], list[int]]:
        """The uses of all parts, and for each part the tokens that found no document."""
        uses: list[Use] = []
        left_P: list[int] = []
        for part in range(len(self.stage.mixture)):
            room, mine = 0, list[Use]()
            for cell in self._smallest_first(part, asked_C):
                room += int(asked_C[cell])
                taken = self._take_cell(cell, room)
                room -= sum(self._count(documents) for documents, _ in taken)
                mine += taken
            uses += mine or [self._take_shortest(part)]
            left_P.append(room)
        return uses, left_P

    def _smallest_first(self, part: int, asked_C: NDArray[np.int64]) -> list[int]:
        cells = np.flatnonzero(self.part_C == part)
        return cells[np.argsort(asked_C[cells], kind="stable")].tolist()

    def _count(self, documents: NDArray[np.int64]) -> int:
        return int(self.store.length_N[documents].sum(dtype=np.int64))

    def _take_cell(self, cell: int, room: int) -> list[Use]:
        """What of a cell fits into `room`; in a further epoch while all of it does."""
        uses: list[Use] = []
        last = int(np.ceil(self.stage.mixture[self.part_C[cell]].max_epochs))
        for epoch in range(1, last + 1):
            if epoch not in self.orders:
                self.orders[epoch] = self._order(epoch)
            order = self.orders[epoch][cell]
            known = order[: self.encoded[cell]] if epoch == 1 else order
            taken = known[take_fitting(self.store.length_N[known], room)]
            uses += [(taken, epoch)] if len(taken) else []
            room -= self._count(taken)
            if len(taken) < len(order):
                break
        return uses

    def _take_shortest(self, part: int) -> Use:
        """For a share smaller than half of any document: a stage without its part is none."""
        known = [
            self.orders[1][cell][: self.encoded[cell]]
            for cell in np.flatnonzero(self.part_C == part)
        ]
        documents = np.concatenate(known)
        return documents[[np.argmin(self.store.length_N[documents])]], 1

    def _widen_unfilled_parts(
        self, left_P: list[int], asked_C: NDArray[np.int64], wanted: list[int]
    ) -> None:
        """A part's largest cell takes what the others leave, so more of it may be needed."""
        for part, left in enumerate(left_P):
            cell = self._smallest_first(part, asked_C)[-1]
            tokens, _ = self._known(cell)
            if left > tokens / self.encoded[cell]:
                wanted[cell] = max(wanted[cell], self._want(cell, tokens + left))

    def _collect(self, uses: list[Use], available_C: NDArray[np.int64]) -> Selection:
        document_U = np.concatenate([documents for documents, _ in uses])
        epochs = [np.full(len(documents), epoch, np.int32) for documents, epoch in uses]
        part_U = self.part_C[self.candidates.cell_N[document_U]]
        parts = [
            PartUse(
                int(self.asked_P[part]),
                int(available_C[self.part_C == part].sum()),
                self._count(document_U[part_U == part]),
                int((part_U == part).sum()),
            )
            for part in range(len(self.stage.mixture))
        ]
        return Selection(document_U, np.concatenate(epochs), tuple(parts))
