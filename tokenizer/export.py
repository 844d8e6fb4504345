"""The vocabulary as the files that other programs load, giving SentencePiece's ids.

`tokenizer.model` is what was made; `tokenizer.json` says the same to Hugging Face tokenizers.
There a BPE model lists merges in order, and SentencePiece has none: any two neighbours merge when
their joined text is a piece, the highest score first.  So every split of every piece into two
pieces is a merge, ordered by the piece's score; among equal scores the longer left part is first,
because SentencePiece takes the leftmost, whose left part has grown longest (runs of spaces).

What transformers makes of the folder, measured with 4.45, 4.57 and 5.23:

- `AutoTokenizer` (`use_fast` or not) and `PreTrainedTokenizerFast` read tokenizer.json: the ids of
  SentencePiece in every version.  This is why `tokenizer_class` names the latter.
- `LlamaTokenizer` and `LlamaTokenizerFast` of transformers 4: the same ids.  The slow one decodes
  a text that begins with a space without it unless `legacy` is false, so the file says false.
- `LlamaTokenizer` of transformers 5 (`LlamaTokenizerFast` is its other name, `legacy` changes
  nothing) builds its own tokenizer from vocabulary and merges.  It adds the dummy prefix only where
  a text does not begin with a space: such a text gets one `▁` less.  All other text agrees.
- `<s>`, `</s>` and `<unk>` written out in a text are special tokens to every class, and ordinary
  characters to SentencePiece and to training here.  `split_special_tokens=True` makes them agree.

Padding is `<unk>`: byte pieces spell every character, so it never stands for text and masking it
masks nothing; `</s>` as padding would hide the end of documents from the loss, and a row of its own
would make the size of the vocabulary odd.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizer.megatron import write_arguments
from tokenizer.model import SPACE, ModelProto, PieceType
from tongwen.errors import TongwenError
from tongwen.record import write_text

TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


def write_tokenizer(model: ModelProto, folder: Path) -> None:
    """Write the four files of a Hugging Face LLaMA tokenizer, and Megatron's arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.SerializeToString(deterministic=True))
    write_tokenizer_json(model, folder / "tokenizer.json")
    specials = _name_specials(model)
    _write_json(folder / "special_tokens_map.json", specials)
    _write_json(folder / "tokenizer_config.json", _make_config(model) | specials)
    write_arguments(model, folder)


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy the files of `write_tokenizer` from one folder into another."""
    for name in TOKENIZER_FILES:
        shutil.copyfile(source / name, folder / name)


def write_tokenizer_json(model: ModelProto, path: Path) -> None:
    """Write a model as Hugging Face `tokenizers` reads it; both give the same ids."""
    _write_json(path, _make_tokenizer(model))


def list_token_ids(model: ModelProto) -> dict[str, int]:
    """The special ids as config.json and generation_config.json of a model name them."""
    places = {"bos": "bos", "eos": "eos", "pad": "unk"}
    found = {name: _find_id(model, place) for name, place in places.items()}
    return {f"{name}_token_id": number for name, number in found.items() if number is not None}


def check_token_ids(model: ModelProto, folder: Path) -> None:
    """Hold the special ids of a model folder's configurations against its tokenizer.

    Args:
        folder: has config.json and perhaps generation_config.json; what they leave out is right.

    Raises:
        TongwenError: one names another id, so that generation would not stop, or start elsewhere.
    """
    wanted = list_token_ids(model)
    for path in (folder / "config.json", folder / "generation_config.json"):
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for name, number in wanted.items():
            if found.get(name) is not None and found[name] != number:
                raise TongwenError(
                    f"{name} is {found[name]}, the tokenizer's is {number}",
                    where=str(path),
                    expected=f'"{name}": {number}',
                    do="name the tokenizer of this very model, or correct the file",
                )


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


def _find_id(model: ModelProto, name: str) -> int | None:
    number: int = getattr(model.trainer_spec, f"{name}_id")
    return None if number < 0 else number


def _find_piece(model: ModelProto, name: str) -> str | None:
    number = _find_id(model, name)
    return None if number is None else model.pieces[number].piece


def _name_specials(model: ModelProto) -> dict[str, str]:
    named = {name: _find_piece(model, name) for name in ("bos", "eos", "unk")}
    named["pad"] = named["unk"]
    return {f"{name}_token": piece for name, piece in named.items() if piece is not None}


def _make_config(model: ModelProto) -> dict[str, Any]:
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(token.pop("id")): token for token in _list_added_tokens(model)
        },
        "clean_up_tokenization_spaces": False,
        "legacy": False,
        "padding_side": "right",
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
    """Pieces that are cut out of a text before anything merges."""
    special = (PieceType.CONTROL, PieceType.UNKNOWN)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": number, "content": piece.piece, **flags, "special": piece.type in special}
        for number, piece in enumerate(model.pieces)
        if piece.type in (*special, PieceType.USER_DEFINED)
    ]


def _make_normalizer(model: ModelProto) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    if model.normalizer_spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    return {"type": "Sequence", "normalizers": steps}


def _make_post_processor(model: ModelProto) -> dict[str, Any] | None:
    bos = _find_piece(model, "bos")
    if bos is None:
        return None
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
