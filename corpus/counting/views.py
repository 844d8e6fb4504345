"""The views of stats.duckdb: shares, quantiles and the like, each with its SQL and its comments.

Only `largest_clusters` goes through the documents, the others add up sums
(`corpus.counting.tables`).  No view holds a path: the file can be copied and opened anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from corpus.counting.character_classes import CLASSES
from corpus.counting.tables import COUNTED, DOCUMENTS, KEYS, OF_KEPT, Relation

KINDS = ("exact", "normalized", "near", "known")
"""Kinds of duplicates with a column of their own; any other is counted where kinds are rows."""

QUANTILES = (1, 5, 25, 50, 75, 95, 99)
_CLUSTERS_SHOWN = 1000

_SHARES = {
    "documents": "all of them, kept or not",
    "kept": "documents that are kept",
    **OF_KEPT,
    "characters_share": "part of the characters of the whole corpus (what is kept of it)",
    "duplicate_share": "part of the documents that goes, for whatever reason",
    **{f"{kind}_share": f"part of the documents that goes as {kind} duplicate" for kind in KINDS},
}


def _sum_where(name: str, condition: str) -> str:
    return f"coalesce(sum({name}) FILTER ({condition}), 0)::BIGINT"


def _group_by(*keys: str) -> Relation:
    """`by_...`: documents, characters and shares of duplicates of each group."""
    names = ", ".join(keys)
    kept, gone = "duplicate_kind IS NULL", "duplicate_kind IS NOT NULL"
    shares = ", ".join(
        f"{_sum_where('documents', condition)} / sum(documents) AS {name}_share"
        for name, condition in (
            ("duplicate", gone),
            *((kind, f"duplicate_kind = '{kind}'") for kind in KINDS),
        )
    )
    query = f"""
    SELECT {names}, documents, kept, characters, bytes,
        characters / nullif((SELECT {_sum_where("characters", kept)} FROM group_sums), 0)
            AS characters_share,
        {", ".join(name for name in _SHARES if name.endswith("_share") and name[0] != "c")}
    FROM (
        SELECT {names}, sum(documents)::BIGINT AS documents,
            {_sum_where("documents", kept)} AS kept,
            {_sum_where("characters", kept)} AS characters,
            {_sum_where("bytes", kept)} AS bytes,
            {shares}
        FROM group_sums GROUP BY {names}
    )
    ORDER BY characters DESC, {names}
    """
    comment = f"The corpus by {' and '.join(keys)}, most characters first."
    columns = {key: KEYS[key] for key in keys} | _SHARES
    return Relation("by_" + "_".join(keys), "view", comment, columns, query)


def select_quantiles(keys: str, wanted: Mapping[str, int]) -> str:
    """SQL for lengths of kept documents: the smallest that so many percent do not exceed.

    Args:
        keys: columns of `length_counts` to group by.
        wanted: column name -> percent.
    """
    chosen = ", ".join(
        f"min(characters) FILTER (100 * up_to >= {percent} * total) AS {name}"
        for name, percent in wanted.items()
    )
    return f"""
    SELECT {keys}, max(total) AS documents, {chosen}, max(characters) AS max
    FROM (
        SELECT {keys}, characters,
            sum(documents) OVER (PARTITION BY {keys} ORDER BY characters)::BIGINT AS up_to,
            sum(documents) OVER (PARTITION BY {keys})::BIGINT AS total
        FROM (
            SELECT {keys}, characters, sum(documents) AS documents
            FROM length_counts GROUP BY ALL
        )
    )
    GROUP BY {keys}
    """


LENGTHS = Relation(
    "lengths",
    "view",
    "Lengths of kept documents in characters, prompt and text: quantiles and the longest.",
    {
        "category": KEYS["category"],
        "language": KEYS["language"],
        "documents": "that are kept",
        **{f"p{p:02}": f"{p} % of the documents are not longer" for p in QUANTILES},
        "max": "the longest",
    },
    select_quantiles("category, language", {f"p{p:02}": p for p in QUANTILES})
    + "ORDER BY category, language",
)

DUPLICATE_SHARES = Relation(
    "duplicate_shares",
    "view",
    "What goes, by kind of duplicate; every kind has its rows.",
    {
        **KEYS,
        "kind": "exact, normalized, near, known, ...",
        "documents": "that go",
        "share": "of all documents of this category, language and source",
        "characters": "that go with them",
    },
    """
    SELECT category, language, source, duplicate_kind AS kind, sum(documents)::BIGINT AS documents,
        sum(documents) / max(total) AS share, sum(characters)::BIGINT AS characters
    FROM (
        SELECT *, sum(documents) OVER (PARTITION BY category, language, source) AS total
        FROM group_sums
    )
    WHERE duplicate_kind IS NOT NULL
    GROUP BY category, language, source, duplicate_kind ORDER BY ALL
    """,
)

CHARACTER_CLASSES = Relation(
    "character_classes",
    "view",
    "What kept documents are written in: parts of their characters, which add up to 1.",
    {
        "language": KEYS["language"],
        "category": KEYS["category"],
        "characters": OF_KEPT["characters"],
        **{f"{name}_share": COUNTED[name] for name in CLASSES},
    },
    f"""
    SELECT language, category, sum(characters)::BIGINT AS characters,
        {", ".join(f"sum({name}) / nullif(sum(characters), 0) AS {name}_share" for name in CLASSES)}
    FROM group_sums WHERE duplicate_kind IS NULL GROUP BY ALL ORDER BY language, category
    """,
)

SCRIPTS = Relation(
    "scripts",
    "view",
    "Simplified and traditional script in kept documents.",
    {
        "category": KEYS["category"],
        "source": KEYS["source"],
        "han": COUNTED["han"],
        "simplified": COUNTED["simplified"],
        "traditional": COUNTED["traditional"],
        "simplified_share": "simplified / han",
        "traditional_share": "traditional / han",
        "traditional_part": "traditional / (simplified + traditional); near 0 or 1 unless mixed",
    },
    """
    SELECT category, source, sum(han)::BIGINT AS han, sum(simplified)::BIGINT AS simplified,
        sum(traditional)::BIGINT AS traditional,
        sum(simplified) / nullif(sum(han), 0) AS simplified_share,
        sum(traditional) / nullif(sum(han), 0) AS traditional_share,
        sum(traditional) / nullif(sum(simplified) + sum(traditional), 0) AS traditional_part
    FROM group_sums WHERE duplicate_kind IS NULL GROUP BY ALL ORDER BY category, source
    """,
)

LARGEST_CLUSTERS = Relation(
    "largest_clusters",
    "view",
    f"The {_CLUSTERS_SHOWN:,} documents that stand for the most others.",
    {
        "keeper": "id of the document that stays (for kind known: in an earlier corpus)",
        "members": "documents alike, the keeper included",
        "kinds": "of the documents that go, with commas",
        "characters": "that go",
    },
    f"""
    SELECT keeper, count(*) + 1 AS members,
        string_agg(DISTINCT duplicate_kind, ',' ORDER BY duplicate_kind) AS kinds,
        sum(characters)::BIGINT AS characters
    FROM documents WHERE NOT kept GROUP BY keeper
    ORDER BY members DESC, keeper LIMIT {_CLUSTERS_SHOWN}
    """,
)

REJECTS_BY_REASON = Relation(
    "rejects_by_reason",
    "view",
    "Lines that became no document, counted.",
    {"file": "as in origin", "reason": "see FORMATS.md", "lines": "how many"},
    """
    SELECT file, reason, count(*) AS lines FROM rejects GROUP BY file, reason ORDER BY file, reason
    """,
)

TEXTS = Relation(
    "texts",
    "view",
    "The texts, read from the documents when asked for; join USING (id, origin).",
    {
        "id": DOCUMENTS.columns["id"],
        "origin": DOCUMENTS.columns["origin"],
        "text": "what is learned",
        "prompt": "read but not learned; empty for plain text",
    },
)
"""Not in the file: `corpus.counting.sql` adds it to a connection."""

VIEWS = (
    _group_by("category"),
    _group_by("language"),
    _group_by("source"),
    _group_by("category", "language"),
    LENGTHS,
    DUPLICATE_SHARES,
    CHARACTER_CLASSES,
    SCRIPTS,
    LARGEST_CLUSTERS,
    REJECTS_BY_REASON,
)
