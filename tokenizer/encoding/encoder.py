"""Text to ids and back, exactly as SentencePiece does it, compiled.

`Encoder` is the one way the later stages make ids.  Two characters that stand side by side in no
piece are never joined by a merge, so a text is cut there and the short segments between are merged
on their own (`segments`); a word seen before is copied (`core`).  Texts come as Python strings or
as an Arrow column, in parts of a megabyte, which threads share.

The price: only BPE models, tables that take half a second to build and ten megabytes to keep,
and seconds of compilation when it is used for the first time after an installation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenizer.encoding.checks import load_processor
from tokenizer.encoding.core import ROOM, encode_documents, make_words
from tokenizer.encoding.decoding import build_surfaces, decode_documents
from tokenizer.encoding.tables import build_tables
from tokenizer.encoding.texts import Part, Texts, split_texts
from tokenizer.model import SPACE, ModelProto, parse_model
from tongwen.errors import TongwenError

_WAITING = 2


class Encoder:
    """A SentencePiece BPE model.

    Args:
        path: the .model file.
        prefix: whether the dummy prefix `▁` goes in front of a text (as the model says); False
            leaves it away, for text that does not stand at the beginning.
        num_threads: threads for one batch; never changes a result.

    Attributes:
        path: the file, or what `from_model` was given as `where`.
        size: number of ids.
        bos, eos: ids of the beginning and the end of a document.

    Raises:
        TongwenError: the file is not a SentencePiece BPE model, is damaged, holds pieces that only
            SentencePiece can handle, or has no BOS or EOS.
    """

    def __init__(self, path: Path | str, *, prefix: bool = True, num_threads: int = 1) -> None:
        self._prepare(parse_model(Path(path)), Path(path), prefix, num_threads)

    @classmethod
    def from_model(
        cls,
        model: ModelProto,
        *,
        prefix: bool = True,
        num_threads: int = 1,
        where: str = "a model in memory",
    ) -> Encoder:
        """An encoder of a model that is no file; the model is left as it is."""
        encoder = cls.__new__(cls)
        copy = type(model)()
        copy.CopyFrom(model)
        encoder._prepare(copy, Path(where), prefix, num_threads)
        return encoder

    def _prepare(self, model: ModelProto, path: Path, prefix: bool, num_threads: int) -> None:
        self.path = path
        rules = model.normalizer_spec
        rules.add_dummy_prefix = rules.add_dummy_prefix and prefix
        self._processor = load_processor(model, str(path))
        self._plain = _keeps_text(model)
        self._tables = build_tables(
            model, prefix=self._plain and rules.add_dummy_prefix, escape=self._plain
        )
        self._surfaces = build_surfaces(model)
        self._pieces: list[str] = [piece.piece for piece in model.pieces]
        self._byte_fallback: bool = model.trainer_spec.byte_fallback
        self._widest = 1 if self._tables.symbol_C[ord(SPACE)] < len(self._pieces) else 3
        self._num_threads = max(num_threads, 1)
        self._rooms: SimpleQueue[_Room] = SimpleQueue()
        self.size: int = len(self._pieces)
        self.bos, self.eos = self._read_special("bos"), self._read_special("eos")

    def encode(self, texts: Texts) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Ids of all texts in a row, and where each begins; no BOS or EOS is added.

        Args:
            texts: strings, or an Arrow column of strings (no Python object is made for a text).

        Returns:
            ids: the ids of text `i` are `ids[offsets[i]:offsets[i + 1]]`.
            offsets: one more than there are texts.

        Raises:
            TongwenError: a text is null or cannot be written as UTF-8.
        """
        parts = list(self._run(texts, keep=True))
        ids = self._gather([part[0] for part in parts])
        length_T = _join([part[1] for part in parts])
        offsets = np.zeros(len(length_T) + 1, np.int64)
        np.cumsum(length_T, out=offsets[1:])
        return ids, offsets

    def count(self, texts: Texts) -> NDArray[np.int64]:
        """Tokens of each text; no ids are kept.

        Raises:
            TongwenError: a text is null or cannot be written as UTF-8.
        """
        return _join([part[1] for part in self._run(texts, keep=False)])

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of ids (a leading dummy prefix is taken away again).

        Raises:
            TongwenError: there is no such id.
        """
        return self.decode_batch(ids, [0, len(ids)])[0]

    def decode_batch(
        self,
        ids: Sequence[int] | NDArray[np.integer],
        offsets: Sequence[int] | NDArray[np.integer],
    ) -> list[str]:
        """The texts that `encode` gave ids and offsets for.

        Raises:
            TongwenError: there is no such id, or the offsets do not fit the ids.
        """
        tokens, offset_T = np.asarray(ids, np.int64), np.asarray(offsets, np.int64)
        bad = np.flatnonzero((tokens < 0) | (tokens >= self.size))
        if len(bad):
            raise TongwenError(
                f"there is no piece with id {tokens[bad[0]]}",
                where=f"{self.path}, id number {bad[0]:,}",
                expected=f"ids from 0 to {self.size - 1:,}",
            )
        fits = len(offset_T) and offset_T[0] >= 0 and offset_T[-1] <= len(tokens)
        if not fits or (np.diff(offset_T) < 0).any():
            raise TongwenError(
                "the offsets do not fit the ids",
                expected=f"one more than there are texts, growing, from 0 to {len(tokens):,}",
            )
        return decode_documents(self._surfaces, tokens, offset_T).to_pylist()

    def split(self, text: str) -> list[str]:
        """The pieces of a text, as strings; bytes as `<0xE4>`, unknown characters as they stand."""
        ids, _ = self.encode([text])
        if not self._byte_fallback:
            return self._processor.encode(text, out_type=str)
        return [self._pieces[token] for token in ids.tolist()]

    def _run(
        self, texts: Texts, *, keep: bool
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """Ids (where they are kept) and lengths of each part, in order."""
        parts = split_texts(texts) if self._plain else self._normalise(texts)
        if self._num_threads == 1:
            yield from (self._encode_part(part, keep) for part in parts)
            return
        waiting: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(self._num_threads) as pool:
            for part in parts:
                waiting.append(pool.submit(self._encode_part, part, keep))
                if len(waiting) >= _WAITING * self._num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _gather(self, parts: list[NDArray[np.int32]]) -> NDArray[np.int32]:
        """All ids in one array; threads share the copying too."""
        if len(parts) == 1:
            return parts[0]
        end_P = np.cumsum([0, *map(len, parts)])
        ids = np.empty(int(end_P[-1]), np.int32)
        places = [ids[start:stop] for start, stop in pairwise(end_P)]
        with ThreadPoolExecutor(self._num_threads) as pool:
            deque(pool.map(np.copyto, places, parts), maxlen=0)
        return ids

    def _normalise(self, texts: Texts) -> Iterator[Part]:
        """Parts as SentencePiece's own normaliser rewrites them."""
        for part in split_texts(texts):
            part.check()
            ends = pairwise(part.offset_T)
            plain = [part.data[start:stop].tobytes().decode() for start, stop in ends]
            yield from split_texts(self._processor.normalize(plain))

    def _encode_part(self, part: Part, keep: bool) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        part.check()
        room = self._take_room()
        end_T = np.empty(len(part.offset_T) - 1, np.int64)
        size = int(part.offset_T[-1] - part.offset_T[0]) + len(end_T)
        out = room.reserve(self._widest * size + ROOM)
        encode_documents(self._tables, part.data, part.offset_T, room.words, out, end_T)
        ids = out[: end_T[-1] if keep else 0].copy()
        self._rooms.put(room)
        return ids, np.diff(end_T, prepend=0)

    def _take_room(self) -> _Room:
        try:
            return self._rooms.get_nowait()
        except Empty:
            return _Room()

    def _read_special(self, name: str) -> int:
        token: int = getattr(self._processor, f"{name}_id")()
        if token < 0:
            raise TongwenError(
                f"the tokenizer has no {name.upper()} piece",
                where=str(self.path),
                expected="pieces <s> and </s>: they separate documents in training",
                do="choose another base model",
            )
        return token


class _Room:
    """What one thread works with: the words it has seen, and room for ids."""

    def __init__(self) -> None:
        self.words = make_words()
        self._ids = np.empty(0, np.int32)

    def reserve(self, size: int) -> NDArray[np.int32]:
        """Room for so many ids."""
        if len(self._ids) < size:
            self._ids = np.empty(size, np.int32)
        return self._ids


def _keeps_text(model: ModelProto) -> bool:
    """Whether all that happens to a text is that blanks become `▁` and one goes in front."""
    rules = model.normalizer_spec
    changes = rules.precompiled_charsmap or rules.remove_extra_whitespaces
    suffix = model.trainer_spec.treat_whitespace_as_suffix and rules.add_dummy_prefix
    return rules.escape_whitespaces and not changes and not suffix


def _join(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
