"""The vocabulary as the files that other programs load.

`tokenizer.model` is what was made; `tokenizer.json` says the same to Hugging Face tokenizers.
There a BPE model lists merges in order, and SentencePiece has none: any two neighbours merge when
their joined text is a piece, the highest score first.  So every split of every piece into two
pieces is a merge, ordered by the piece's score; among equal scores the longer left part is first,
because SentencePiece takes the leftmost, whose left part has grown longest (runs of spaces).

One difference is left, as with every LLaMA tokenizer: `<s>` written out in a text is a special
token to Hugging Face and four or five ordinary tokens to SentencePiece.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizer.model import SPACE, ModelProto, PieceType
from tongwen.record import write_text

TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


def write_tokenizer(model: ModelProto, folder: Path) -> None:
    """Write the four files of a Hugging Face LLaMA tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.SerializeToString(deterministic=True))
    write_tokenizer_json(model, folder / "tokenizer.json")
    specials = {name: _find_piece(model, name) for name in ("bos", "eos", "unk")}
    named = {f"{name}_token": piece for name, piece in specials.items()}
    _write_json(folder / "special_tokens_map.json", named)
    _write_json(folder / "tokenizer_config.json", _make_config(model) | named)


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy the files of `write_tokenizer` from one folder into another."""
    for name in TOKENIZER_FILES:
        shutil.copyfile(source / name, folder / name)


def write_tokenizer_json(model: ModelProto, path: Path) -> None:
    """Write a model as Hugging Face `tokenizers` reads it; both give the same ids."""
    _write_json(path, _make_tokenizer(model))


def list_merges(model: ModelProto) -> list[tuple[str, str]]:
    """All merges of a model, the first to be done first."""
    scores = {piece.piece: piece.score for piece in model.pieces if piece.type == PieceType.NORMAL}
    found = [
        (-score, -cut, text) for text, score in scores.items() for cut in _list_cuts(text, scores)
    ]
    found.sort()
    return [(text[:-minus], text[-minus:]) for _, minus, text in found]


def _list_cuts(text: str, known: dict[str, float]) -> Iterator[int]:
    for cut in range(1, len(text)):
        if text[:cut] in known and text[cut:] in known:
            yield cut


def _write_json(path: Path, table: dict[str, Any]) -> None:
    write_text(path, json.dumps(table, ensure_ascii=False, indent=1) + "\n")


def _find_piece(model: ModelProto, name: str) -> str:
    number = getattr(model.trainer_spec, f"{name}_id")
    return model.pieces[number].piece


def _make_config(model: ModelProto) -> dict[str, Any]:
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(token.pop("id")): token for token in _list_added_tokens(model)
        },
        "clean_up_tokenization_spaces": False,
        "pad_token": None,
        # Not LlamaTokenizer: that one builds its own tokenizer from the vocabulary and gives a
        # text that begins with a space one token less than SentencePiece does.
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def _make_tokenizer(model: ModelProto) -> dict[str, Any]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _list_added_tokens(model),
        "normalizer": _make_normalizer(model),
        "pre_tokenizer": None,
        "post_processor": _make_post_processor(model),
        "decoder": _make_decoder(model),
        "model": _make_bpe(model),
    }


def _list_added_tokens(model: ModelProto) -> list[dict[str, Any]]:
    special = (PieceType.CONTROL, PieceType.UNKNOWN)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": number, "content": piece.piece, **flags, "special": True}
        for number, piece in enumerate(model.pieces)
        if piece.type in special
    ]


def _make_normalizer(model: ModelProto) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    if model.normalizer_spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    return {"type": "Sequence", "normalizers": steps}


def _make_post_processor(model: ModelProto) -> dict[str, Any]:
    bos = _find_piece(model, "bos")
    first = {"SpecialToken": {"id": bos, "type_id": 0}}
    second = {"SpecialToken": {"id": bos, "type_id": 1}}
    one = {"Sequence": {"id": "A", "type_id": 0}}
    two = {"Sequence": {"id": "B", "type_id": 1}}
    token = {"id": bos, "ids": [model.trainer_spec.bos_id], "tokens": [bos]}
    return {
        "type": "TemplateProcessing",
        "single": [first, one],
        "pair": [first, one, second, two],
        "special_tokens": {bos: token},
    }


def _make_decoder(model: ModelProto) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if model.normalizer_spec.add_dummy_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _make_bpe(model: ModelProto) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": _find_piece(model, "unk"),
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": {piece.piece: number for number, piece in enumerate(model.pieces)},
        "merges": list_merges(model),
    }
