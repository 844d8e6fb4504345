"""Pieces that a user defined: wherever their text stands, it is that piece, the longest first.

SentencePiece walks through the text and takes the longest such piece at each place; what it takes
never merges with anything.  Here a trie over symbols does the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.hashing.code_points import decode, measure
from tokenizer.encoding.compiled import part
from tokenizer.encoding.pairs import NEVER, SYMBOL_BITS, Pairs, build_pairs, look_up, symbol_of
from tokenizer.model import SPACE, ModelProto, PieceType

_u64 = np.uint64


class Users(NamedTuple):
    """The trie; node 0 is its root.

    Attributes:
        steps: node and symbol -> next node.
        id_N: int32, id of the piece that ends at each node, or -1.
        starts_B: uint8, whether a byte (of the text) begins such a piece.
    """

    steps: Pairs
    id_N: NDArray[np.int32]
    starts_B: NDArray[np.uint8]


def build_users(model: ModelProto, symbols: dict[str, int], *, escape: bool) -> Users:
    """The trie of a model's user-defined pieces; empty for most models.

    Args:
        symbols: symbol of each character.
        escape: whether a blank of the text is a `▁`.
    """
    ids, entries = [-1], dict[int, int]()
    starts_B = np.zeros(256, np.uint8)
    for number, piece in enumerate(model.pieces):
        if piece.type != PieceType.USER_DEFINED:
            continue
        node = 0
        for character in piece.piece:
            key = node << SYMBOL_BITS | symbols[character]
            node = entries.setdefault(key, len(ids))
            ids += [-1] * (node == len(ids))
        ids[node] = number
        starts_B[piece.piece.encode()[0]] = 1
        starts_B[ord(" ")] |= escape and piece.piece[0] == SPACE
    keys = np.fromiter(entries, np.int64, len(entries))
    nodes = np.fromiter(entries.values(), np.int64, len(entries))
    largest = max(len(model.pieces) + len(symbols), len(ids)) + 1
    return Users(build_pairs(keys, nodes, largest), np.array(ids, np.int32), starts_B)


@part
def find_user(tables: Any, text: Any, at: Any, stop: Any) -> Any:
    """Id and end of the longest user-defined piece at a place; -1 where there is none."""
    found, end, node = np.int32(-1), at, _u64(0)
    while at < stop:
        length = measure(text[at])
        symbol = tables.symbol_C[_u64(decode(text, at, length))]
        answer = look_up(tables.users.steps, node, symbol)
        if answer == NEVER:
            break
        node = symbol_of(answer)
        at += length
        if tables.users.id_N[node] >= 0:
            found, end = tables.users.id_N[node], at
    return found, end
