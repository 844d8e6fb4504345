"""Proof that every piece can be produced, and that other text is segmented as before.

A BPE piece that cannot be built from two smaller pieces in order is dead: it costs two rows of
the embeddings and never occurs (657 of the pieces that Chinese-LLaMA-2 added are dead).  Why its
own text decides that is argued in `tokenizer.lint.reach`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import sentencepiece

from tokenizer.learning.characters import is_cjk_only
from tokenizer.lint.reach import find_dead
from tokenizer.model import ModelProto

_BATCH = 4096


def find_unreachable(model: ModelProto, start: int = 0) -> list[int]:
    """Ids of the pieces, from `start` on, that no text is encoded with.

    Control, unknown, unused and byte pieces are passed over, because no text stands for them.
    """
    return [dead.id for dead in find_dead(model, start)]


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
