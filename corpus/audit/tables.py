"""What an audit found, as tables: by perturbation, by language, by similarity, and the S-curve.

A share whose denominator is zero is null: a perturbation of which no copy reached the threshold has
no recall.  `F1` is the harmonic mean of precision and recall.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.audit.auditing import PAIRS, Flags, Judged, Outcome, audit_documents, tabulate_pairs
from corpus.audit.edits import EDITS
from corpus.audit.sampling import MIN_CHARACTERS, sample_documents
from corpus.dedup.lsh import candidate_probability
from corpus.documents import open_writer
from tongwen.errors import TongwenError
from tongwen.recipe import Audit, Duplicates
from tongwen.record import Counts, write_text

Row = dict[str, Any]

EDGES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
"""Where the ranges of similarity start, beside the threshold; the last ends with 1."""
CURVE_STEP, _CURVE_POINTS = 0.05, 101


def make_tables(outcome: Outcome) -> Row:
    """Everything of `audit.json`.

    Returns:
        `parameters` (of the search, with `floor`), `totals`, `by_perturbation`, `by_language`,
        `by_range` (all pairs of the texts, planted or not), `s_curve` (`theory`: pairs of
        similarity and probability; `measured`: planted pairs in steps of 0.05).
    """
    return {
        "parameters": {**outcome.parameters, "floor": outcome.floor},
        "totals": _sum_totals(outcome),
        "by_perturbation": _by_perturbation(outcome),
        "by_language": _by_language(outcome),
        "by_range": _by_range(outcome),
        "s_curve": _trace_curve(outcome),
    }


def write_audit(
    *,
    documents: Path,
    out: Path,
    settings: Duplicates,
    audit: Audit,
    seed: int,
    memory: int,
    workers: int,
) -> Counts:
    """Audit a sample of documents; write audit.parquet and audit.json into `out`.

    Args:
        documents: folder of document shards.
        settings: the search's, `[corpus.duplicates]`.
        audit: the sample's, `[corpus.audit]`.
        seed: of the edits.
        memory: bytes that drawing the sample may use before it spills into `out`.

    Raises:
        TongwenError: no document is long enough to be edited, or too many are alike.
    """
    sample = sample_documents(
        documents, audit.documents, scratch=out, memory=memory, workers=workers
    )
    if not sample.num_rows:
        raise TongwenError(
            f"no document has {MIN_CHARACTERS} characters, so none can be edited",
            where=str(documents),
            expected="documents that a small change leaves similar",
        )
    outcome = audit_documents(
        sample, settings, copies=audit.copies, seed=seed, workers=workers, scratch=out
    )
    tables = make_tables(outcome)
    with open_writer(out / "audit.parquet", PAIRS) as writer:
        writer.write_table(tabulate_pairs(outcome))
    text = json.dumps(tables, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(out / "audit.json", text + "\n")
    return {name: "-" if value is None else value for name, value in tables["totals"].items()}


def rate(num_found: int, num_expected: int, num_right: int, num_removed: int) -> Row:
    """Recall, precision and F1 from counts."""
    recall = num_found / num_expected if num_expected else None
    precision = num_right / num_removed if num_removed else None
    f1 = None
    if recall is not None and precision is not None:
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    return {"recall": recall, "precision": precision, "f1": f1}


def _sum_totals(outcome: Outcome) -> Row:
    """Recall over all pairs at the threshold, planted or not; precision over all removals."""
    every = _count_pairs(outcome.every, slice(None))
    planted = _count_pairs(outcome.planted, slice(None))
    num_right = int(outcome.right.sum())
    candidates = int((outcome.every.candidate & outcome.every.expected).sum())
    return {
        "documents": outcome.documents.num_rows,
        "copies": len(outcome.copies),
        **{f"planted_{name}": planted[name] for name in ("expected", "found")},
        **{name: every[name] for name in ("expected", "found", "missed")},
        "expected_candidates": candidates,
        "removed": len(outcome.removed),
        "false_removals": len(outcome.removed) - num_right,
        **rate(every["found"], every["expected"], num_right, len(outcome.removed)),
    }


def _count_pairs(judged: Judged, chosen: Any) -> Row:
    """Counts of some pairs; those below the threshold are left alone or joined."""
    expected, found = judged.expected[chosen], judged.found[chosen]
    joined = judged.joined[chosen]
    num_expected, num_found = int(expected.sum()), int((expected & found).sum())
    below = len(expected) - num_expected
    return {
        "pairs": len(expected),
        "expected": num_expected,
        "found": num_found,
        "missed": num_expected - num_found,
        "below": below,
        "left_alone": below - int((joined & ~expected).sum()),
    }


def _describe_group(outcome: Outcome, chosen: Flags) -> Row:
    """Counts and rates of some planted pairs and of the removals counted for them."""
    counted = outcome.copy_of_removal
    mine = (counted >= 0) & chosen[counted]
    counts = _count_pairs(outcome.planted, chosen)
    similarity = outcome.planted.similarity[chosen]
    removed, right = int(mine.sum()), int((mine & outcome.right).sum())
    return {
        "median_jaccard": float(np.median(similarity)) if len(similarity) else None,
        **counts,
        "removed": removed,
        "false_removals": removed - right,
        **rate(counts["found"], counts["expected"], right, removed),
    }


def _by_perturbation(outcome: Outcome) -> list[Row]:
    numbers = {edit: number for number, edit in enumerate(EDITS)}
    used = np.array([numbers[copy.edit] for copy in outcome.copies], np.int64)
    return [
        {
            "perturbation": EDITS[number].perturbation,
            "strength": float(EDITS[number].strength),
            **_describe_group(outcome, used == number),
        }
        for number in np.unique(used).tolist()
    ]


def _by_language(outcome: Outcome) -> list[Row]:
    all_languages = outcome.documents["language"].to_pylist()
    languages = np.array([all_languages[copy.original] for copy in outcome.copies], object)
    return [
        {"language": language, **_describe_group(outcome, languages == language)}
        for language in sorted(set(languages.tolist()))
    ]


def _by_range(outcome: Outcome) -> list[Row]:
    """All pairs of the texts, in ranges of similarity that the threshold divides too."""
    every, threshold = outcome.every, float(str(outcome.parameters["threshold"]))
    edges = sorted({edge for edge in EDGES if edge >= outcome.floor} | {outcome.floor, threshold})
    rows: list[Row] = []
    for low, high in zip(edges, [*edges[1:], 1.0], strict=True):
        inside = _between(every.similarity, low, high)
        counts = _count_pairs(every, inside)
        rows.append(
            {
                "from": low,
                "to": high,
                **counts,
                "candidates": int(every.candidate[inside].sum()),
                "recall": counts["found"] / counts["expected"] if counts["expected"] else None,
            }
        )
    return rows


def _between(values: NDArray[np.float64], low: float, high: float) -> Flags:
    """Which values lie in [low, high), or in [low, 1]."""
    return (values >= low) & ((values < high) | (high >= 1.0))


def _trace_curve(outcome: Outcome) -> Row:
    """The foretold probability to become candidates, and how many planted pairs became some.

    Planted pairs alone, each of another document: thousands of pairs of one form letter would say
    the same thing thousands of times.
    """
    bands, rows = (int(str(outcome.parameters[name])) for name in ("bands", "rows"))
    similarity = np.linspace(0.0, 1.0, _CURVE_POINTS)
    theory = candidate_probability(similarity, bands, rows)
    planted = outcome.planted
    foretold = candidate_probability(planted.similarity, bands, rows)
    measured: list[Row] = []
    for number in range(round(1 / CURVE_STEP)):
        low, high = round(number * CURVE_STEP, 2), round((number + 1) * CURVE_STEP, 2)
        inside = _between(planted.similarity, low, high)
        if inside.any():
            measured.append(
                {
                    "from": low,
                    "to": high,
                    "pairs": int(inside.sum()),
                    "similarity": float(planted.similarity[inside].mean()),
                    "candidates": int(planted.candidate[inside].sum()),
                    "share": float(planted.candidate[inside].mean()),
                    "foretold": float(foretold[inside].mean()),
                }
            )
    points = np.stack([similarity, theory], axis=1).round(6).tolist()
    return {"theory": points, "measured": measured}


def format_audit(folder: Path) -> str:
    """The tables of a finished `corpus/audit` for a terminal."""
    tables = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    totals, parameters = tables["totals"], tables["parameters"]
    parts = [
        f"{totals['documents']:,} documents, {totals['copies']:,} edited copies; threshold"
        f" {parameters['threshold']}, {parameters['bands']} bands of {parameters['rows']} rows",
        f"pairs at the threshold: {totals['expected']:,}, missed {totals['missed']:,}; removed"
        f" {totals['removed']:,}, falsely {totals['false_removals']:,}",
        f"recall {_show(totals['recall'])}  precision {_show(totals['precision'])}"
        f"  F1 {_show(totals['f1'])}",
        "",
        *_lay_out(_PERTURBATION, tables["by_perturbation"]),
        "",
        *_lay_out(_LANGUAGE, tables["by_language"]),
        "",
        *_lay_out(_RANGE, tables["by_range"]),
        "",
        "Candidates among planted pairs, measured and foretold by the S-curve",
        *_lay_out(_CURVE, tables["s_curve"]["measured"]),
    ]
    return "\n".join(parts)


_RATES = ("pairs", "expected", "found", "below", "left_alone", "recall", "precision", "f1")
_PERTURBATION = ("perturbation", "strength", "median_jaccard", *_RATES)
_LANGUAGE = ("language", "median_jaccard", *_RATES)
_RANGE = ("from", "to", "pairs", "expected", "found", "below", "left_alone", "candidates", "recall")
_CURVE = ("from", "to", "pairs", "candidates", "share", "foretold")
_FOUR = frozenset({"recall", "precision", "f1", "share", "foretold", "median_jaccard"})


def _lay_out(names: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Lines of a table: words to the left, figures to the right."""
    table = [[name.replace("_", " ") for name in names]]
    table += [[_show(row[name], name in _FOUR) for name in names] for row in rows]
    widths = [max(len(line[place]) for line in table) for place in range(len(names))]
    words = names[0] in ("perturbation", "language")
    return [
        "  ".join(
            cell.ljust(width) if words and place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _show(value: Any, four: bool = True) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if four else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
