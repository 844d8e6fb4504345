"""Tokens of a batch as they go into the store: BOS + prompt + text + EOS of each document.

Prompt and text are encoded apart, so that the border of what is learned is a border of tokens.
The encoder's ids are laid out in one compiled pass, in the type of the store, and checked against
the vocabulary on the way: a wrong id would wrap around silently in 16 bits.

The price: one more copy of all tokens, a thirtieth of the time that encoding takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.encoding.compiled import kernel
from buckets.encoding.ids import split_strings
from tongwen.errors import TongwenError

_0, _1, _2 = (np.uint64(value) for value in range(3))
_u32, _u64 = np.uint32, np.uint64


class Encoder(Protocol):
    """What is needed of a tokenizer (`tokenizer.Encoder` is one)."""

    @property
    def size(self) -> int: ...
    @property
    def bos(self) -> int: ...
    @property
    def eos(self) -> int: ...
    def encode(
        self, texts: Sequence[str] | pa.Array, /
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Ids of all texts (strings or an Arrow column of them) and where each text's begin
        (n + 1 offsets)."""
        ...


def encode_documents(
    prompts: pa.Array,
    texts: pa.Array,
    encoder: Encoder,
    dtype: np.dtype[np.integer],
    num_pieces: int,
) -> tuple[NDArray[np.integer], NDArray[np.int64], NDArray[np.int64]]:
    """Tokens of D documents, one after another.

    Returns:
        tokens: BOS + prompt + text + EOS of each document, of the type asked for.
        length_D: tokens of each document.
        prompt_D: of them, those of BOS and prompt.

    Raises:
        TongwenError: the encoder gave an id that the vocabulary does not have.
    """
    prompt_ids, prompt_offsets = _encode_prompts(prompts, encoder)
    text_ids, text_offsets = encoder.encode(texts)
    tokens = np.empty(len(prompt_ids) + len(text_ids) + 2 * len(texts), dtype)
    bos, eos = tokens.dtype.type(encoder.bos), tokens.dtype.type(encoder.eos)
    largest = _assemble(prompt_ids, prompt_offsets, text_ids, text_offsets, bos, eos, tokens)
    if max(largest, encoder.bos, encoder.eos) >= num_pieces:
        raise _refuse(encoder, (prompt_ids, text_ids), num_pieces)
    prompt_D = np.diff(prompt_offsets) + 1
    return tokens, prompt_D + np.diff(text_offsets) + 1, prompt_D


def _encode_prompts(
    prompts: pa.Array, encoder: Encoder
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """As `encode`; where all prompts are empty, as nearly everywhere, nothing is called."""
    _, offset_N = split_strings(prompts)
    if not prompts.null_count and offset_N[0] == offset_N[-1]:
        return np.empty(0, np.int32), np.zeros(len(prompts) + 1, np.int64)
    return encoder.encode(prompts)


def _refuse(
    encoder: Encoder, ids: tuple[NDArray[np.int32], NDArray[np.int32]], num_pieces: int
) -> TongwenError:
    found = np.concatenate([*ids, np.array([encoder.bos, encoder.eos], np.int32)])
    bad = found[(found < 0) | (found >= num_pieces)]
    return TongwenError(
        f"the tokenizer gives the id {bad[0]}, which the vocabulary does not have",
        where=str(getattr(encoder, "path", "the tokenizer")),
        expected=f"ids from 0 to {num_pieces - 1:,}",
        do="use the tokenizer that the vocabulary's size was taken from",
    )


@kernel
def _assemble(  # pyright: ignore
    prompt_ids: Any,
    prompt_offsets: Any,
    text_ids: Any,
    text_offsets: Any,
    bos: Any,
    eos: Any,
    tokens: Any,
) -> Any:
    """Lay the documents out; returns the largest id as an unsigned number."""
    at, largest = _0, _u32(0)
    for document in range(_u64(len(text_offsets) - 1)):
        tokens[at] = bos
        at += _1
        first, stop = _u64(prompt_offsets[document]), _u64(prompt_offsets[document + _1])
        for place in range(stop - first):
            token = prompt_ids[first + place]
            tokens[at + place] = token
            largest = max(largest, _u32(token))
        at += stop - first
        first, stop = _u64(text_offsets[document]), _u64(text_offsets[document + _1])
        for place in range(stop - first):
            token = text_ids[first + place]
            tokens[at + place] = token
            largest = max(largest, _u32(token))
        at += stop - first
        tokens[at] = eos
        at += _1
    return largest
