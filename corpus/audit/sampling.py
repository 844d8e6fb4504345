"""A sample of the user's documents, the same whenever it is drawn from the same documents.

Ids are hashes of the content, so the smallest ids of a group are as good as a random choice, exact
copies count once, and neither shards nor order matter.  Groups (language and category) take turns,
so that a small one is seen beside a large one.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

SAMPLE = pa.schema([(name, pa.string()) for name in ("id", "category", "language", "text")])
MIN_CHARACTERS, MAX_CHARACTERS = 60, 10_000
"""Shorter documents are passed over: one change makes another text of them.  Longer ones are cut,
which bounds the memory: a few copies of so much text for each document asked for."""

_CHOOSE = """
    CREATE TEMP TABLE chosen AS
    WITH whole AS (
        SELECT id, arg_min(category, origin) AS category, arg_min(language, origin) AS language
        FROM read_parquet($documents)
        WHERE length(prompt) + length(text) >= $shortest
        GROUP BY id
    )
    SELECT * FROM whole
    ORDER BY row_number() OVER (PARTITION BY language, category ORDER BY id), language, category
    LIMIT $most
"""
_READ = """
    SELECT id, c.category, c.language, any_value(
        left(CASE WHEN prompt = '' THEN text ELSE prompt || chr(10) || text END, $longest)
    )
    FROM read_parquet($documents) JOIN chosen AS c USING (id)
    GROUP BY ALL ORDER BY id
"""


def sample_documents(
    documents: Path, most: int, *, scratch: Path, memory: int, workers: int = 1
) -> pa.Table:
    """Draw documents of at least `MIN_CHARACTERS`, spread over languages and categories.

    Args:
        documents: folder of document shards.
        most: how many; fewer where there are not so many.
        scratch: an existing folder that the search may spill into.
        memory: bytes it may use before.

    Returns:
        Columns `SAMPLE`, by id; `text` is prompt and text, cut at `MAX_CHARACTERS`.
    """
    from corpus.counting.statistics import connect
    from corpus.documents import to_batch

    shards = {"documents": str(documents / "part-*.parquet")}
    with connect(scratch, memory, workers) as database:
        database.execute(_CHOOSE, {**shards, "shortest": MIN_CHARACTERS, "most": most})
        rows = database.execute(_READ, {**shards, "longest": MAX_CHARACTERS}).fetchall()
    return pa.Table.from_batches([to_batch(rows, SAMPLE)])
