"""Text to ids, in batches, exactly as SentencePiece does it.

`Encoder` is the one way the later stages make ids.  It hands batches of bounded size to
SentencePiece and keeps the result as flat arrays (4 bytes a token), because a Python list costs
nine times as much.  The price is SentencePiece's speed: 3-13 MB/s a core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from tokenizer.model import parse_model
from tongwen.errors import TongwenError

_BATCH_CHARACTERS = 1 << 20


class Encoder:
    """A SentencePiece model.

    Args:
        path: the .model file.
        prefix: whether the dummy prefix `▁` goes in front of a text (as the model says); False
            leaves it away, for text that does not stand at the beginning.
        num_threads: threads for one batch; never changes a result.

    Attributes:
        size: number of ids.
        bos, eos: ids of the beginning and the end of a document.

    Raises:
        TongwenError: the file is not a SentencePiece model, or has no BOS or EOS.
    """

    def __init__(self, path: Path | str, *, prefix: bool = True, num_threads: int = 1) -> None:
        self.path = Path(path)
        model = parse_model(self.path)
        if not prefix:
            model.normalizer_spec.add_dummy_prefix = False
        self._model = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
        self._num_threads = num_threads
        self.size: int = len(model.pieces)
        self.bos, self.eos = self._read_special("bos"), self._read_special("eos")

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Ids of all texts in a row, and where each begins; no BOS or EOS is added.

        Returns:
            ids: the ids of text `i` are `ids[offsets[i]:offsets[i + 1]]`.
            offsets: one more than there are texts.
        """
        parts: list[NDArray[np.int32]] = []
        lengths: list[int] = []
        for batch in _split(texts):
            lists = self._model.encode(batch, out_type=int, num_threads=self._num_threads)
            lengths += [len(ids) for ids in lists]
            parts += [np.array(ids, np.int32) for ids in lists]
        ids = np.concatenate(parts) if parts else np.empty(0, np.int32)
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return ids, offsets

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of ids (a leading dummy prefix is taken away again)."""
        return self._model.decode([int(token) for token in ids])

    def split(self, text: str) -> list[str]:
        """The pieces of a text, as strings."""
        return self._model.encode(text, out_type=str)

    def _read_special(self, name: str) -> int:
        token: int = getattr(self._model, f"{name}_id")()
        if token < 0:
            raise TongwenError(
                f"the tokenizer has no {name.upper()} piece",
                where=str(self.path),
                expected="pieces <s> and </s>: they separate documents in training",
                do="choose another base model",
            )
        return token


def _split(texts: Sequence[str]) -> Iterator[list[str]]:
    """Batches of about a million characters, so that the lists in between stay small."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
