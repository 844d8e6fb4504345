"""Tokenizers of other projects, as far as counting their tokens needs them.

Three kinds of files are opened: a SentencePiece .model of any type, a Hugging Face tokenizer.json,
and a .tiktoken file of ranks.  A .tiktoken file does not hold the expression that splits text
before merging; the one of Qwen is used.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import sentencepiece
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from tokenizer.model import parse_model
from tongwen.errors import TongwenError

_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Counter(Protocol):
    """Counts tokens; `size` is the number of ids of its vocabulary."""

    size: int

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of each text, without BOS and EOS."""
        ...


def open_counter(path: Path) -> Counter:
    """A counter for a tokenizer file.

    Raises:
        TongwenError: the file cannot be read as what its name says.
    """
    if path.suffix == ".json":
        return _FastCounter(_read_fast(path))
    if path.suffix == ".tiktoken":
        return _FastCounter(read_tiktoken(path))
    return _SentencePieceCounter(path)


class _SentencePieceCounter:
    def __init__(self, path: Path) -> None:
        model = parse_model(path)
        self.size = len(model.pieces)
        self._model = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return np.array([len(self._model.encode(text)) for text in texts], np.int64)


class _FastCounter:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self.size = tokenizer.get_vocab_size(with_added_tokens=True)
        self._tokenizer = tokenizer

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        encoded = (self._tokenizer.encode(text, add_special_tokens=False) for text in texts)
        return np.array([len(encoding.ids) for encoding in encoded], np.int64)


def _read_fast(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more special
        raise TongwenError(
            f"{path.name} is not a tokenizer.json: {error}",
            where=str(path),
            expected="a file of Hugging Face tokenizers",
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_tiktoken(path: Path) -> Tokenizer:
    """A .tiktoken file as a tokenizer.

    A file of ranks lists tokens only.  The merge that makes a token is found by encoding the token
    with the tokens before it: two parts are left, and they are the merge.

    Raises:
        TongwenError: a line is not base64, a space and a rank.
    """
    ranks = _read_ranks(path)
    letters = _byte_letters()

    def write(part: bytes) -> str:
        return "".join(letters[byte] for byte in part)

    merges = [
        (write(parts[0]), write(parts[1]))
        for token, rank in sorted(ranks.items(), key=lambda item: item[1])
        if len(parts := _split_token(token, rank, ranks)) == 2
    ]
    vocabulary = {write(token): rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def _read_ranks(path: Path) -> dict[bytes, int]:
    try:
        lines = path.read_bytes().splitlines()
        pairs = (line.split() for line in lines if line)
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except (OSError, ValueError, binascii.Error) as error:
        raise TongwenError(
            f"cannot read {path.name} as a .tiktoken file: {error}",
            where=str(path),
            expected="lines of a token in base64, a space and its rank",
        ) from None


def _split_token(token: bytes, rank: int, ranks: dict[bytes, int]) -> list[bytes]:
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 1:
        found = [(ranks.get(parts[at] + parts[at + 1], rank), at) for at in range(len(parts) - 1)]
        best, at = min(found)
        if best >= rank:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def _byte_letters() -> list[str]:
    """GPT-2's way to write a byte as one printable character."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
