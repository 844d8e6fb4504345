"""What came in, what was dropped and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from reports.read.audit import read_audit
from reports.read.characters import read_characters
from reports.read.files import (
    Row,
    find_file,
    list_missing,
    read_batches,
    read_json,
    read_rows,
)
from tongwen.run import RunFolder

DUPLICATES = (
    "exact_duplicates", "normalized_duplicates", "near_duplicates", "known_duplicates",
)  # fmt: skip
_SUMS = ("documents", "kept_documents", *DUPLICATES, "characters", "bytes")
_STATISTICS = (
    "category", "language", "source", *_SUMS, "length_p05", "length_p50", "length_p95",
)  # fmt: skip
_REJECTS_SEEN, _REJECTS_PER_REASON, _EXAMPLES = 2000, 3, 12
_BIN = 0.02


def read_corpus(run: RunFolder) -> Row:
    """Counts, tables and examples of the corpus stage.

    Returns:
        A dict with `missing` (outputs not finished), `flow` (documents by what became of them),
        `by_group` (category x language), `by_source`, `characters` (see `read_characters`),
        `rejects`, `reject_samples`, `similarity` (near duplicates by exact Jaccard), `parameters`,
        `examples`, `audit`.  What cannot be known yet is None.
    """
    statistics = read_rows(run, "corpus/statistics", "statistics.parquet", _STATISTICS)
    rejects = read_rows(
        run, "corpus/statistics", "rejects_by_reason.parquet", ("file", "reason", "lines")
    )
    parameters = read_json(run, "corpus/duplicates", "parameters.json")
    return {
        "missing": list_missing(
            run, ("corpus/documents", "corpus/duplicates", "corpus/statistics", "buckets/held_out")
        ),
        "flow": _count_flow(run, statistics, rejects),
        "by_group": None if statistics is None else _sum_groups(statistics),
        "by_source": None if statistics is None else _sum_sources(statistics),
        "characters": read_characters(run),
        "rejects": None if rejects is None else _sort_rejects(rejects),
        "reject_samples": _sample_rejects(run),
        "similarity": _count_similarity(run, parameters),
        "parameters": parameters,
        "examples": _choose_examples(run),
        "audit": read_audit(run),
    }


def _count_flow(run: RunFolder, statistics: list[Row] | None, rejects: list[Row] | None) -> Any:
    if statistics is None or rejects is None:
        return None
    total = sum_rows(statistics, _SUMS)
    reasons: Counter[str] = Counter()
    for row in rejects:
        reasons[row["reason"]] += row["lines"]
    held_out = read_rows(run, "buckets/held_out", "held_out.parquet", ("sequence",))
    rejected = sum(reasons.values())
    return {
        "lines_read": total["documents"] + rejected,
        "rejected": rejected,
        "rejected_by_reason": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        **total,
        "other_duplicates": total["documents"]
        - total["kept_documents"]
        - sum(total[name] for name in DUPLICATES),
        "held_out": None if held_out is None else len(held_out),
    }


def sum_rows(rows: Iterable[Row], names: Sequence[str]) -> dict[str, int]:
    """Sums of the columns named; a missing value counts as 0."""
    total = dict.fromkeys(names, 0)
    for row in rows:
        for name in names:
            total[name] += row[name] or 0
    return total


def _sum_groups(statistics: list[Row]) -> list[Row]:
    """One row for each category x language, most characters first."""
    groups: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in statistics:
        groups[row["language"], row["category"]].append(row)
    table = [
        {
            "language": language,
            "category": category,
            **sum_rows(rows, _SUMS),
            "shortest_p05": min((row["length_p05"] or 0 for row in rows), default=0),
            "median_low": min(row["length_p50"] or 0 for row in rows),
            "median_high": max(row["length_p50"] or 0 for row in rows),
            "longest_p95": max((row["length_p95"] or 0 for row in rows), default=0),
        }
        for (language, category), rows in groups.items()
    ]
    return sorted(table, key=lambda row: (-row["characters"], row["language"], row["category"]))


def _sum_sources(statistics: list[Row]) -> list[Row]:
    sources: defaultdict[str, list[Row]] = defaultdict(list)
    for row in statistics:
        sources[row["source"]].append(row)
    table = [
        {
            "source": source,
            "languages": sorted({row["language"] for row in rows}),
            **sum_rows(rows, _SUMS),
        }
        for source, rows in sources.items()
    ]
    return sorted(table, key=lambda row: (-row["characters"], row["source"]))


def _sort_rejects(rejects: list[Row]) -> list[Row]:
    return sorted(rejects, key=lambda row: (-row["lines"], row["file"], row["reason"]))


def _sample_rejects(run: RunFolder) -> list[Row] | None:
    """The first rejected lines of each reason among the first few thousand."""
    path = find_file(run, "corpus/documents", "rejects.parquet")
    if path is None:
        return None
    columns = ("file", "line", "reason", "detail", "excerpt")
    rows = (row for batch in read_batches(path, columns, 500) for row in batch.to_pylist())
    seen: Counter[str] = Counter()
    sample: list[Row] = []
    for row in islice(rows, _REJECTS_SEEN):
        seen[row["reason"]] += 1
        if seen[row["reason"]] <= _REJECTS_PER_REASON:
            sample.append(row)
    return sorted(sample, key=lambda row: row["reason"])


def _count_similarity(run: RunFolder, parameters: Row | None) -> list[Row] | None:
    """Near duplicates in steps of 0.02 of their Jaccard similarity."""
    path = find_file(run, "corpus/duplicates", "duplicates.parquet")
    if path is None:
        return None
    threshold = float((parameters or {}).get("threshold", 0.5))
    first, last = round(threshold / _BIN - 0.499), round(1 / _BIN)
    counts = np.zeros(last - first, dtype=np.int64)
    for batch in read_batches(path, ("jaccard", "kind")):
        near = np.asarray(batch.column("kind").to_numpy(zero_copy_only=False) == "near")
        jaccard = batch.column("jaccard").to_numpy(zero_copy_only=False)[near]
        steps = np.floor(jaccard[np.isfinite(jaccard)] / _BIN + 1e-9).astype(np.int64) - first
        counts += np.bincount(steps.clip(0, len(counts) - 1), minlength=len(counts))
    return [
        {"from": round((first + i) * _BIN, 2), "documents": int(n)} for i, n in enumerate(counts)
    ]


def _choose_examples(run: RunFolder) -> list[Row] | None:
    """Pairs spread evenly over the similarities found, least alike first."""
    columns = ("id", "keeper", "jaccard", "text", "keeper_text")
    rows = read_rows(run, "corpus/duplicates", "examples.parquet", columns)
    if not rows:
        return rows
    rows.sort(key=lambda row: (row["jaccard"], row["id"], row["keeper"]))
    step = max(1.0, (len(rows) - 1) / max(1, _EXAMPLES - 1))
    chosen = sorted({min(len(rows) - 1, round(i * step)) for i in range(_EXAMPLES)})
    return [rows[index] for index in chosen]
