"""What each token of a vocabulary stands for: whole characters, bytes, or nothing.

A token is a *fallback* where it holds bytes that are not whole characters.  In a SentencePiece
model those are the pieces of type BYTE, `<0x00>` to `<0xFF>`, each used where a character has no
piece of its own; LLaMA's has none for the line feed, which counts therefore.  A byte-level
vocabulary (.tiktoken, a tokenizer.json with `ByteLevel`) has no such type: there a token counts as
a fallback where its bytes are not valid UTF-8, that is, where it ends or begins inside a character;
the 128 bytes of ASCII are whole characters and do not count.  The length of a token that is whole
is its number of characters, the space (`▁`) included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tokenizer.model import ModelProto, PieceType

_Kind = Literal["whole", "fallback", "unknown"]


@dataclass(frozen=True)
class Tally:
    """Counts for each of some texts, int64.

    Attributes:
        tokens: without BOS and EOS.
        fallback_tokens: those that are bytes and not whole characters.
        unknown_tokens: those that stand for text which is lost.
        piece_characters: characters of the other tokens.
    """

    tokens: NDArray[np.int64]
    fallback_tokens: NDArray[np.int64]
    unknown_tokens: NDArray[np.int64]
    piece_characters: NDArray[np.int64]


@dataclass(frozen=True)
class TokenKinds:
    """For each id what it is.

    Attributes:
        fallback, unknown: whether it is one.
        characters: of its text, 0 for the two kinds above.
    """

    fallback: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    characters: NDArray[np.int64]

    def tally(self, ids: NDArray[np.integer], offsets: NDArray[np.int64]) -> Tally:
        """Sums over the ids of each text, `ids[offsets[i]:offsets[i + 1]]` for text i."""
        return Tally(
            np.diff(offsets),
            _sum_parts(self.fallback[ids], offsets),
            _sum_parts(self.unknown[ids], offsets),
            _sum_parts(self.characters[ids], offsets),
        )


def _sum_parts(values: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    totals = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=totals[1:])
    return np.diff(totals[offsets])


def _build(size: int, tokens: Iterable[tuple[int, _Kind, int]]) -> TokenKinds:
    """From ids, kinds and characters."""
    kinds = TokenKinds(np.zeros(size, bool), np.zeros(size, bool), np.zeros(size, np.int64))
    for number, kind, characters in tokens:
        kinds.fallback[number] = kind == "fallback"
        kinds.unknown[number] = kind == "unknown"
        kinds.characters[number] = characters if kind == "whole" else 0
    return kinds


def read_piece_kinds(model: ModelProto) -> TokenKinds:
    """Kinds of the pieces of a SentencePiece model."""

    def judge(piece: Any) -> _Kind:
        if piece.type == PieceType.BYTE:
            return "fallback"
        return "unknown" if piece.type == PieceType.UNKNOWN else "whole"

    tokens: Iterable[tuple[int, _Kind, int]] = (
        (number, judge(piece), len(piece.piece)) for number, piece in enumerate(model.pieces)
    )
    return _build(len(model.pieces), tokens)


def read_byte_level_kinds(vocabulary: Mapping[str, int]) -> TokenKinds:
    """Kinds of a byte-level vocabulary, whose tokens are written in GPT-2's byte letters."""
    values = {letter: byte for byte, letter in enumerate(list_byte_letters())}

    def judge(token: str) -> tuple[_Kind, int]:
        if not all(letter in values for letter in token):
            return "whole", len(token)
        try:
            return "whole", len(bytes(map(values.__getitem__, token)).decode())
        except UnicodeDecodeError:
            return "fallback", 0

    return _read_kinds(vocabulary, judge)


def read_character_kinds(vocabulary: Mapping[str, int], model: Mapping[str, Any]) -> TokenKinds:
    """Kinds of the tokens of a tokenizer.json that is not byte-level.

    Args:
        model: its `model`, which says what the unknown token is and how tokens are written.
    """
    unknown = _find_unknown(vocabulary, model)
    prefix, suffix = model.get("continuing_subword_prefix"), model.get("end_of_word_suffix")
    bytes_known = {f"<0x{byte:02X}>" for byte in range(256)} if model.get("byte_fallback") else ()

    def judge(token: str) -> tuple[_Kind, int]:
        if vocabulary[token] == unknown:
            return "unknown", 0
        if token in bytes_known:
            return "fallback", 0
        return "whole", len(token.removeprefix(prefix or "").removesuffix(suffix or ""))

    return _read_kinds(vocabulary, judge)


def _find_unknown(vocabulary: Mapping[str, int], model: Mapping[str, Any]) -> int | None:
    if (number := model.get("unk_id")) is not None:
        return int(number)
    token = model.get("unk_token")
    return None if token is None else vocabulary.get(token)


def _read_kinds(
    vocabulary: Mapping[str, int], judge: Callable[[str], tuple[_Kind, int]]
) -> TokenKinds:
    size = max(vocabulary.values(), default=-1) + 1
    return _build(size, ((number, *judge(token)) for token, number in vocabulary.items()))


def list_byte_letters() -> list[str]:
    """GPT-2's way to write a byte as one printable character, by byte."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
