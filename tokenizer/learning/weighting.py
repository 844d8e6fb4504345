"""How much each source counts when pieces are learned, so that poetry does not eat the vocabulary.

Two keys of the recipe decide.  `balance` b gives a source of n characters the factor
(n / mean) ** (b - 1): 1 leaves every character alike, 0 lets every source count the same, whatever
its size (Conneau et al. 2020, https://arxiv.org/abs/1911.02116, use it for languages).
`[[tokenizer.weights]]` multiplies that for the categories and sources that it names.  Only the
ratios matter: the weights are scaled so that what is learned from weighs as much as it has
characters, and a minimum count means what it meant without weights.

A weight is a whole number of thousandths, so counts stay exact: at least one unless it is 0, and at
most a thousandfold, so that a source of one sentence does not outweigh all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import numpy as np

from tokenizer.learning.corpora import Group
from tongwen.errors import TongwenError
from tongwen.recipe import Tokenizer, Weight

UNIT = 1000
"""The whole number that stands for the weight 1."""

_KEY = "tokenizer.weights"
_LARGEST = 1000 * UNIT
_SHOWN = 8


def weigh_documents(section: Tokenizer, sizes: Mapping[Group, int]) -> dict[Group, int]:
    """The weight of the documents of each category and source, in thousandths.

    Args:
        section: its `balance` and `weights` are used.
        sizes: characters of each group of the languages learned from.

    Raises:
        TongwenError: an entry of `weights` matches no group, or nothing is left to learn from.
    """
    groups = sorted(group for group, size in sizes.items() if size > 0)
    if not groups:
        return {}
    size_G = np.array([sizes[group] for group in groups], np.float64)
    weight_G = _balance(groups, size_G, section.balance)
    for place, entry in enumerate(section.weights):
        matches_G = np.array([_matches(entry, group) for group in groups])
        if not matches_G.any():
            raise _refuse_entry(place, entry, groups)
        weight_G[matches_G] *= entry.weight
    return dict(zip(groups, _round(weight_G, size_G).tolist(), strict=True))


def _balance(groups: list[Group], size_G: np.ndarray, balance: float) -> np.ndarray:
    """(characters of the source / their mean over sources) ** (balance - 1)."""
    totals: Counter[str] = Counter()
    for (_, source), size in zip(groups, size_G.tolist(), strict=True):
        totals[source] += size
    mean = sum(totals.values()) / len(totals)
    return np.array([(totals[source] / mean) ** (balance - 1) for _, source in groups])


def _round(weight_G: np.ndarray, size_G: np.ndarray) -> np.ndarray:
    used_G = weight_G > 0
    if not used_G.any():
        raise TongwenError(
            "all documents have the weight 0, so there is nothing to learn pieces from",
            where=_KEY,
            expected="a weight above 0 for at least one category or source",
            do="remove an entry, or raise its weight",
        )
    share_G = weight_G / weight_G.max()
    scale = size_G[used_G].sum() / (share_G * size_G).sum()
    weights_G = np.rint(UNIT * scale * share_G).clip(1, _LARGEST).astype(np.int64)
    return np.where(used_G, weights_G, 0)


def _matches(entry: Weight, group: Group) -> bool:
    category, source = group
    return _is_among(category, entry.categories) and _is_among(source, entry.sources)


def _is_among(name: str, globs: tuple[str, ...]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _refuse_entry(place: int, entry: Weight, groups: list[Group]) -> TongwenError:
    categories = _list_names(category for category, _ in groups)
    sources = _list_names(source for _, source in groups)
    asked = f"categories {list(entry.categories)}" if entry.categories else ""
    asked += " and " if entry.categories and entry.sources else ""
    asked += f"sources {list(entry.sources)}" if entry.sources else ""
    return TongwenError(
        f"no document has the {asked}",
        where=f"{_KEY}.{place}",
        expected=f"names or globs of the corpus: categories {categories}; sources {sources}",
        do="correct the entry, or remove it",
    )


def _list_names(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(map(repr, found[:_SHOWN])) + more
