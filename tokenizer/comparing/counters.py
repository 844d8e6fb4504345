"""Tokenizers of any project, as far as counting their tokens needs them.

Three kinds of files are opened: a SentencePiece .model of any type, a Hugging Face tokenizer.json,
and a .tiktoken file of ranks.  A BPE .model is encoded by our own `Encoder`, the others by the
library that the file belongs to; the ids are the same either way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import sentencepiece
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tokenizer.comparing.kinds import (
    Tally,
    TokenKinds,
    read_byte_level_kinds,
    read_character_kinds,
    read_piece_kinds,
)
from tokenizer.comparing.tiktoken import read_tiktoken
from tokenizer.encoding.encoder import Encoder
from tokenizer.model import ModelProto, parse_model
from tongwen.errors import TongwenError

Encode = Callable[[Sequence[str]], tuple[NDArray[np.integer], NDArray[np.int64]]]
"""Texts to ids and offsets, as `Encoder.encode`."""

_BPE = 2
_BATCH = 1 << 20


class Counter(Protocol):
    """Counts tokens; `size` is the number of ids of its vocabulary."""

    size: int

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of each text, without BOS and EOS."""
        ...

    def measure(self, texts: Sequence[str]) -> Tally:
        """The same, and what kinds of tokens they are."""
        ...


class TokenCounter:
    """A `Counter` made of a function that encodes and a table of what its ids are."""

    def __init__(self, size: int, encode: Encode, kinds: TokenKinds) -> None:
        self.size = size
        self._encode, self._kinds = encode, kinds

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return self.measure(texts).tokens

    def measure(self, texts: Sequence[str]) -> Tally:
        return self._kinds.tally(*self._encode(texts))


def open_counter(path: Path, expression: str = "") -> Counter:
    """A counter for a tokenizer file.

    Args:
        expression: how a .tiktoken file splits text, see `tiktoken.EXPRESSIONS`.

    Raises:
        TongwenError: the file cannot be read as what its name says.
    """
    if path.suffix == ".json":
        return _open_fast(path)
    if path.suffix == ".tiktoken":
        tokenizer = read_tiktoken(path, expression)
        kinds = read_byte_level_kinds(tokenizer.get_vocab())
        return _count_fast(tokenizer, kinds)
    model = parse_model(path)
    return TokenCounter(len(model.pieces), _open_encode(path, model), read_piece_kinds(model))


def _open_encode(path: Path, model: ModelProto) -> Encode:
    """Our encoder where it takes the model, which is a BPE one of ordinary pieces."""
    if model.trainer_spec.model_type == _BPE:
        try:
            return Encoder(path).encode
        except TongwenError:
            return _open_sentencepiece(path, model)
    return _open_sentencepiece(path, model)


def _open_sentencepiece(path: Path, model: ModelProto) -> Encode:
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    except RuntimeError as error:
        raise TongwenError(
            f"SentencePiece refuses {path.name}: {error}",
            where=str(path),
            expected="a whole SentencePiece .model file",
            do="fetch or build the file again",
        ) from None

    def encode(texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        return _flatten(np.array(processor.encode(text), np.int32) for text in texts)

    return encode


def _flatten(parts: Iterable[NDArray[np.int32]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    arrays = [np.empty(0, np.int32), *parts]
    return np.concatenate(arrays), np.cumsum([len(array) for array in arrays], dtype=np.int64)


def _open_fast(path: Path) -> Counter:
    tokenizer = _read_fast(path)
    parts: dict[str, Any] = json.loads(path.read_bytes())
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    if '"ByteLevel"' in json.dumps([parts.get("pre_tokenizer"), parts.get("decoder")]):
        return _count_fast(tokenizer, read_byte_level_kinds(vocabulary))
    return _count_fast(tokenizer, read_character_kinds(vocabulary, parts["model"]))


def _count_fast(tokenizer: Tokenizer, kinds: TokenKinds) -> Counter:
    def encode(texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        return _flatten(_encode_parts(tokenizer, texts))

    return TokenCounter(tokenizer.get_vocab_size(with_added_tokens=True), encode, kinds)


def _encode_parts(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterable[NDArray[np.int32]]:
    """Ids of each text; an `Encoding` is some 50 times as large, so few are held at a time."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= _BATCH:
            yield from _encode_batch(tokenizer, waiting)
            waiting, size = [], 0
    yield from _encode_batch(tokenizer, waiting)


def _encode_batch(tokenizer: Tokenizer, texts: list[str]) -> Iterable[NDArray[np.int32]]:
    for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        yield np.array(encoding.ids, np.int32)


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
