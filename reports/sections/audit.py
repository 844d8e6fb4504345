"""How well duplicates were found: the S-curve with what was measured on it, and who was missed."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Block, Chart, Charts, Heading, Text, make_table
from reports.charts import Line, line_chart
from reports.charts.lines import Point
from reports.numbers import count, decimal, plain
from reports.sections.common import NARROW, WIDE, Row, name_language, start_sentence

_NAMES = {
    "scattered": "tokens replaced here and there",
    "block": "a stretch replaced",
    "truncation": "end cut off",
    "concatenation": "other text appended",
    "reordering": "sentences in another order",
    "script": "simplified ↔ traditional",
    "boilerplate": "header and footer added",
    "case": "case",
    "width": "full-width letters",
    "punctuation": "punctuation and space",
}
_ENOUGH = 20
_COUNTS = ("pairs", "expected", "found")
_RATES = ("recall", "precision", "f1")
_COLUMNS = (
    "copies", "to be found", "found", "different enough", "left alone", "recall", "precision", "F1",
)  # fmt: skip


def describe_audit(audit: Row | None) -> list[Block]:
    """Curve and tables; nothing where duplicates were not audited."""
    if audit is None:
        return []
    return [
        Heading("How well duplicates are found"),
        Text(_summarize(audit)),
        Charts((_draw_curve(audit),)),
        _table_kinds(audit),
        _table_strengths(audit),
        _table_languages(audit),
        _table_ranges(audit),
    ]


def _summarize(audit: Row) -> str:
    totals, threshold = audit["totals"], plain(audit["parameters"]["threshold"])
    return (
        f"{count(totals['copies'])} edited copies were planted among {count(totals['documents'])} "
        f"documents of this corpus, and what the search removed was held against the exact "
        f"similarity of all pairs. At {threshold} or above are {count(totals['expected'])} pairs; "
        f"of {count(totals['missed'])} of them both documents were kept (recall "
        f"{decimal(totals['recall'], 4)}). Removed were {count(totals['removed'])} documents, "
        f"{count(totals['false_removals'])} of them for one below {threshold} (precision "
        f"{decimal(totals['precision'], 4)})."
    )


def _draw_curve(audit: Row) -> Chart:
    parameters = audit["parameters"]
    bands, rows = plain(parameters["bands"]), plain(parameters["rows"])
    lines = [
        Line("S-curve", "var(--base)", _trace(audit)),
        Line("candidates", "var(--accent)", _dots(_measured(audit)), dots=True),
        Line("found", "var(--above)", _dots(_recall(audit)), dots=True),
    ]
    title = "Share of pairs found by similarity"
    about = (
        f"curve foretold by {bands} bands of {rows} rows, dots measured on planted copies; "
        f"threshold {plain(parameters['threshold'])}"
    )
    stretches = [
        ("different", 0.0, parameters["threshold"]),
        ("alike", parameters["threshold"], 1.0),
    ]
    wide, narrow = (
        line_chart(
            [line for line in lines if line.points],
            title=title,
            x_unit="exact Jaccard similarity",
            y_unit="share of the pairs",
            about=about,
            stretches=stretches,
            from_zero=True,
            width=width,
            height=height,
        )
        for width, height in ((WIDE, 380.0), (NARROW, 300.0))
    )
    note = (
        f"S-curve: probability to become a candidate, foretold by {bands} bands of {rows} rows. "
        "Candidates: measured on planted copies; each is then compared exactly."
    )
    return Chart(title, wide, narrow, note)


def _trace(audit: Row) -> tuple[Point, ...]:
    return tuple((x, y) for x, y in audit["s_curve"]["theory"])


def _measured(audit: Row) -> list[tuple[float, float]]:
    """Steps with pairs enough that their share is no accident."""
    rows = audit["s_curve"]["measured"]
    return [(row["similarity"], row["share"]) for row in rows if row["pairs"] >= _ENOUGH]


def _recall(audit: Row) -> list[tuple[float, float]]:
    """Ranges at the threshold or above, by their middle."""
    rows = [row for row in audit["by_range"] if row["recall"] is not None]
    return [(round((row["from"] + row["to"]) / 2, 4), row["recall"]) for row in rows]


def _dots(points: Sequence[tuple[float, float]]) -> tuple[Point, ...]:
    """Points that no line joins: after each stands one without a value."""
    return tuple(each for x, y in points for each in ((x, y), (x, None)))


def _cells(row: Row) -> tuple[str, ...]:
    counts = tuple(count(row[name]) for name in (*_COUNTS, "below", "left_alone"))
    return (*counts, *(decimal(row[name], 4) for name in _RATES))


def _name(perturbation: str) -> str:
    return _NAMES.get(perturbation, perturbation)


def _table_kinds(audit: Row) -> Block:
    rows = [
        (
            _name(row["perturbation"]),
            _span(row["jaccard_low"], row["jaccard_high"]),
            *_cells(row),
        )
        for row in audit["by_kind"]
    ]
    note = (
        "Similarity: medians from the weakest to the strongest edit. To be found: copies at the "
        "threshold or above. Simplified and traditional characters are different characters to "
        "the search."
    )
    return make_table("By perturbation", ("", "similarity", *_COLUMNS), rows, note=note)


def _span(low: float | None, high: float | None) -> str:
    one, other = decimal(low), decimal(high)
    return one if one == other else f"{one} – {other}"


def _table_strengths(audit: Row) -> Block:
    rows = [
        (
            _name(row["perturbation"]),
            plain(row["strength"]),
            decimal(row["median_jaccard"]),
            *_cells(row),
        )
        for row in audit["by_perturbation"]
    ]
    columns = ("", "strength", "median similarity", *_COLUMNS)
    note = "Strength: share of the text that is changed, cut or added; of boilerplate, lines."
    return make_table("By perturbation and strength", columns, rows, note=note, folded=True)


def _table_languages(audit: Row) -> Block:
    rows = [
        (
            start_sentence(name_language(row["language"])),
            decimal(row["median_jaccard"]),
            *_cells(row),
        )
        for row in audit["by_language"]
    ]
    columns = ("", "median similarity", *_COLUMNS)
    return make_table("By language", columns, rows, folded=True)


def _table_ranges(audit: Row) -> Block:
    rows = [
        (
            f"{row['from']:.2f} – {row['to']:.2f}",
            *(count(row[name]) for name in ("pairs", "candidates")),
            *(count(row[name]) for name in ("expected", "found", "below", "left_alone")),
            decimal(row["recall"], 4),
        )
        for row in audit["by_range"]
    ]
    columns = (
        "similarity", "pairs", "candidates", "to be found", "found", "different enough",
        "left alone", "recall",
    )  # fmt: skip
    note = "All pairs of the audited texts, planted or not."
    return make_table("By similarity", columns, rows, note=note, folded=True)
