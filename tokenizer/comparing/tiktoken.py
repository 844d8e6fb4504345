"""Files of ranks (.tiktoken) as tokenizers of Hugging Face.

Such a file lists tokens and their ranks.  It holds neither the expression that splits text before
merging nor the merges.  The expression is known by the number of ranks, or named by the user; a
merge is found by encoding its token with the tokens before it: two parts are left.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from tokenizer.comparing.kinds import list_byte_letters
from tongwen.errors import TongwenError
from tongwen.progress import progress, say


@dataclass(frozen=True)
class Expression:
    """How text is split before merging.

    Attributes:
        pattern: what a part is, as Oniguruma reads it.
        composed: whether the text is brought to NFC first.
        ranks: sizes of vocabularies that use it.
    """

    pattern: str
    ranks: tuple[int, ...]
    composed: bool = False


_ENDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"|[^\r\n\p{L}\p{N}]?\p{L}+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE = r"[^\r\n\p{L}\p{N}]?"

EXPRESSIONS = {
    "qwen": Expression(
        rf"{_ENDS}{_WORDS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*{_SPACES}",
        (151_643,),
        composed=True,
    ),
    "gpt2": Expression(
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        (50_256, 50_280, 50_281),
    ),
    "cl100k": Expression(
        rf"{_ENDS}{_WORDS}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*{_SPACES}",
        (100_256, 128_000),
    ),
    "o200k": Expression(
        rf"{_BEFORE}{_UPPER}*{_LOWER}+{_ENDS}?|{_BEFORE}{_UPPER}+{_LOWER}*{_ENDS}?"
        rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*{_SPACES}",
        (199_998,),
    ),
}
"""By name.  `cl100k` is also LLaMA-3's."""


def read_tiktoken(path: Path, expression: str = "") -> Tokenizer:
    """A .tiktoken file as a tokenizer.

    Args:
        expression: a key of `EXPRESSIONS`; "" takes the one that goes with the number of ranks,
            and says so where that is not known and Qwen's is taken.

    Raises:
        TongwenError: a line is not base64, a space and a rank, or there is no such expression.
    """
    ranks = read_ranks(path)
    chosen = _choose(path, expression, len(ranks))
    letters = list_byte_letters()

    def write(part: bytes) -> str:
        return "".join(letters[byte] for byte in part)

    merges: list[tuple[str, str]] = []
    with progress(f"reading {path.name}", total=len(ranks), unit="ranks") as advance:
        for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
            parts = _split_token(token, rank, ranks)
            if len(parts) == 2:
                merges.append((write(parts[0]), write(parts[1])))
            advance(1)
    vocabulary = {write(token): rank for token, rank in ranks.items()}
    return _make_tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True), chosen)


def _make_tokenizer(model: models.BPE, chosen: Expression) -> Tokenizer:
    tokenizer = Tokenizer(model)
    if chosen.composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(chosen.pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def _choose(path: Path, name: str, num_ranks: int) -> Expression:
    if name and name not in EXPRESSIONS:
        raise TongwenError(
            f"no expression is called {name!r}",
            where=str(path),
            expected="one of " + ", ".join(EXPRESSIONS),
        )
    known = next((key for key in EXPRESSIONS if num_ranks in EXPRESSIONS[key].ranks), "")
    if not name and not known:
        say(f"{path.name}: {num_ranks:,} ranks of an unknown tokenizer, split as Qwen splits text")
    return EXPRESSIONS[name or known or "qwen"]


def read_ranks(path: Path) -> dict[bytes, int]:
    """Token -> rank.

    Raises:
        TongwenError: a line is not base64, a space and a rank.
    """
    try:
        lines = path.read_bytes().splitlines()
        pairs = (line.split() for line in lines if line)
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except (OSError, ValueError, binascii.Error) as error:
        raise TongwenError(
            f"cannot read {path.name} as a .tiktoken file: {error}",
            where=str(path),
            expected="lines of a token in base64, a space and its rank",
        ) from None


def _split_token(token: bytes, rank: int, ranks: dict[bytes, int]) -> list[bytes]:
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 1:
        found = [(ranks.get(parts[at] + parts[at + 1], rank), at) for at in range(len(parts) - 1)]
        best, at = min(found)
        if best >= rank:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts
