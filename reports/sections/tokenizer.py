"""Section 3: the vocabulary, how well it compresses, and what it costs."""

from __future__ import annotations

from reports.blocks import Block, Heading, Missing, Pieces, Section, Text
from reports.numbers import change, count, divide
from reports.sections.common import Row, name_language
from reports.sections.compression import describe_compression
from reports.sections.lint import describe_lint
from reports.sections.pieces import describe_left_out, describe_pieces
from reports.sections.start import describe_start
from reports.sections.sweep import describe_sweep

_PIECES_SHOWN = 80


def describe_tokenizer(data: Row) -> Section:
    """Compression, sizes, the new pieces, lint, sample segmentations."""
    tokenizer = data["tokenizer"]
    waiting = [Missing("Parts of this section are not there yet.", tuple(tokenizer["missing"]))]
    blocks = [
        *(waiting if tokenizer["missing"] else []),
        *describe_compression(data),
        *describe_sweep(tokenizer),
        *describe_pieces(tokenizer),
        *describe_left_out(tokenizer),
        *_describe_segmentation(tokenizer),
        *describe_lint(tokenizer),
        *describe_start(tokenizer),
    ]
    return Section("tokenizer", "Tokenizer", tuple(blocks))


def _describe_segmentation(tokenizer: Row) -> list[Block]:
    sentences = tokenizer["segmentation"]
    if not sentences:
        return []
    blocks: list[Block] = [
        Heading("Segmentation"),
        Text("Held-out sentences as each vocabulary cuts them. A dotted frame is a single byte."),
    ]
    for sentence in sentences:
        rows = tuple(
            (name, tuple(sentence[name][:_PIECES_SHOWN]), _remark(sentence, name))
            for name in ("base", "extended")
        )
        blocks.append(Pieces(name_language(sentence["language"]), rows))
    return blocks


def _remark(sentence: Row, name: str) -> str:
    pieces = len(sentence[name])
    words = f"{count(pieces)} tokens"
    if name == "extended":
        ratio = divide(pieces, len(sentence["base"]))
        words += f" ({change(None if ratio is None else ratio - 1)})"
    return words + (f", the first {_PIECES_SHOWN} shown" if pieces > _PIECES_SHOWN else "")
