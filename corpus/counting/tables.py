"""The tables of stats.duckdb: documents without their text, rejects, and the sums of both.

The sums (`group_sums`, `length_counts`) are as small as the corpus has categories and sources, so
the views over them (`corpus.counting.views`) answer at once whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from corpus.counting.character_classes import COUNTS

_SUMMED = (COUNTS[0], "bytes", "prompt_characters", "cut_characters", *COUNTS[1:])


@dataclass(frozen=True)
class Relation:
    """A table or a view.

    Attributes:
        kind: "table" or "view".
        columns: name -> what it says, in order.
        query: the SELECT that makes it; empty for what is filled in otherwise.
    """

    name: str
    kind: str
    comment: str
    columns: Mapping[str, str]
    query: str = ""

    def statements(self) -> Iterator[str]:
        """SQL that makes the relation and its comments."""
        if self.query:
            yield f"CREATE {self.kind} {self.name} AS {self.query}"
        yield f"COMMENT ON {self.kind} {self.name} IS {_quote(self.comment)}"
        for column, comment in self.columns.items():
            yield f"COMMENT ON COLUMN {self.name}.{column} IS {_quote(comment)}"


def _quote(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


KEYS = {
    "category": "as in the documents",
    "language": "as in the documents",
    "source": "as in the documents",
}
OF_KEPT = {
    "characters": "characters of kept documents, prompt and text",
    "bytes": "UTF-8 bytes of kept documents, prompt and text",
}
COUNTED = {
    "characters": "of prompt and text, without boilerplate",
    "bytes": "of the same, in UTF-8",
    "prompt_characters": "of the prompt alone",
    "cut_characters": "of boilerplate, which is cut out of the text and counted nowhere else",
    "han": "Han characters",
    "kana_hangul": "kana and Hangul",
    "latin": "Latin letters",
    "digits": "decimal digits of any script",
    "punctuation": "punctuation; mathematical, currency and modifier symbols",
    "space": "white space",
    "other": "all else: other letters, marks, emoji, control characters",
    "simplified": "Han characters that only simplified script has (in GB 2312, not in Big5)",
    "traditional": "Han characters that only traditional script has (in Big5, not in GB 2312)",
}

DOCUMENTS = Relation(
    "documents",
    "table",
    "One row for each row of the documents, without the text (that is in texts).",
    {
        "id": "hash of the content, 32 hexadecimal digits; exact copies share it",
        "origin": "FILE:LINE; (id, origin) is unique",
        "category": "what the text is about or where it belongs",
        "language": "zh, en, ...",
        "source": "where the text comes from",
        "kind_of_text": "qa where there is a prompt, else text",
        **COUNTED,
        "kept": "whether the document stays in the corpus",
        "duplicate_kind": "why it goes: exact, normalized, near, known; NULL where it is kept",
        "keeper": "id of the document that stays in its place",
        "jaccard": "similarity with the keeper",
    },
)

REJECTS = Relation(
    "rejects",
    "table",
    "Lines of the input that became no document.",
    {
        "file": "as in origin",
        "line": "counted from 1",
        "reason": "bad_json, bad_utf8, no_text, ...",
        "detail": "what exactly is wrong",
        "excerpt": "the first 200 characters",
    },
)

GROUP_SUMS = Relation(
    "group_sums",
    "table",
    "Sums over the documents; most views add these up.",
    {
        **KEYS,
        "kind_of_text": "qa or text",
        "duplicate_kind": "NULL: kept",
        "documents": "how many",
        **{name: f"sum: {words}" for name, words in COUNTED.items()},
    },
    f"""
    SELECT category, language, source, kind_of_text, duplicate_kind, count(*) AS documents,
        {", ".join(f"sum({name})::BIGINT AS {name}" for name in _SUMMED)}
    FROM documents GROUP BY ALL
    """,
)

LENGTH_COUNTS = Relation(
    "length_counts",
    "table",
    "How many kept documents have exactly so many characters; quantiles come from this.",
    {**KEYS, "characters": "of prompt and text", "documents": "kept documents of this length"},
    """
    SELECT category, language, source, characters, count(*) AS documents
    FROM documents WHERE kept GROUP BY ALL
    """,
)

TABLES = (DOCUMENTS, REJECTS, GROUP_SUMS, LENGTH_COUNTS)
