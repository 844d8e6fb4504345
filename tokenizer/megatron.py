"""Megatron-LM's arguments for a vocabulary, and what each tensor-parallel size would pad.

Megatron pads the vocabulary to a multiple of `--make-vocab-size-divisible-by` times the
tensor-parallel size (`_vocab_size_with_padding`).  The padded rows are rows of the softmax: they
take part in the loss, and an export has to cut them off again.  Its default of 128 pads 69,104
rows to 69,120 on one GPU and to 69,632 on eight.  With 1 nothing is padded wherever the
tensor-parallel size divides the vocabulary: 69,104 = 16 x 4,319 on 1, 2, 4, 8 and 16 GPUs.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tokenizer.model import ModelProto
from tongwen.record import write_text

PARALLEL_SIZES = (1, 2, 4, 8, 16, 32, 64)
_MEGATRON_DEFAULT = 128
# Relative to the folder of the file.  All three give SentencePiece's ids.
_TYPES = {
    "Llama2Tokenizer": "tokenizer.model",
    "SentencePieceTokenizer": "tokenizer.model",
    "HuggingFaceTokenizer": ".",
}


def write_arguments(model: ModelProto, folder: Path) -> None:
    """Write megatron.txt (arguments for the command line) and megatron.json (all of it).

    The paths in them are relative to `folder`.
    """
    table = describe_arguments(len(model.pieces))
    write_text(folder / "megatron.json", json.dumps(table, indent=1) + "\n")
    first = next(iter(table["tokenizers"].values()))
    lines = [f"{name} {value}" for name, value in first.items()]
    write_text(folder / "megatron.txt", "\n".join(lines) + "\n")


def describe_arguments(size: int) -> dict[str, Any]:
    """The arguments for each type of tokenizer, and the padding for each tensor-parallel size.

    Args:
        size: pieces of the vocabulary.

    Returns:
        `vocab_size`; `tokenizers`: arguments by `--tokenizer-type`; `tensor_parallel`: of each
        size the `divisor` to give to `--make-vocab-size-divisible-by` (the largest power of two up
        to 128 that pads least), `padded_vocab_size` and `padding_rows` with it, and
        `padding_rows_by_default` with Megatron's own 128.
    """
    tokenizers = {
        name: {
            "--tokenizer-type": name,
            "--tokenizer-model": path,
            "--make-vocab-size-divisible-by": 1,
        }
        for name, path in _TYPES.items()
    }
    rows = [_describe_parallel_size(size, parallel) for parallel in PARALLEL_SIZES]
    return {"vocab_size": size, "tokenizers": tokenizers, "tensor_parallel": rows}


def pad_size(size: int, divisor: int, parallel: int) -> int:
    """Rows of the embedding that Megatron makes of a vocabulary of `size` pieces."""
    multiple = divisor * parallel
    return math.ceil(size / multiple) * multiple


def _describe_parallel_size(size: int, parallel: int) -> dict[str, int]:
    divisors = [1 << power for power in range(8)]
    best = min(divisors, key=lambda divisor: (pad_size(size, divisor, parallel), -divisor))
    padded = pad_size(size, best, parallel)
    return {
        "size": parallel,
        "divisor": best,
        "padded_vocab_size": padded,
        "rows_per_rank": padded // parallel,
        "padding_rows": padded - size,
        "padding_rows_by_default": pad_size(size, _MEGATRON_DEFAULT, parallel) - size,
    }
