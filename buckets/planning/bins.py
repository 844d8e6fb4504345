"""The bins of a bucket: which cells share one, and how even the buckets came out.

A bin holds the documents of a category and language, of every part and kind.  A group with fewer
documents than buckets cannot give each a bin.  By the recipe that is an error, or the group is
joined into `other` of its language, and `other`, if still too small, into the largest group of that
language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tongwen.errors import TongwenError

OTHER = "other"
ALLOWED_DEVIATION = 0.005
"""A bin's share may miss its target by this much of the bucket, or by the largest document."""
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
        target_BG: int64, what was asked for.
    """

    bins: tuple[Group, ...]
    tokens_BG: NDArray[np.int64]
    target_BG: NDArray[np.int64]

    @property
    def deviation_BG(self) -> NDArray[np.float64]:
        """Each bin's share of its bucket less the share it should have, in points."""
        share_BG = self.tokens_BG / self.tokens_BG.sum(1, keepdims=True)
        return (share_BG - self.target_BG / self.target_BG.sum(1, keepdims=True)) * 100

    @property
    def largest_deviation(self) -> tuple[float, Group]:
        """The largest such difference, sign aside, and its group."""
        largest_G = np.abs(self.deviation_BG).max(0)
        return float(largest_G.max()), self.bins[int(largest_G.argmax())]


def name_bins(
    pieces: Mapping[Group, int],
    tokens: Mapping[Group, int],
    num_buckets: int,
    small: str,
    where: str,
) -> dict[Group, Group]:
    """The bin that each group's documents go to: its own, or a merged one.

    Args:
        pieces: of each group, whole documents and sequences of longer ones, each use counted.
        tokens: tokens of each group.
        small: `refuse` or `merge` (`buckets.small_categories`).
        where: the recipe key of the stage, for the message.

    Raises:
        TongwenError: a group is too small and the recipe says `refuse`, or its whole language is.
    """
    least = max(num_buckets, 2)
    few = {group for group, count in pieces.items() if count < least}
    if few and small == "refuse":
        raise _refuse(sorted(few), pieces, num_buckets, where, _MERGE)
    bins = {group: group for group in pieces}
    for language in sorted({group.language for group in few}):
        here = [group for group in sorted(pieces) if group.language == language]
        joined = [group for group in here if group in few or group.category == OTHER]
        rest = [group for group in here if group not in joined]
        into = Group(language, OTHER)
        if sum(pieces[group] for group in joined) < least:
            if not rest:
                raise _refuse(here, pieces, num_buckets, where, _LEAVE_OUT)
            into = max(rest, key=lambda group: (tokens[group], group))
        bins.update(dict.fromkeys(joined, into))
    return bins


def _refuse(
    few: list[Group], pieces: Mapping[Group, int], num_buckets: int, where: str, do: str
) -> TongwenError:
    listed = ", ".join(f"{group.bin} ({pieces[group]})" for group in few)
    return TongwenError(
        f"too few documents to give each of {num_buckets} buckets a bin of: {listed}",
        where=f"{where}.buckets = {num_buckets}",
        expected=f"at least {max(num_buckets, 2)} documents of each (a sequence of a document "
        "longer than one counts too)",
        do=f"{do}, use fewer buckets, or raise the stage's tokens",
    )


def refuse_too_long(
    document: str, tokens: int, total: int, num_buckets: int, where: str
) -> TongwenError:
    """The error for a document longer than a bucket."""
    return TongwenError(
        f"document {document} is longer than a bucket: {tokens:,} tokens, while a bucket has "
        f"{total // num_buckets:,} ({total:,} tokens in {num_buckets} buckets)",
        where=f"{where}.buckets = {num_buckets}",
        expected="buckets that hold every document whole",
        do=f"use at most {max(1, total // tokens)} buckets, raise the stage's tokens, or set "
        "corpus.max_document_characters lower",
    )
