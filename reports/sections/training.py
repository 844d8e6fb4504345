"""Section 5: what the model learned, in units that hold across vocabularies."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Block, Chart, Charts, Heading, Missing, Section, Table, Text, make_table
from reports.charts import Dumbbell, Line, dumbbell_chart, line_chart
from reports.numbers import LARGEST, change, count, decimal, divide
from reports.sections.common import NARROW, SMALL, WIDE, Row, colour_of, name_language

_TOKENS = "tokens with loss, all stages"


def describe_training(data: Row) -> Section:
    """Bits per character over all stages, losses by stage, before and after."""
    training = data["training"]
    waiting = [Missing("Some stages are not trained yet.", tuple(training["missing"]))]
    blocks: list[Block] = [*(waiting if training["missing"] else [])]
    if training["milestones"]:
        blocks += _describe_bits(data)
        blocks += _describe_categories(data)
    if training["stages"]:
        blocks += _describe_losses(training["stages"])
    return Section("training", "Training", tuple(blocks))


def _list_languages(data: Row) -> list[str]:
    milestones = data["training"]["milestones"]
    present = {name for row in milestones for name in row["bits_per_character"]}
    return [name for name in data["languages"] if name in present]


def _describe_bits(data: Row) -> list[Block]:
    languages = _list_languages(data)
    return [
        Text(
            "A loss cannot be compared between vocabularies, since a token of the extended one "
            "holds more text. Bits per character of held-out text can: the loss over a text in "
            "bits, divided by its characters. Lower is better."
        ),
        Charts((_chart_bits(data, languages),)),
        _table_bits(data, "bits_per_character", "Bits per character", False),
        _table_bits(data, "bits_per_byte", "Bits per byte", True),
    ]


def _chart_bits(data: Row, languages: Sequence[str]) -> Chart:
    stages = data["training"]["stages"]
    lines = [_line(data, language) for language in languages]
    title = "Bits per character of held-out text over all stages"
    about = "; ".join(f"{each.name} ends at {each.note}" for each in lines)
    stretches = [(row["name"], row["first_tokens"], row["last_tokens"]) for row in stages]
    wide, narrow = (
        line_chart(
            lines,
            title=title,
            x_unit=_TOKENS,
            y_unit="bits per character",
            about=about,
            stretches=stretches,
            width=w,
            height=h,
            from_zero=True,
        )
        for w, h in ((WIDE, 400.0), (NARROW, 320.0))
    )
    return Chart(title, wide, narrow)


def _line(data: Row, language: str) -> Line:
    """One point for each evaluation; a stage starts where the one before it ended."""
    points = tuple(
        (evaluation["tokens"], evaluation["bits_per_character"].get(language))
        for stage in data["training"]["stages"]
        for evaluation in stage["evaluations"]
    )
    last = next((y for _, y in reversed(points) if y is not None), None)
    colour = colour_of(language, data["languages"])
    return Line(name_language(language), colour, points, decimal(last, 2), dots=len(points) < 80)


def _table_bits(data: Row, key: str, caption: str, folded: bool) -> Table:
    """Languages as rows, the start and end of every stage as columns."""
    training = data["training"]
    milestones = training["milestones"]
    before, after = milestones[training["before"]], milestones[training["after"]]
    rows: list[list[str]] = []
    for language in _list_languages(data):
        values = [row[key].get(language) for row in milestones]
        whole = divide(after[key].get(language), before[key].get(language))
        change_word = change(None if whole is None else whole - 1)
        rows.append([name_language(language), *(decimal(v) for v in values), change_word])
    columns = ["language", *(f"{row['stage']}, {row['at']}" for row in milestones), "change"]
    span = f"the {before['at']} of {before['stage']} to the {after['at']} of {after['stage']}"
    note = f"Change: from {span}."
    return make_table(caption, columns, rows, note=note, folded=folded)


def _describe_categories(data: Row) -> list[Block]:
    training = data["training"]
    before = training["milestones"][training["before"]]["by_category"]
    after = training["milestones"][training["after"]]["by_category"]
    names = _order_categories(data, {*before, *after})
    if not names:
        return []
    found = dict.fromkeys(name.partition("/")[0] for name in names)
    languages = [name for name in data["languages"] if name in found]
    charts = tuple(_chart_categories(data, names, language) for language in languages)
    return [Heading("By category"), Charts(charts), _table_categories(names, before, after)]


def _chart_categories(data: Row, names: Sequence[str], language: str) -> Chart:
    training = data["training"]
    before, after = (
        training["milestones"][training[key]]["by_category"] for key in ("before", "after")
    )
    own = [name for name in names if name.startswith(f"{language}/")]
    rows = [_dumbbell(data, name, before.get(name), after.get(name)) for name in own[:LARGEST]]
    title = f"{name_language(language)}: bits per character, before and after"
    drawing = dumbbell_chart(
        rows,
        title=title,
        unit="bits per character",
        about="; ".join(f"{row.label} {row.note}" for row in rows),
        names=("before", "after"),
        width=SMALL,
    )
    note = f"The {LARGEST} largest of {len(own)}." if len(own) > LARGEST else ""
    return Chart(title, drawing, note=note)


def _order_categories(data: Row, names: set[str]) -> list[str]:
    """The largest in the corpus first."""
    groups = data["corpus"]["by_group"] or ()
    sizes = {f"{g['language']}/{g['category']}": g["characters"] for g in groups}
    return sorted(names, key=lambda name: (-sizes.get(name, 0), name))


def _dumbbell(data: Row, name: str, before: float | None, after: float | None) -> Dumbbell:
    language, _, category = name.partition("/")
    ratio = divide(after, before)
    note = change(None if ratio is None else ratio - 1)
    colour = colour_of(language, data["languages"])
    return Dumbbell(category, before, after, colour, note)


def _table_categories(names: Sequence[str], before: Row, after: Row) -> Table:
    rows: list[tuple[str, ...]] = []
    for name in names:
        language, _, category = name.partition("/")
        ratio = divide(after.get(name), before.get(name))
        change_word = change(None if ratio is None else ratio - 1)
        values = (decimal(before.get(name)), decimal(after.get(name)))
        rows.append((category, language, *values, change_word))
    columns = ("category", "language", "before", "after", "change")
    caption = f"Bits per character, all {len(names)} categories"
    return make_table(caption, columns, rows, num_labels=2, folded=True)


def _describe_losses(stages: Sequence[Row]) -> list[Block]:
    charts = [chart for stage in stages for chart in _chart_stage(stage)]
    return [
        Heading("Loss and learning rate"),
        Text("Each stage by itself: compare losses only between stages of one vocabulary."),
        Charts(tuple(charts)),
        _table_stages(stages),
    ]


def _chart_stage(stage: Row) -> list[Chart]:
    parts = (
        ("loss", "training loss", "var(--accent)", 260.0),
        ("learning_rate", "learning rate", "var(--ink2)", 180.0),
    )
    charts: list[Chart] = []
    for key, name, colour, height in parts:
        points = tuple((row["iteration"], row[key]) for row in stage["curve"])
        last = next((y for _, y in reversed(points) if y is not None), None)
        if last is None:
            continue
        title = f"{stage['name']}: {name}"
        drawing = line_chart(
            [Line("", colour, points, f"{last:.3g}")],
            title=title,
            x_unit="iteration",
            y_unit="nats per token" if key == "loss" else name,
            about=f"ends at {last:.4g} after {stage['iterations']} iterations",
            width=SMALL,
            height=height,
            from_zero=key != "loss",
        )
        charts.append(Chart(title, drawing))
    return charts


def _table_stages(stages: Sequence[Row]) -> Table:
    rows = [
        (
            stage["name"],
            stage["vocabulary"],
            stage["trainable"],
            count(stage["iterations"]),
            count(stage["last_tokens"] - stage["first_tokens"]),
            decimal(stage["last_loss"]),
            count(stage["not_finite"]),
            decimal(stage["largest_grad_norm"], 2),
        )
        for stage in stages
    ]
    columns = (
        "stage", "vocabulary", "trained weights", "iterations", "tokens with loss", "last loss",
        "losses not finite", "largest gradient norm",
    )  # fmt: skip
    return make_table("Stages", columns, rows, num_labels=3)
