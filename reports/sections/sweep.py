"""A part of section 3: what other sizes of the vocabulary would give and what they would cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from reports.blocks import Block, Chart, Charts, Heading, Text, make_table
from reports.charts import Flag, Line, line_chart
from reports.numbers import count, decimal, finite, short
from reports.sections.common import NARROW, SMALL, Row, name_language

_MONEY = "dollars"


def describe_sweep(tokenizer: Row) -> list[Block]:
    """The curve with its knee and what each size costs, or how to make them."""
    sweep = tokenizer["sweep"]
    if sweep is None:
        words = "Other sizes of the vocabulary were not tried: tongwen tokenizer sweep RECIPE does."
        return [Text(words)] if tokenizer["pieces"] else []
    rows = sorted(sweep["rows"], key=lambda row: row["size"])
    if not rows:
        return []
    return [
        Heading("Size of the vocabulary"),
        Text(_say_sweep(sweep, rows)),
        Charts(
            (_chart(sweep, rows, "tokens_per_character"), _chart(sweep, rows, _choose_cost(rows)))
        ),
        _table_sweep("What each size costs", sweep, rows),
        *_list_shapes(sweep),
    ]


def _say_sweep(sweep: Row, rows: Sequence[Row]) -> str:
    languages = (sweep.get("language") or "").split("+")
    name = ", ".join(map(name_language, languages))
    words = f"Vocabularies of {len(rows)} sizes on the same held-out text ({name})."
    knee = _find(rows, sweep.get("knee"))
    chosen = next((row for row in rows if row.get("chosen")), None)
    if knee is not None:
        words += f" The curve bends most at {count(knee['size'])} pieces."
    if chosen is not None:
        rate = decimal(chosen["tokens_per_character"])
        words += f" This run has {count(chosen['size'])}: {rate} tokens per character."
    if sweep.get("left_out"):
        words += f" {len(sweep['left_out'])} sizes were asked for that the corpus does not support."
    return words


def _find(rows: Sequence[Row], size: int | None) -> Row | None:
    return next((row for row in rows if row["size"] == size), None)


def _choose_cost(rows: Sequence[Row]) -> str:
    return _MONEY if any(finite(row.get(_MONEY)) for row in rows) else "gpu_hours"


_TITLES = {
    "tokens_per_character": "Tokens per character by size of the vocabulary",
    "gpu_hours": "GPU hours by size of the vocabulary",
    _MONEY: "Dollars by size of the vocabulary",
}
_UNITS = {
    "tokens_per_character": "tokens per character",
    "gpu_hours": "GPU hours for the token budget",
    _MONEY: "dollars for the token budget",
}


def _chart(sweep: Row, rows: Sequence[Row], key: str) -> Chart:
    points = tuple((float(row["size"]), finite(row.get(key))) for row in rows)
    colour = "var(--accent)" if key == "tokens_per_character" else "var(--warn)"
    about = "; ".join(f"{count(x)} pieces: {short(y)}" for x, y in points)

    def draw(width: float) -> Markup:
        return line_chart(
            [Line("", colour, points, dots=True)],
            title=_TITLES[key],
            x_unit="pieces",
            y_unit=_UNITS[key],
            about=about,
            flags=_list_flags(sweep, rows, key),
            width=width,
            height=300,
        )

    return Chart(_TITLES[key], draw(SMALL), draw(NARROW))


def _list_flags(sweep: Row, rows: Sequence[Row], key: str) -> list[Flag]:
    """Knee and chosen size; one flag where they are the same."""
    knee, chosen = sweep.get("knee"), [row["size"] for row in rows if row.get("chosen")]
    flags: list[Flag] = []
    for row in rows:
        words = [
            *(["knee"] if row["size"] == knee else []),
            *(["this run"] if row["size"] in chosen else []),
        ]
        value = finite(row.get(key))
        if words and value is not None:
            colour = "var(--keep)" if row["size"] in chosen else "var(--above)"
            flags.append(
                Flag(f"{', '.join(words)}: {count(row['size'])}", row["size"], value, colour)
            )
    return flags


_COLUMNS: tuple[tuple[str, str, Callable[[object], str]], ...] = (
    ("size", "pieces", count),
    ("tokens_per_character", "tokens per character", decimal),
    ("embedding_parameters", "parameters of the embeddings", short),
    ("flops_per_character", "FLOPs per character", short),
    ("gpu_hours", "GPU hours", short),
    (_MONEY, "dollars", short),
)


def _table_sweep(caption: str, marks: Row, rows: Sequence[Row], *, folded: bool = False) -> Block:
    known = [column for column in _COLUMNS if any(row.get(column[0]) is not None for row in rows)]
    cells = [(*(show(row.get(key)) for key, _, show in known), _remark(marks, row)) for row in rows]
    return make_table(
        caption,
        (*(name for _, name, _ in known), ""),
        cells,
        marked=[place for place, row in enumerate(rows) if row.get("chosen")],
        folded=folded,
    )


def _remark(marks: Row, row: Row) -> str:
    words = [
        *(["knee"] if row["size"] == marks.get("knee") else []),
        *(["least cost"] if row["size"] == marks.get("least_cost") else []),
        *(["this run"] if row.get("chosen") else []),
    ]
    return ", ".join(words)


def _list_shapes(sweep: Row) -> list[Block]:
    """The same sizes for models of other shapes than the recipe's."""
    shapes = {
        name: shape for name, shape in (sweep.get("shapes") or {}).items() if name != "recipe"
    }
    return [
        _table_sweep(
            f"What each size costs a model of the shape {name}",
            {**shape, "knee": sweep.get("knee")},
            sorted(shape["rows"], key=lambda row: row["size"]),
            folded=True,
        )
        for name, shape in shapes.items()
    ]
