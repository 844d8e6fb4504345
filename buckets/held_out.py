"""The documents that no stage trains on, as shards for the evaluation in both vocabularies.

A loss in one vocabulary cannot be compared with a loss in another, so evaluation reports bits per
character.  For that both vocabularies must see the same characters: a document that does not fit a
sequence is cut by characters, at a place where it fits in both, found by bisection.

The price: about a dozen encodings of the few documents that are held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from buckets.encoding import Encoder
from buckets.shards import LEARN, OPENS, PADDING, Run, ShardWriter


@dataclass(frozen=True)
class HeldOutDocument:
    """A document as the corpus holds it, or as much of it as a sequence takes."""

    id: str
    category: str
    language: str
    prompt: str
    text: str


def cut_documents(
    documents: Sequence[HeldOutDocument], encoders: Sequence[Encoder], sequence_length: int
) -> list[HeldOutDocument]:
    """Cut texts so that BOS + prompt + text + EOS fits a sequence in every vocabulary.

    A document whose prompt leaves no room for a single character of text is left out.
    """
    prompts = [document.prompt for document in documents]
    rooms = [sequence_length - 2 - count_tokens(encoder, prompts) for encoder in encoders]
    texts = [document.text for document in documents]
    sizes = _search_sizes(texts, encoders, rooms, sequence_length).tolist()
    return [
        HeldOutDocument(
            document.id, document.category, document.language, document.prompt, text[:size]
        )
        for document, text, size in zip(documents, texts, sizes, strict=True)
        if size
    ]


def count_tokens(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.int64]:
    """Tokens of each text, without BOS and EOS."""
    return np.diff(encoder.encode(texts)[1])


def write_held_out(
    prefix: Path, documents: Sequence[HeldOutDocument], encoder: Encoder, sequence_length: int
) -> int:
    """Write one document a sequence: no loss on BOS, prompt and EOS; returns tokens with loss."""
    prompts, prompt_offsets = encoder.encode([document.prompt for document in documents])
    texts, text_offsets = encoder.encode([document.text for document in documents])
    with ShardWriter(prefix, encoder.size) as writer:
        for i in range(len(documents)):
            prompt = prompts[prompt_offsets[i] : prompt_offsets[i + 1]]
            text = texts[text_offsets[i] : text_offsets[i + 1]]
            writer.write_sequence(_make_runs(prompt, text, encoder, sequence_length))
    return len(texts)


def _make_runs(
    prompt: NDArray[np.int32], text: NDArray[np.int32], encoder: Encoder, sequence_length: int
) -> list[Run]:
    opening = np.concatenate([np.array([encoder.bos], np.int32), prompt])
    room = sequence_length - len(opening) - len(text) - 1
    padding = np.full(room, encoder.eos, np.int32)
    runs: list[Run] = [(opening, OPENS), (text, LEARN), (np.array([encoder.eos], np.int32), 0)]
    return [*runs, (padding, PADDING)] if room else runs


def _search_sizes(
    texts: Sequence[str],
    encoders: Sequence[Encoder],
    rooms: Sequence[NDArray[np.int64]],
    first: int,
) -> NDArray[np.int64]:
    """For each text the number of characters that fits, 0 where none does: doubled from `first`
    until it does not fit, then bisected."""
    sizes = np.array([len(text) for text in texts], np.int64)
    low, high = np.zeros_like(sizes), sizes + 1
    while len(open_D := np.flatnonzero(high - low > 1)):
        longer = np.minimum(np.maximum(2 * low, first), sizes)
        probe = np.where(high > sizes, longer, (low + high) // 2)[open_D]
        cut = [texts[int(i)][: int(size)] for i, size in zip(open_D, probe, strict=True)]
        pairs = zip(encoders, rooms, strict=True)
        fits = np.logical_and.reduce([count_tokens(e, cut) <= room[open_D] for e, room in pairs])
        low[open_D] = np.where(fits, probe, low[open_D])
        high[open_D] = np.where(fits, high[open_D], probe)
    return low
