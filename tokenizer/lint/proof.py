"""Proof that every piece can be produced, and that other text is segmented as before.

A BPE piece that cannot be built from two smaller pieces in order is dead: it costs two rows of
the embeddings and never occurs (657 of the pieces that Chinese-LLaMA-2 added are dead).  A piece
is alive exactly when its own text, without the dummy prefix, is encoded as the piece itself, and
SentencePiece itself is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import sentencepiece

from tokenizer.learning.characters import is_cjk_only
from tokenizer.model import SPACE, ModelProto, PieceType

_BATCH = 4096


def find_unreachable(model: ModelProto, start: int = 0) -> list[int]:
    """Ids of the pieces, from `start` on, that are not the encoding of their own text.

    Normalisation and the dummy prefix are left out; control, unknown and byte pieces are passed
    over, because no text stands for them.
    """
    processor = _load_plain(model)
    wanted = [
        number
        for number in range(start, len(model.pieces))
        if model.pieces[number].type == PieceType.NORMAL
    ]
    dead: list[int] = []
    for begin in range(0, len(wanted), _BATCH):
        batch = wanted[begin : begin + _BATCH]
        texts = [model.pieces[number].piece.replace(SPACE, " ") for number in batch]
        encoded = processor.encode(texts, out_type=int, num_threads=1)
        dead += [number for number, ids in zip(batch, encoded, strict=True) if ids != [number]]
    return dead


def _load_plain(model: ModelProto) -> sentencepiece.SentencePieceProcessor:
    plain = type(model)()
    plain.CopyFrom(model)
    plain.normalizer_spec.precompiled_charsmap = b""
    plain.normalizer_spec.add_dummy_prefix = False
    plain.normalizer_spec.remove_extra_whitespaces = False
    return sentencepiece.SentencePieceProcessor(model_proto=plain.SerializeToString())


def compare_lines(
    base: ModelProto, extended: ModelProto, texts: Iterable[str]
) -> tuple[int, int, int]:
    """Lines without a CJK-only character, those of them encoded differently, and the others.

    Lines, because one Chinese word in a document says nothing about the rest of it.
    """
    lines = [line for text in texts for line in text.split("\n") if line]
    plain = [line for line in lines if not any(map(is_cjk_only, line))]
    return len(plain), len(find_changes(base, extended, plain)), len(lines) - len(plain)


def find_changes(base: ModelProto, extended: ModelProto, texts: Iterable[str]) -> list[str]:
    """The texts without a CJK-only character that the two models encode differently.

    For a model made by `merge` the answer is none: a new piece holds such a character.
    """
    before = sentencepiece.SentencePieceProcessor(model_proto=base.SerializeToString())
    after = sentencepiece.SentencePieceProcessor(model_proto=extended.SerializeToString())
    changed: list[str] = []
    plain = (text for text in texts if not any(map(is_cjk_only, text)))
    while batch := list(islice(plain, _BATCH)):
        changed += _compare(before, after, batch)
    return changed


def _compare(
    before: sentencepiece.SentencePieceProcessor,
    after: sentencepiece.SentencePieceProcessor,
    texts: Sequence[str],
) -> list[str]:
    old = before.encode(list(texts), out_type=int, num_threads=1)
    new = after.encode(list(texts), out_type=int, num_threads=1)
    return [text for text, one, two in zip(texts, old, new, strict=True) if one != two]
