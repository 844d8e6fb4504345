"""Documents into buckets: every bucket gets one bin of every category x language, of equal tokens.

A group's documents that are longer than a training sequence are laid end to end and cut into equal
bins (see `cutting`).  The short ones then go, longest first, to the bucket whose bin of the group
is furthest behind (Graham's longest-processing-time rule); ties go to the bucket with the fewest
tokens so far.  So a bin differs from its target by at most a training sequence.

A group with fewer documents than buckets cannot give each a bin.  By the recipe that is an error,
or the group is joined into `other` of its language, and `other`, if still too small, into the
largest group of that language.

The price: a heap operation for each document, about a microsecond.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from buckets.candidates import Candidates, format_ids
from buckets.cutting import Parts, cut_bins
from buckets.mixture import Selection
from buckets.tokens import TokenStore
from tongwen.errors import TongwenError
from tongwen.recipe import Stage

OTHER = "other"
_MERGE = 'set buckets.small_categories = "merge" to join them with others of their language'
_LEAVE_OUT = "even joined they are too few: leave the language out, add documents of it"


@dataclass(frozen=True, order=True)
class Group:
    """A category of a language; in every bucket it has one bin."""

    language: str
    category: str

    @property
    def bin(self) -> str:
        """The bin's name, such as `zh/law`."""
        return f"{self.language}/{self.category}"


@dataclass(frozen=True)
class Balance:
    """Tokens of each bin.

    Attributes:
        bins: G groups, sorted.
        tokens_BG: int64, tokens of each group in each bucket.
    """

    bins: tuple[Group, ...]
    tokens_BG: NDArray[np.int64]

    @property
    def target_G(self) -> NDArray[np.int64]:
        """What a bin of each group would hold if documents could be cut."""
        return np.rint(self.tokens_BG.sum(0) / len(self.tokens_BG)).astype(np.int64)

    @property
    def deviation_BG(self) -> NDArray[np.float64]:
        """Each bin's share of its bucket less the group's share of everything, in points."""
        share_BG = self.tokens_BG / self.tokens_BG.sum(1, keepdims=True)
        share_G = self.tokens_BG.sum(0) / self.tokens_BG.sum()
        return (share_BG - share_G) * 100

    @property
    def largest_deviation(self) -> tuple[float, Group]:
        """The largest such difference, sign aside, and its group."""
        largest_G = np.abs(self.deviation_BG).max(0)
        return float(largest_G.max()), self.bins[int(largest_G.argmax())]


@dataclass(frozen=True)
class StagePlan:
    """Where the documents of a stage go; U uses of documents, or of parts of long ones.

    Attributes:
        document_U: int64, index among the candidates.
        epoch_U: int32, 1 for the first use.
        start_U: int32, the first token in the document; 0 but for the further parts.
        length_U: int32, tokens.
        groups: every category x language used; group_U: int64, index into it.
        bins: the bins after merging; bin_U: int64, index into it.
        bucket_U: int32.
    """

    document_U: NDArray[np.int64]
    epoch_U: NDArray[np.int32]
    start_U: NDArray[np.int32]
    length_U: NDArray[np.int32]
    groups: tuple[Group, ...]
    group_U: NDArray[np.int64]
    bins: tuple[Group, ...]
    bin_U: NDArray[np.int64]
    bucket_U: NDArray[np.int32]
    num_buckets: int

    @property
    def balance(self) -> Balance:
        args = (self.length_U, self.bin_U, self.bucket_U, self.num_buckets)
        return measure_balance(self.bins, *args)


def plan_stage(
    stage: Stage,
    candidates: Candidates,
    selection: Selection,
    store: TokenStore,
    small_categories: str,
    sequence_length: int,
) -> StagePlan:
    """Give every chosen document a bin and a bucket, or buckets where it is long.

    Raises:
        TongwenError: a group is too small for the number of buckets, or a document longer than one.
    """
    where = f"stages.{stage.name}"
    length_U = store.length_N[selection.document_U]
    groups, group_U = _find_groups(candidates, selection)
    counts = dict(zip(groups, np.bincount(group_U).tolist(), strict=True))
    sums = np.bincount(group_U, weights=length_U).astype(np.int64).tolist()
    tokens = dict(zip(groups, sums, strict=True))
    _check_longest(stage, candidates, selection, length_U, where)
    bin_of = name_bins(counts, tokens, stage.buckets, small_categories, where)
    bins = tuple(sorted(set(bin_of.values())))
    bin_U = np.array([bins.index(bin_of[group]) for group in groups])[group_U]
    parts = assign_buckets(length_U, bin_U, stage.buckets, sequence_length)
    use_K = parts.document_K
    return StagePlan(
        selection.document_U[use_K],
        selection.epoch_U[use_K],
        parts.start_K,
        parts.length_K,
        groups,
        group_U[use_K],
        bins,
        bin_U[use_K],
        parts.bucket_K,
        stage.buckets,
    )


def name_bins(
    counts: Mapping[Group, int],
    tokens: Mapping[Group, int],
    num_buckets: int,
    small: str,
    where: str,
) -> dict[Group, Group]:
    """The bin that each group's documents go to: its own, or a merged one.

    Args:
        counts: documents (each use counts) of each group.
        tokens: tokens of each group.
        small: `refuse` or `merge` (`buckets.small_categories`).
        where: the recipe key of the stage, for the message.

    Raises:
        TongwenError: a group is too small and the recipe says `refuse`, or its whole language is.
    """
    least = max(num_buckets, 2)
    few = {group for group, count in counts.items() if count < least}
    if few and small == "refuse":
        raise _refuse(sorted(few), counts, num_buckets, where, _MERGE)
    bins = {group: group for group in counts}
    for language in sorted({group.language for group in few}):
        here = [group for group in sorted(counts) if group.language == language]
        joined = [group for group in here if group in few or group.category == OTHER]
        rest = [group for group in here if group not in joined]
        into = Group(language, OTHER)
        if sum(counts[group] for group in joined) < least:
            if not rest:
                raise _refuse(here, counts, num_buckets, where, _LEAVE_OUT)
            into = max(rest, key=lambda group: (tokens[group], group))
        bins.update(dict.fromkeys(joined, into))
    return bins


