"""What a shingle is, in plain Python: the definition that the compiled kernels must match.

A text is a sequence of tokens.  Every Han character is one, and so is every kana, bopomofo, Hangul
syllable and letter of the scripts written without spaces (Thai, Lao, Tibetan, Burmese, Khmer); a
run of other letters and digits is one word.  Case and width are folded (`Ａ` = `a`), punctuation
and white space only separate.  A shingle is `ngram` consecutive tokens, so with 5 a Chinese text
gives 5-character shingles, an English one 5-word shingles and a mixed one both.  A text of fewer
tokens is one shingle of all of them; a text without a token has none.

A shingle's 64-bit hash is a multilinear sum of its tokens, mixed; its upper half is the 32-bit hash
that MinHash permutes.  `hash_shingle` gives it to `datasketch.MinHash(hashfunc=...)`, which then
makes the same signature to the bit.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

Token = str
Shingle = tuple[Token, ...]

SEPARATOR, CHARACTER, WORD, MARK, IGNORED = range(5)
"""Kinds of code point: a MARK goes on with an open word and starts none."""

TABLE_SIZE, LAST_HAN = 0x20000, 0x3FFFF
"""Code points of planes 0 and 1 are looked up; planes 2 and 3 are Han, the rest separates."""

WORD_KEYS = 0x2D358DCCAA6C78A5, 0x8BB84B93962EACC9
KEY_STEP = 0x9E3779B97F4A7C15
FINGERPRINT_FACTOR = 0x9FB21C651E98DF25
MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)

_SPACELESS = (
    *(0x0E00, 0x10A0),
    *(0x1780, 0x1800),
    *(0x3005, 0x3008),
    *(0x3040, 0x3130),
    *(0x31A0, 0x3200),
    *(0x3400, 0x4DC0),
    *(0x4E00, 0xA000),
    *(0xAC00, 0xD7A4),
    *(0xF900, 0xFB00),
    *(TABLE_SIZE, LAST_HAN + 1),
)
"""First code point of a range and the one after its last, in turn."""
_KINDS = {"L": WORD, "N": WORD, "M": MARK}
_VARIATION = range(0xFE00, 0xFE10)
_MASK = (1 << 64) - 1


def classify(code: int) -> tuple[int, int]:
    """Kind and folded code point of a code point."""
    if code >= TABLE_SIZE:
        return (CHARACTER, code) if code <= LAST_HAN else (SEPARATOR, 0)
    character = chr(code)
    category = unicodedata.category(character)
    if category == "Cn":
        return SEPARATOR, 0
    if category == "Cf" or code in _VARIATION:
        return IGNORED, 0
    folded = ord(_fold(character))
    category = unicodedata.category(chr(folded))
    if bisect_right(_SPACELESS, folded) % 2 and (category[0] == "L" or category == "Nl"):
        return CHARACTER, folded
    kind = _KINDS.get(category[0], SEPARATOR)
    return kind, folded if kind else 0


_classify_again = lru_cache(1 << 14)(classify)


def _fold(character: str) -> str:
    """Width and case folded, as long as that stays one character."""
    wide = unicodedata.normalize("NFKC", character)
    wide = wide if len(wide) == 1 else character
    lower = wide.casefold()
    return lower if len(lower) == 1 else wide


def split_tokens(text: str) -> list[Token]:
    """The tokens of a text, folded."""
    tokens: list[Token] = []
    word = ""
    for kind, folded in map(_classify_again, map(ord, text)):
        if kind == WORD or (kind == MARK and word):
            word += chr(folded)
        elif kind in (SEPARATOR, CHARACTER):
            tokens += [word] if word else []
            tokens += [chr(folded)] if kind == CHARACTER else []
            word = ""
    return [*tokens, word] if word else tokens


def split_shingles(text: str, ngram: int = 5) -> list[Shingle]:
    """The shingles of a text in order, repeats included."""
    tokens = split_tokens(text)
    width = min(ngram, len(tokens))
    if not width:
        return []
    return [tuple(tokens[start : start + width]) for start in range(len(tokens) - width + 1)]


def join_shingle(shingle: Shingle) -> bytes:
    """The UTF-8 of a shingle, for hashes of bytes: one space between two words, else nothing."""
    parts: list[str] = []
    for token in shingle:
        parts += [" "] if parts and _is_word(parts[-1]) and _is_word(token) else []
        parts.append(token)
    return "".join(parts).encode()


def hash_shingle_64(shingle: Shingle) -> int:
    """The 64-bit hash that tells shingles apart in the exact comparison."""
    keys = shingle_keys(len(shingle))
    pairs = zip(keys[1:], shingle, strict=True)
    total = keys[0] * len(shingle) + sum(key * hash_token(token) for key, token in pairs)
    return mix64(total & _MASK)


def hash_shingle(shingle: Shingle) -> int:
    """The 32-bit hash that MinHash permutes: the upper half of the 64-bit one."""
    return hash_shingle_64(shingle) >> 32


def hash_tokens_128(tokens: Sequence[Token]) -> tuple[int, int]:
    """A 128-bit hash of a sequence of tokens in two halves; (0, 0) where there is none.

    A sum over the positions of the mixed token and place, and one of what another multiplication
    makes of it.  A token itself has 64 bits.
    """
    first = second = 0
    for place, token in enumerate(tokens, 1):
        mixed = mix64(hash_token(token) + KEY_STEP * place & _MASK)
        first += mixed
        second += (mixed ^ mixed >> 32) * FINGERPRINT_FACTOR
    if not tokens:
        return 0, 0
    return mix64(first + len(tokens) & _MASK), mix64(second + len(tokens) & _MASK)


def hash_shingles(text: str, ngram: int = 5) -> list[int]:
    """32-bit hashes of a text's shingles, in order, repeats included."""
    return [hash_shingle(shingle) for shingle in split_shingles(text, ngram)]


def hash_token(token: Token) -> int:
    """A character's code point, or a 64-bit hash of a word's UTF-8.

    16 bytes at a time, as two numbers: multiplied to 128 bits whose halves are combined (the step
    of wyhash, https://github.com/wangyi-fudan/wyhash).
    """
    if not _is_word(token):
        return ord(token)
    state, encoded = 0, token.encode()
    for start in range(0, len(encoded), 16):
        low = int.from_bytes(encoded[start : start + 8], "little")
        high = int.from_bytes(encoded[start + 8 : start + 16], "little")
        product = (low ^ WORD_KEYS[0] ^ state) * (high ^ WORD_KEYS[1])
        state = (product ^ product >> 64) & _MASK
    return state


def _is_word(token: Token) -> bool:
    return _classify_again(ord(token[0]))[0] != CHARACTER


@lru_cache
def shingle_keys(ngram: int) -> tuple[int, ...]:
    """Odd multipliers: one for the length, then one for each token."""
    return tuple(mix64(KEY_STEP * number & _MASK) | 1 for number in range(1, ngram + 2))


def mix64(value: int) -> int:
    """MurmurHash3's 64-bit finalizer, a bijection."""
    for factor in MIX:
        value = (value ^ value >> 33) * factor & _MASK
    return value ^ value >> 33


def jaccard(one: str, other: str, ngram: int = 5) -> float:
    """Jaccard similarity of two texts' sets of shingles; 0 where either has none."""
    a, b = set(split_shingles(one, ngram)), set(split_shingles(other, ngram))
    return len(a & b) / len(a | b) if a and b else 0.0
