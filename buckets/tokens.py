"""The tokens of chosen documents, in a temporary file that is mapped, not loaded.

A document is BOS + prompt + text + EOS; prompt and text are encoded apart, so that the border of
what is learned is a border of tokens.  Documents are encoded a few megabytes at a time, so memory
is bounded by that and by 16 bytes for each candidate, not by the size of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from buckets.candidates import Candidates, count_bytes
from buckets.shards import choose_dtype
from tongwen.progress import progress

_CHUNK_BYTES = 4 << 20


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


class TokenStore:
    """Tokens of the documents that were encoded so far.

    Args:
        path: the file to write; `remove` deletes it.
        num_documents: candidates there are.
        num_pieces: size of the vocabulary.

    Attributes:
        length_N: int32, tokens of each candidate with BOS and EOS; 0 where not encoded.
        prompt_N: int32, how many of them come before what is learned (BOS and prompt).
    """

    def __init__(self, path: Path, num_documents: int, num_pieces: int) -> None:
        self.path = path
        self.length_N = np.zeros(num_documents, np.int32)
        self.prompt_N = np.zeros(num_documents, np.int32)
        self._start_N = np.zeros(num_documents, np.int64)
        self._dtype = choose_dtype(num_pieces)
        self._size = 0
        self._tokens: NDArray[np.integer] | None = None
        path.write_bytes(b"")

    def add(
        self,
        documents: NDArray[np.int64],
        tokens: NDArray[np.int32],
        length_D: NDArray[np.int64],
        prompt_D: NDArray[np.int64],
    ) -> None:
        """Append the tokens of some documents, given one after another."""
        self._tokens = None
        with self.path.open("ab") as file:
            file.write(tokens.astype(self._dtype).data)
        self.length_N[documents] = length_D
        self.prompt_N[documents] = prompt_D
        self._start_N[documents] = self._size + np.cumsum(length_D) - length_D
        self._size += len(tokens)

    def read(self, document: int) -> NDArray[np.integer]:
        """All tokens of an encoded document (a view of the mapped file)."""
        if self._tokens is None:
            self._tokens = np.memmap(self.path, self._dtype, mode="r").view(np.ndarray)
        start = self._start_N[document]
        return self._tokens[start : start + self.length_N[document]]

    def remove(self) -> None:
        """Unmap and delete the file."""
        self._tokens = None
        self.path.unlink(missing_ok=True)


def encode_documents(
    batches: Iterable[pa.RecordBatch],
    candidates: Candidates,
    documents: NDArray[np.int64],
    encoder: Encoder,
    store: TokenStore,
) -> None:
    """Encode some candidates (indices) in one pass over the kept documents."""
    documents = np.sort(documents)
    total = int(candidates.bytes_N[documents].sum())
    row_D = candidates.row_N[documents]
    with progress("encoding documents", total=total, unit="B") as advance:
        for batch, start, stop in _find_rows(batches, row_D):
            rows = pa.array(row_D[start:stop] - batch[0])
            for first, chunk in _cut_chunks(batch[1].take(rows)):
                here = documents[start + first : start + first + chunk.num_rows]
                store.add(here, *encode_chunk(chunk, encoder))
                advance(int(candidates.bytes_N[here].sum()))


def encode_chunk(
    chunk: pa.RecordBatch, encoder: Encoder
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """BOS + prompt + text + EOS of each row: all tokens, length_D, and prompt_D with the BOS."""
    prompts, prompt_offsets = encoder.encode(chunk.column("prompt"))
    texts, text_offsets = encoder.encode(chunk.column("text"))
    prompt_D, text_D = np.diff(prompt_offsets), np.diff(text_offsets)
    length_D = prompt_D + text_D + 2
    ends = np.cumsum(length_D)
    starts = ends - length_D
    tokens = np.empty(int(ends[-1]), np.int32)
    tokens[starts], tokens[ends - 1] = encoder.bos, encoder.eos
    tokens[_spread(starts + 1, prompt_D)] = prompts
    tokens[_spread(starts + 1 + prompt_D, text_D)] = texts
    return tokens, length_D, prompt_D + 1


def _spread(start_D: NDArray[np.int64], length_D: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places start, start + 1, ... of each run, one run after another."""
    before_D = np.cumsum(length_D) - length_D
    return np.arange(int(length_D.sum())) + np.repeat(start_D - before_D, length_D)


def _find_rows(
    batches: Iterable[pa.RecordBatch], row_D: NDArray[np.int64]
) -> Iterator[tuple[tuple[int, pa.RecordBatch], int, int]]:
    """(first row, batch) and the range of `row_D` that lies in it, where there is one."""
    first = start = 0
    for batch in batches:
        stop = int(np.searchsorted(row_D, first + batch.num_rows))
        if stop > start:
            yield (first, batch), start, stop
        first, start = first + batch.num_rows, stop
        if stop == len(row_D):
            return
    assert start == len(row_D), "the kept documents changed between two readings"


def _cut_chunks(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Slices of about `_CHUNK_BYTES` of text, each with its first row."""
    size_N = count_bytes(batch)
    number_N = (np.cumsum(size_N) - size_N) // _CHUNK_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(number_N)) + 1).tolist(), batch.num_rows]
    for start, stop in pairwise(cuts):
        yield start, batch.slice(start, stop - start)
