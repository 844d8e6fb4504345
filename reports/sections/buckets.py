"""Section 4: whether every bucket holds its share of every category."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Block, Chart, Charts, Heading, Missing, Section, Table, make_table
from reports.charts import Stack, heat_map, stack_chart
from reports.numbers import count, decimal, divide, fold, share
from reports.sections.common import NARROW, SMALL, Row, colour_of, name_group, name_others

_BINS, _COLUMNS = 16, 40
_SHADES = (100, 72, 86, 58)


def describe_buckets(data: Row) -> Section:
    """For each stage the mixture, the shares of the bins, their deviation and the fill."""
    buckets = data["buckets"]
    waiting = [Missing("Some stages have no buckets yet.", tuple(buckets["missing"]))]
    blocks: list[Block] = [*(waiting if buckets["missing"] else [])]
    if buckets["stages"]:
        blocks.append(_table_stages(buckets["stages"]))
    for stage in buckets["stages"]:
        blocks += _describe_stage(data, stage)
    return Section("buckets", "Buckets", tuple(blocks))


def _table_stages(stages: Sequence[Row]) -> Table:
    rows = [
        (
            stage["name"],
            stage["vocabulary"],
            count(len(stage["buckets"])),
            count(len(stage["bins"])),
            count(stage["tokens"]),
            share(stage["largest_deviation"], 2),
            share(stage["mean_deviation"], 2),
            share(stage["mean_fill"], 2),
        )
        for stage in stages
    ]
    columns = (
        "stage", "vocabulary", "buckets", "bins in each", "tokens", "largest deviation",
        "mean deviation", "filled",
    )  # fmt: skip
    return make_table(
        "Buckets of each stage",
        columns,
        rows,
        num_labels=2,
        note="Deviation: a bin's share of its bucket less the share it should have. "
        "Filled: tokens that are not padding.",
    )


def _describe_stage(data: Row, stage: Row) -> list[Block]:
    return [
        Heading(f"Stage {stage['name']}"),
        Charts((_chart_shares(data, stage), _chart_deviations(stage))),
        _table_mixture(stage),
        _table_bins(stage),
        _table_fill(stage),
    ]


def group_columns(num_buckets: int, limit: int = _COLUMNS) -> list[range]:
    """Neighbouring buckets put together so that at most `limit` columns are drawn."""
    step = max(1, -(-num_buckets // limit))
    return [range(i, min(i + step, num_buckets)) for i in range(0, num_buckets, step)]


def _name_columns(stage: Row, groups: Sequence[range]) -> list[str]:
    names = stage["buckets"]
    return [
        str(names[group[0]]) if len(group) == 1 else f"{names[group[0]]}–{names[group[-1]]}"
        for group in groups
    ]


def _fold_bins(data: Row, stage: Row) -> list[Row]:
    """The largest bins of each language and one row for its others, language by language."""
    found = {row["language"] for row in stage["bins"]}
    languages = [name for name in data["languages"] if name in found]
    rows: list[Row] = []
    for language in languages:
        own = [row for row in stage["bins"] if row["language"] == language]
        rows += fold(own, "total", _join_bins, max(3, _BINS // len(languages)))
    return rows


def _join_bins(rest: Sequence[Row]) -> Row:
    columns = zip(*(row["tokens"] for row in rest), strict=True)
    return {
        "category": name_others(len(rest)),
        "language": rest[0]["language"],
        "total": sum(row["total"] for row in rest),
        "tokens": [sum(column) for column in columns],
        "others": True,
    }


def _chart_shares(data: Row, stage: Row) -> Chart:
    groups = group_columns(len(stage["buckets"]))
    rows = _fold_bins(data, stage)
    stacks = [
        Stack(
            name_group(row),
            _shade(data, row, index),
            tuple(float(sum(row["tokens"][i] for i in group)) for group in groups),
        )
        for index, row in enumerate(rows)
    ]
    title = f"{stage['name']}: share of every bin in each bucket"
    about = f"{len(stage['bins'])} bins in {len(stage['buckets'])} buckets"
    columns = _name_columns(stage, groups)
    wide, narrow = (
        stack_chart(stacks, columns, title=title, x_unit="bucket", about=about, width=w, height=380)
        for w in (SMALL, NARROW)
    )
    return Chart(title, wide, narrow)


def _shade(data: Row, row: Row, index: int) -> str:
    """The colour of the language, lighter and darker in turn so that neighbours differ."""
    percent = 30 if row.get("others") else _SHADES[index % len(_SHADES)]
    colour = colour_of(row["language"], data["languages"])
    return f"color-mix(in srgb, {colour} {percent}%, var(--paper))"


def _chart_deviations(stage: Row) -> Chart:
    groups = group_columns(len(stage["buckets"]))
    worst = sorted(stage["bins"], key=lambda row: -_farthest(row["deviations"]))[:_BINS]
    rows = [
        (name_group(row), [_extreme([row["deviations"][i] for i in group]) for group in groups])
        for row in worst
    ]
    title = f"{stage['name']}: deviation from the target"
    about = f"largest {share(stage['largest_deviation'], 2)}"
    wide, narrow = (
        heat_map(
            rows,
            _name_columns(stage, groups),
            title=title,
            x_unit="bucket",
            about=about,
            limit=max(stage["largest_deviation"] or 0.0, 0.0001),
            width=w,
        )
        for w in (SMALL, NARROW)
    )
    note = f"The {len(rows)} bins that deviate most of {len(stage['bins'])}."
    return Chart(title, wide, narrow, note if len(stage["bins"]) > len(rows) else "")


def _extreme(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return max(present, key=abs) if present else None


def _farthest(values: Sequence[float | None]) -> float:
    return abs(_extreme(values) or 0.0)


def _table_mixture(stage: Row) -> Table:
    rows = [
        (
            _say_part(part),
            share(part["share"]),
            count(part["asked_tokens"]),
            count(part["available_tokens"]),
            count(part["used_tokens"]),
            decimal(part["epochs"], 2),
        )
        for part in stage["mixture"]
    ]
    columns = ("taken from", "share", "asked", "available", "used", "epochs")
    return make_table(
        f"Mixture of {stage['name']}", columns, rows, note="Asked, available and used in tokens."
    )


def _say_part(part: Row) -> str:
    words: list[str] = []
    for name in ("languages", "categories", "kinds"):
        value = part[name]
        listed = value if isinstance(value, str) else ", ".join(value or ())
        words += [listed] if listed else []
    return "; ".join(words) or "everything"


def _table_bins(stage: Row) -> Table:
    rows = [
        (
            row["category"],
            row["language"],
            count(row["total"]),
            share(divide(row["total"], stage["tokens"]), 2),
            count(row["target"]),
            share(_farthest(row["deviations"]), 2),
        )
        for row in stage["bins"]
    ]
    columns = ("category", "language", "tokens", "share", "target", "largest deviation")
    caption = f"{stage['name']}: all {len(rows)} bins"
    return make_table(caption, columns, rows, num_labels=2, folded=True)


def _table_fill(stage: Row) -> Table:
    rows = [
        (
            str(row["bucket"]),
            count(row["sequences"]),
            count(row["tokens"]),
            count(row["runs"]),
            count(row["continued"]),
            share(row["fill"], 2),
        )
        for row in stage["fill"]
    ]
    columns = ("bucket", "sequences", "tokens", "runs", "continued documents", "filled")
    caption = f"{stage['name']}: fill of every bucket"
    note = "A run is a stretch of one document in a sequence."
    return make_table(caption, columns, rows, folded=True, note=note)
