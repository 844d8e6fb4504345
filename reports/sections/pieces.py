"""A part of section 3: the pieces that were added, to be searched, and those left out."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Block, Chart, Charts, Heading, Search, Text, Words, make_table
from reports.charts import Bar, Slice, bar_chart, column_chart
from reports.numbers import count, divide, share
from reports.page import show_piece
from reports.sections.common import SMALL, Row

_NUMBERS = {"uses": "times a token", "count": "occurrences"}


def describe_pieces(tokenizer: Row) -> list[Block]:
    """How many of which length and kind, a search over all of them, and examples."""
    pieces = tokenizer["pieces"]
    if not pieces:
        return []
    lists = (("Most frequent", "frequent"), ("Longest", "longest"))
    return [
        Heading("New pieces"),
        Text(_say_pieces(pieces)),
        Charts((_chart_lengths(pieces), _chart_kinds(pieces))),
        make_table(
            "New pieces by length",
            ("characters", "pieces", "share"),
            [
                (str(length), count(number), share(divide(number, pieces["added"])))
                for length, number in pieces["by_length"].items()
            ],
            folded=True,
        ),
        _search(pieces),
        *(Words(name, tuple(row["piece"] for row in pieces[key])) for name, key in lists),
    ]


def _say_pieces(pieces: Row) -> str:
    kinds = ", ".join(f"{count(number)} {kind}" for kind, number in pieces["by_kind"].items())
    dead = pieces["unreachable"]
    reached = f"{count(dead)} of them can never be produced" if dead else "All can be produced"
    words = f"{count(pieces['added'])} pieces were added: {kinds}. {reached}; "
    if pieces["unused"] is None:
        return words + f"{count(pieces['absent'])} do not occur in the text they were learned from."
    return words + (
        f"{count(pieces['unused'])} are never a token of the text they were learned from."
    )


def _chart_lengths(pieces: Row) -> Chart:
    title = f"{count(pieces['added'])} new pieces by length"
    drawing = column_chart(
        [(str(length), number) for length, number in pieces["by_length"].items()],
        title=title,
        x_unit="characters of a piece",
        y_unit="pieces",
        about=", ".join(f"{n} characters: {c}" for n, c in pieces["by_length"].items()),
        width=SMALL,
    )
    return Chart(title, drawing)


def _chart_kinds(pieces: Row) -> Chart:
    bars = [
        Bar(
            kind or "(none)",
            (Slice(number, "var(--accent)"),),
            f"{count(number)} · {share(divide(number, pieces['added']))}",
        )
        for kind, number in sorted(pieces["by_kind"].items(), key=lambda item: -item[1])
    ]
    title = "New pieces by how they came in"
    about = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
    return Chart(title, bar_chart(bars, title=title, unit="pieces", about=about, width=SMALL))


def _search(pieces: Row) -> Search:
    search = pieces["search"]
    shown, all_shown = search["shown"], search["shown"] == pieces["added"]
    columns = (search["pieces"], search["ids"], search["numbers"], search["places"])
    return Search(
        "pieces",
        "Search the new pieces" if all_shown else f"Search the {count(shown)} most frequent",
        _NUMBERS[search["by"]],
        tuple(search["kinds"]),
        columns,
        shown,
    )


def describe_left_out(tokenizer: Row) -> list[Block]:
    """What was not made a piece, by rule, with examples."""
    left_out = tokenizer["left_out"]
    if left_out is None or not left_out["rules"]:
        return []
    rows = [
        (
            rule["rule"] or "(no rule)",
            rule["reason"],
            count(rule["pieces"]),
            count(rule["count"]),
        )
        for rule in left_out["rules"]
    ]
    return [
        Heading("Left out"),
        make_table(
            f"{count(left_out['pieces'])} pieces that were not added, by the rule that says why",
            ("rule", "why", "pieces", "occurrences"),
            rows,
            num_labels=2,
        ),
        *_list_examples(left_out["rules"]),
    ]


def _list_examples(rules: Sequence[Row]) -> list[Block]:
    return [
        Words(
            f"{rule['rule']}, the most frequent",
            tuple(
                f"{show_piece(row['piece'])}\u00a0×\u00a0{count(row['count'])}"
                for row in rule["examples"]
            ),
        )
        for rule in rules
        if rule["examples"]
    ]
