"""One line of input becomes one document or one reject: the rules for fields, in one place.

Three kinds of line are known without being told: `{text, category, lang, source}`, Colossal's
`{source, target, category}` and question-answer lines `{source, target, category, lang, origin}`,
where `source` is the prompt.  `[corpus.inputs.columns]` names other fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from corpus.reading.language import detect_language
from tongwen.recipe import Columns

EXCERPT = 200
"""Characters of a rejected line that are shown."""

BAD_JSON, BAD_UTF8, BAD_FILE = "bad_json", "bad_utf8", "bad_file"
EMPTY, WRONG_TYPE, NO_TEXT = "empty", "wrong_type", "no_text"
TOO_LONG, LONE_SURROGATE = "too_long", "lone_surrogate"
REASONS = (BAD_JSON, BAD_UTF8, BAD_FILE, EMPTY, WRONG_TYPE, NO_TEXT, TOO_LONG, LONE_SURROGATE)


class Document(NamedTuple):
    """A row of the documents table."""

    id: str
    text: str
    prompt: str
    category: str
    language: str
    source: str
    origin: str


class Reject(NamedTuple):
    """A line that was not used: which, why (one of `REASONS`) and how it begins."""

    file: str
    line: int
    reason: str
    detail: str
    excerpt: str


class UnusableError(Exception):
    """A line cannot be used; `reason` is one of `REASONS`."""

    def __init__(self, reason: str, detail: str, excerpt: str = "") -> None:
        super().__init__(detail)
        self.reason, self.detail, self.excerpt = reason, detail, excerpt

    def to_reject(self, file: str, line: int) -> Reject:
        """The row of the rejects table, safe to print and to store."""
        detail, excerpt = clean_excerpt(self.detail), clean_excerpt(self.excerpt)
        return Reject(file, line, self.reason, detail, excerpt)


def clean_excerpt(text: str) -> str:
    """The first 200 characters; what UTF-8 cannot hold becomes a question mark."""
    return text[:EXCERPT].encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True)
class Rules:
    """How the lines of one file become documents.

    Attributes:
        origin: the file's name in `origin`.
        category: of lines that name none; also `language` and `source`.
        language: "" where it is found from the script.
        max_characters: of text and prompt together.
    """

    columns: Columns
    origin: str
    category: str
    language: str
    source: str
    max_characters: int

    def make_document(self, fields: Mapping[str, Any], line: int) -> Document:
        """The document of a line.

        Raises:
            UnusableError: the line has no usable text, or a field that is not text.
        """
        columns, has_target = self.columns, "target" in fields
        text = _require_text(fields, columns.text or ("target" if has_target else "text"))
        prompt = _get(fields, columns.prompt, "source") if columns.prompt or has_target else ""
        self._check_length(text, prompt)
        category = _get(fields, columns.category, "category") or self.category
        language = _get(fields, columns.language, "language", "lang") or self.language
        source = _get(fields, columns.source, "origin" if has_target else "source") or self.source
        return Document(
            hash_document(prompt, text),
            text,
            prompt,
            _check_unicode(category),
            _check_unicode(language) or detect_language(text),
            _check_unicode(source),
            f"{self.origin}:{line}",
        )

    def _check_length(self, text: str, prompt: str) -> None:
        length = len(text) + len(prompt)
        if length > self.max_characters:
            detail = f"{length} characters, {self.max_characters} are allowed"
            raise UnusableError(TOO_LONG, detail, text)


def hash_document(prompt: str, text: str) -> str:
    """The id of a document: BLAKE2b-128 of prompt, NUL and text, as 32 hex digits.

    Raises:
        UnusableError: a lone surrogate, which UTF-8 cannot hold.
    """
    try:
        content = f"{prompt}\0{text}".encode()
    except UnicodeEncodeError as error:
        raise _surrogate(error, text) from None
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _require_text(fields: Mapping[str, Any], name: str) -> str:
    text = fields.get(name)
    if isinstance(text, str) and not text.isspace() and text:
        return text
    excerpt = str(fields)[: 4 * EXCERPT] if not isinstance(text, str) else repr(text[:EXCERPT])
    if text is None:
        raise UnusableError(NO_TEXT, f"no field {name!r}", excerpt)
    if isinstance(text, str):
        raise UnusableError(EMPTY, f"{name!r} is empty or white space", excerpt)
    raise UnusableError(WRONG_TYPE, f"{name!r} is {_name_type(text)}, not text", excerpt)


def _get(fields: Mapping[str, Any], chosen: str | None, *known: str) -> str:
    """The first of the known fields that is there (or the chosen one); "" where none is."""
    for name in (chosen,) if chosen else known:
        value = fields.get(name)
        if isinstance(value, str):
            return value
        if value is not None:
            detail = f"{name!r} is {_name_type(value)}, not text"
            raise UnusableError(WRONG_TYPE, detail, str(fields)[: 4 * EXCERPT])
    return ""


def _check_unicode(value: str) -> str:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _surrogate(error, value) from None
    return value


def _surrogate(error: UnicodeEncodeError, text: str) -> UnusableError:
    code = ord(error.object[error.start])
    return UnusableError(LONE_SURROGATE, f"U+{code:04X} stands alone", text)


_TYPES = {
    dict: "a table",
    list: "a list",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def _name_type(value: object) -> str:
    return _TYPES.get(type(value), type(value).__name__)
