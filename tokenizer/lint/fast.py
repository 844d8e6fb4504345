"""The Hugging Face tokenizer of a model: the one beside it, or made by our export.

It is asked for the same ids as SentencePiece.  One difference is known and left out: a special
token written out in a text (`<s>`) is one id to Hugging Face and several to SentencePiece.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizer.export import write_tokenizer_json
from tokenizer.model import ModelProto, PieceType
from tongwen.errors import TongwenError

_BATCH = 4096


@dataclass(frozen=True)
class Fast:
    """A Hugging Face tokenizer.

    Attributes:
        tokenizer: of the `tokenizers` package.
        made: whether our export made it, for want of a tokenizer.json.
        size: entries, added ones included.
        specials: texts of its special tokens.
    """

    tokenizer: Any
    made: bool
    size: int
    specials: tuple[str, ...]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without BOS and EOS."""
        found: list[list[int]] = []
        for begin in range(0, len(texts), _BATCH):
            batch = list(texts[begin : begin + _BATCH])
            encoded = self.tokenizer.encode_batch(batch, add_special_tokens=False)
            found += [each.ids for each in encoded]
        return found

    def holds_special(self, text: str) -> bool:
        """Whether a special token is written out in the text."""
        return any(special in text for special in self.specials)


def open_fast(path: Path) -> Fast:
    """Read a tokenizer.json.

    Raises:
        TongwenError: it cannot be read.
    """
    return _open(path, made=False)


def make_fast(model: ModelProto) -> Fast | None:
    """The tokenizer that our export makes of a model; None where a model cannot be exported."""
    if not _can_export(model):
        return None
    with tempfile.TemporaryDirectory(prefix="tongwen-lint-") as folder:
        path = Path(folder) / "tokenizer.json"
        write_tokenizer_json(model, path)
        return _open(path, made=True)


def _can_export(model: ModelProto) -> bool:
    spec, trainer = model.normalizer_spec, model.trainer_spec
    keeps = not spec.precompiled_charsmap and not spec.remove_extra_whitespaces
    kinds = [piece.type for piece in model.pieces]
    special = min(trainer.bos_id, trainer.eos_id, trainer.unk_id) >= 0
    whole = kinds.count(PieceType.BYTE) == 256 and spec.escape_whitespaces
    return trainer.model_type == 2 and keeps and special and whole


def _open(path: Path, *, made: bool) -> Fast:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the bindings raise Exception itself
        raise TongwenError(
            f"{path.name} cannot be read: {error}",
            where=str(path),
            expected="a tokenizer.json of Hugging Face tokenizers",
            do="get it again, or lint the .model alone in a folder of its own",
        ) from None
    added = tokenizer.get_added_tokens_decoder().values()
    specials = tuple(sorted(token.content for token in added))
    return Fast(tokenizer, made, tokenizer.get_vocab_size(with_added_tokens=True), specials)
