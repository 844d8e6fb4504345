"""What is linted: a model, what stands beside it, and what it is compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sentencepiece

from tokenizer.lint.fast import Fast
from tokenizer.lint.measuring import TextFacts
from tokenizer.lint.reach import Dead, find_dead
from tokenizer.model import SPACE, ModelProto, PieceType
from tongwen.errors import TongwenError

KINDS = {1: "unigram", 2: "BPE", 3: "word", 4: "character"}


@dataclass(frozen=True)
class Subject:
    """A model with everything the rules look at.

    Attributes:
        path: the .model file.
        model: what it holds.
        base: the model it extends; None where none was given.
        processor: SentencePiece's, of a repaired copy where the file itself is refused.
        refusal: SentencePiece's words where it refuses the file, else "".
        config: config.json beside the file; None without one.
        rows: tensor name -> rows of the embeddings in safetensors files beside it.
        fast: the Hugging Face tokenizer; None where there is none and none can be made.
        texts: what was measured on texts.
        tensor_parallel: sizes that the vocabulary should be divisible by.
    """

    path: Path
    model: ModelProto
    base: ModelProto | None
    processor: sentencepiece.SentencePieceProcessor
    refusal: str
    config: dict[str, Any] | None
    rows: dict[str, int]
    fast: Fast | None
    texts: TextFacts
    tensor_parallel: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.model.pieces)

    @property
    def kind(self) -> str:
        return KINDS.get(self.model.trainer_spec.model_type, "unknown")

    @cached_property
    def dead(self) -> list[Dead]:
        """The pieces that no text is encoded with."""
        return find_dead(self.model)

    @cached_property
    def added(self) -> frozenset[int]:
        """Ids of the pieces that the base does not have; all without a base."""
        known = {piece.piece for piece in self.base.pieces} if self.base else set()
        named = enumerate(self.model.pieces)
        return frozenset(number for number, piece in named if piece.piece not in known)

    @cached_property
    def text_ids(self) -> list[int]:
        """Ids of the normal and user-defined pieces among the added ones."""
        kinds = (PieceType.NORMAL, PieceType.USER_DEFINED)
        return [n for n in sorted(self.added) if self.model.pieces[n].type in kinds]

    @cached_property
    def merge_ids(self) -> list[int]:
        """Ids of all normal pieces of two characters or more: the results of merges."""
        named = enumerate(self.model.pieces)
        return [n for n, p in named if p.type == PieceType.NORMAL and len(p.piece) > 1]

    def text(self, number: int) -> str:
        """The text of a piece."""
        return self.model.pieces[number].piece

    def show(self, number: int) -> str:
        """A piece with its id, for an example."""
        return f"{number} {show_text(self.text(number))}"

    def has(self, need: str) -> bool:
        """Whether a rule that needs this can be run."""
        return {
            "": True,
            "bpe": self.kind == "BPE",
            "base": self.base is not None,
            "base and texts": self.base is not None and self.texts.lines > 0,
            "config": self.config is not None or bool(self.rows),
            "fast": self.fast is not None,
        }[need]


def show_text(text: str) -> str:
    """Text of which nothing is invisible: what does not print as its code point."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):04x}}}" for c in text)


def is_blank(piece: str) -> bool:
    """Whether a piece is made of spaces alone."""
    return not piece.strip(SPACE)


def find_model(path: Path) -> Path:
    """The .model file that a path names: itself, or the one in a folder.

    Raises:
        TongwenError: there is no such file or folder, or the folder holds none or several.
    """
    if not path.is_dir():
        return path
    if (path / "tokenizer.model").is_file():
        return path / "tokenizer.model"
    found = sorted(path.glob("*.model"))
    if len(found) == 1:
        return found[0]
    raise TongwenError(
        f"{path} holds {len(found) or 'no'} SentencePiece models",
        where=str(path),
        expected="a tokenizer.model, or one file that ends in .model",
        do="name the file; a tokenizer.json or vocab.txt alone cannot be linted",
    )


def read_config(folder: Path) -> dict[str, Any] | None:
    """config.json of a model's folder; None without one.

    Raises:
        TongwenError: it is no JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refuse_json(path, str(error)) from None
    if not isinstance(found, dict):
        raise _refuse_json(path, "it is not an object")
    return found


def read_rows(folder: Path) -> dict[str, int]:
    """Rows of the input and output embeddings in the safetensors files of a folder.

    Raises:
        TongwenError: a file is cut short or is something else.
    """
    found: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, entry in _read_header(path).items():
            shape = entry.get("shape") if isinstance(entry, dict) else None
            if name.endswith(("embed_tokens.weight", "lm_head.weight")) and shape:
                found[name] = int(shape[0])
    return found


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            return dict(json.loads(file.read(size)))
    except (OSError, ValueError, TypeError) as error:
        raise _refuse_json(path, str(error)) from None


def _refuse_json(path: Path, why: str) -> TongwenError:
    return TongwenError(
        f"{path.name} cannot be read: {why}",
        where=str(path),
        expected="the file as Hugging Face writes it",
        do="get it again, or lint the .model alone in a folder of its own",
    )