def assign_buckets(
    length_U: NDArray[np.int32], bin_U: NDArray[np.int64], num_buckets: int, sequence_length: int
) -> Parts:
    """Parts of the documents and their buckets; a document's parts follow each other.

    Args:
        length_U: tokens of each document; short ones of equal length are taken in the order given.
        bin_U: the number of its bin, from 0.
        sequence_length: only longer documents are cut, and only into whole sequences.
    """
    filled = [0] * num_buckets
    found: list[Parts] = []
    order = np.argsort(bin_U, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(bin_U[order])) + 1):
        is_long = length_U[members] > sequence_length
        parts = cut_bins(length_U[members[is_long]], sequence_length, num_buckets)
        found.append(replace(parts, document_K=members[is_long][parts.document_K]))
        held = np.bincount(parts.bucket_K, parts.length_K, num_buckets).astype(np.int64).tolist()
        short = members[~is_long]
        short = short[np.argsort(-length_U[short].astype(np.int64), kind="stable")]
        buckets = _fill_evenly(length_U[short].tolist(), held, filled)
        nothing = np.zeros(len(short), np.int32)
        found.append(Parts(short, nothing, length_U[short], np.array(buckets, np.int32)))
    return _sort_parts(found)


def _sort_parts(found: list[Parts]) -> Parts:
    names = ("document_K", "start_K", "length_K", "bucket_K")
    joined = Parts(*(np.concatenate([getattr(parts, name) for parts in found]) for name in names))
    order = np.lexsort((joined.start_K, joined.document_K))
    return Parts(*(getattr(joined, name)[order] for name in names))


def _fill_evenly(lengths: list[int], held: list[int], filled: list[int]) -> list[int]:
    """Buckets for short documents; `held` is what each bin has, `filled` what each bucket has."""
    filled[:] = [total + tokens for total, tokens in zip(filled, held, strict=True)]
    heap = [(held[bucket], total, bucket) for bucket, total in enumerate(filled)]
    heapq.heapify(heap)
    buckets: list[int] = []
    for length in lengths:
        tokens, before, bucket = heap[0]
        heapq.heapreplace(heap, (tokens + length, before + length, bucket))
        filled[bucket] += length
        buckets.append(bucket)
    return buckets


def find_too_long(length_U: NDArray[np.int32], num_buckets: int) -> int | None:
    """A document that is longer than a bucket of average size; None where there is none."""
    longest = int(np.argmax(length_U))
    return (
        longest
        if int(length_U[longest]) * num_buckets > int(length_U.sum(dtype=np.int64))
        else None
    )


def refuse_too_long(
    document: str, tokens: int, total: int, num_buckets: int, where: str
) -> TongwenError:
    """The error for a document that `find_too_long` found."""
    return TongwenError(
        f"document {document} is longer than a bucket: {tokens:,} tokens, while a bucket has "
        f"{total // num_buckets:,} ({total:,} tokens in {num_buckets} buckets)",
        where=f"{where}.buckets = {num_buckets}",
        expected="buckets that hold every document whole",
        do=f"use at most {max(1, total // tokens)} buckets, raise the stage's tokens, or set "
        "corpus.max_document_characters lower",
    )


def measure_balance(
    bins: tuple[Group, ...],
    length_U: NDArray[np.int32],
    bin_U: NDArray[np.int64],
    bucket_U: NDArray[np.int32],
    num_buckets: int,
) -> Balance:
    """Tokens of every bin of every bucket."""
    tokens_BG = np.zeros((num_buckets, len(bins)), np.int64)
    np.add.at(tokens_BG, (bucket_U, bin_U), length_U.astype(np.int64))
    return Balance(bins, tokens_BG)


def _refuse(
    few: list[Group], counts: Mapping[Group, int], num_buckets: int, where: str, do: str
) -> TongwenError:
    listed = ", ".join(f"{group.bin} ({counts[group]})" for group in few)
    return TongwenError(
        f"too few documents to give each of {num_buckets} buckets a bin of: {listed}",
        where=f"{where}.buckets = {num_buckets}",
        expected=f"at least {max(num_buckets, 2)} documents of each",
        do=f"{do}, use fewer buckets, or raise the stage's tokens",
    )


def _find_groups(
    candidates: Candidates, selection: Selection
) -> tuple[tuple[Group, ...], NDArray[np.int64]]:
    """The groups that are used, sorted, and each use's group."""
    of_cell = [Group(cell.language, cell.category) for cell in candidates.cells]
    cell_U = candidates.cell_N[selection.document_U]
    groups = tuple(sorted({of_cell[cell] for cell in np.unique(cell_U)}))
    number = {group: i for i, group in enumerate(groups)}
    number_C = np.array([number.get(group, -1) for group in of_cell])
    return groups, number_C[cell_U]


def _check_longest(
    stage: Stage,
    candidates: Candidates,
    selection: Selection,
    length_U: NDArray[np.int32],
    where: str,
) -> None:
    longest = find_too_long(length_U, stage.buckets)
    if longest is not None:
        document = selection.document_U[longest : longest + 1]
        name = format_ids(candidates.id_N2[document])[0]
        total = int(length_U.sum(dtype=np.int64))
        raise refuse_too_long(name, int(length_U[longest]), total, stage.buckets, where)
