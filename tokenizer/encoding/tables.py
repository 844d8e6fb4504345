"""A SentencePiece BPE model as the tables that the compiled encoder reads.

SentencePiece merges any two neighbours whose joined text is a piece, the highest score first and
the leftmost among equals.  A symbol is a piece (its id is its number) or a character that has no
piece of its own but stands in one (numbers from `size` on).  Every way to cut a piece into two
symbols is an entry of the table of pairs; so are two characters that stand side by side in a piece.
Where the text has two characters that are no entry, no merge can ever reach across.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tokenizer.encoding.pairs import JOINS, SYMBOL_BITS, Pairs, build_pairs
from tokenizer.encoding.users import Users, build_users
from tokenizer.model import SPACE, ModelProto, PieceType

NUM_CODES = 0x110000
"""Code points of Unicode."""


class Tables(NamedTuple):
    """What the compiled encoder reads.

    Attributes:
        symbol_C: uint32, symbol of each code point (a blank's is that of `▁`).
        pairs: which neighbours join, and to what.
        joins: uint8 (128 * 128), whether two ASCII characters may join: [before * 128 + after].
        byte_B: int32, id of each byte piece; -1 where the model has none.
        users: the pieces that a user defined.
        size: ids there are; symbols from here on are no pieces.
        unknown: id of the unknown piece.
        prefix: whether a blank goes in front of a text.
        blank: code point that a blank of the text stands for.
    """

    symbol_C: NDArray[np.uint32]
    pairs: Pairs
    joins: NDArray[np.uint8]
    byte_B: NDArray[np.int32]
    users: Users
    size: int
    unknown: int
    prefix: bool
    blank: int


def build_tables(model: ModelProto, *, prefix: bool, escape: bool = True) -> Tables:
    """The tables of a checked BPE model.

    Args:
        prefix: whether a blank goes in front of a text.
        escape: whether a blank of the text is a `▁`.
    """
    ids = {piece.piece: number for number, piece in enumerate(model.pieces) if _merges(piece)}
    if model.trainer_spec.byte_fallback:
        # SentencePiece (0.2.1 and later) takes the byte piece <0x00> instead.
        ids.pop("\0", None)
    symbols = dict(ids)
    for text in ids:
        for character in text:
            symbols.setdefault(character, len(model.pieces) + len(symbols) - len(ids))
    num_symbols = len(model.pieces) + len(symbols) - len(ids)
    symbol_C = np.full(NUM_CODES, num_symbols, np.uint32)
    for text, symbol in symbols.items():
        if len(text) == 1:
            symbol_C[ord(text)] = symbol
    if escape:
        symbol_C[ord(" ")] = symbol_C[ord(SPACE)]
    ranks = _rank(np.array([piece.score for piece in model.pieces], np.float32))
    pairs = _collect_pairs(ids, symbols, ranks, num_symbols)
    return Tables(
        symbol_C,
        pairs,
        _find_joins(symbol_C, pairs),
        _list_bytes(model),
        build_users(model, symbols, escape=escape),
        len(model.pieces),
        model.trainer_spec.unk_id,
        prefix,
        ord(SPACE if escape else " "),
    )


def _merges(piece: Any) -> bool:
    return piece.type in (PieceType.NORMAL, PieceType.USER_DEFINED)


def _rank(score_N: NDArray[np.float32]) -> NDArray[np.int64]:
    """0 for the highest score; equal scores share a rank."""
    return np.searchsorted(np.unique(-score_N), -score_N)


def _collect_pairs(
    ids: dict[str, int], symbols: dict[str, int], ranks: NDArray[np.int64], num_symbols: int
) -> Pairs:
    entries = dict.fromkeys(_list_neighbours(ids, symbols), int(JOINS))
    for text, number in ids.items():
        answer = int(ranks[number]) << SYMBOL_BITS | number
        entries.update(dict.fromkeys(_list_cuts(text, symbols), answer))
    keys = np.fromiter(entries, np.int64, len(entries))
    return build_pairs(keys, np.fromiter(entries.values(), np.int64, len(entries)), num_symbols)


def _list_neighbours(ids: dict[str, int], symbols: dict[str, int]) -> Iterator[int]:
    for text in ids:
        for place in range(1, len(text)):
            yield symbols[text[place - 1]] << SYMBOL_BITS | symbols[text[place]]


def _list_cuts(text: str, symbols: dict[str, int]) -> Iterator[int]:
    for place in range(1, len(text)):
        left, right = symbols.get(text[:place]), symbols.get(text[place:])
        if left is not None and right is not None:
            yield left << SYMBOL_BITS | right


def _find_joins(symbol_C: NDArray[np.uint32], pairs: Pairs) -> NDArray[np.uint8]:
    left, right = np.repeat(symbol_C[:128], 128), np.tile(symbol_C[:128], 128)
    place = (pairs.base_S[left].astype(np.int64) + right) & (len(pairs.slot_P) - 1)
    owner = pairs.slot_P[place] & np.uint64((1 << SYMBOL_BITS) - 1)
    return (owner == left).astype(np.uint8)


def _list_bytes(model: ModelProto) -> NDArray[np.int32]:
    byte_B = np.full(256, -1, np.int32)
    for number, piece in enumerate(model.pieces):
        if piece.type == PieceType.BYTE:
            byte_B[int(piece.piece[3:5], 16)] = number
    return byte_B
