"""Classes of characters, scripts and every kind of duplicate are shown as they were counted."""

from __future__ import annotations

import copy
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reports.blocks import Charts, Table
from reports.collect import collect
from reports.numbers import share
from reports.read.characters import CLASSES
from reports.sections.characters import describe_characters
from reports.sections.corpus import describe_corpus, list_flow
from tongwen import Recipe, RunFolder

Row = dict[str, Any]
BuildRun = Callable[..., tuple[Recipe, RunFolder]]


@pytest.fixture(scope="module")
def data(finished: tuple[Recipe, RunFolder]) -> Row:
    return collect(*finished)


def _read(run: RunFolder, name: str) -> list[Row]:
    return pq.read_table(run.path("corpus/statistics") / name).to_pylist()


def test_languages_are_sums_over_their_categories(
    finished: tuple[Recipe, RunFolder], data: Row
) -> None:
    rows = _read(finished[1], "characters.parquet")
    found = data["corpus"]["characters"]
    assert {row["language"] for row in found["by_language"]} == {"zh", "en"}
    for line in found["by_language"]:
        mine = [row for row in rows if row["language"] == line["language"]]
        for name in ("documents", "characters", *CLASSES, "simplified", "traditional"):
            assert line[name] == sum(row[name] for row in mine)

    def key(row: Row) -> list[str]:
        return [row["language"], row["category"]]

    assert sorted(found["by_group"], key=key) == sorted(rows, key=key)


def test_every_language_has_its_drawing_and_chinese_one_of_scripts(data: Row) -> None:
    blocks = describe_characters(data)
    (charts,) = (block for block in blocks if isinstance(block, Charts))
    titles = [chart.title for chart in charts.charts]
    assert [title.split(":")[0] for title in titles[:-1]] == ["Chinese", "English"]
    assert titles[-1].startswith("Script of Chinese text")
    zh = next(row for row in data["corpus"]["characters"]["by_language"] if row["han"])
    assert share(zh["han"] / zh["characters"]) in str(charts.charts[0].wide)


def test_the_table_holds_every_category(data: Row) -> None:
    (table,) = (block for block in describe_characters(data) if isinstance(block, Table))
    groups = data["corpus"]["characters"]["by_group"]
    assert [row[:2] for row in table.rows] == [(g["category"], g["language"]) for g in groups]
    for row, group in zip(table.rows, groups, strict=True):
        assert row[2] == share(group["han"] / group["characters"])
        assert row[-1] == (share(group["traditional"] / group["han"]) if group["han"] else "-")


def test_the_most_traditional_come_first(data: Row) -> None:
    changed = copy.deepcopy(data)
    groups = [row for row in changed["corpus"]["characters"]["by_group"] if row["han"]]
    groups[-1].update(traditional=groups[-1]["han"] // 4, simplified=0)
    (charts,) = (b for b in describe_characters(changed) if isinstance(b, Charts))
    named = re.search(r"the first is ([^<]*)</desc>", str(charts.charts[-1].wide))
    assert named and html.unescape(named[1]) == groups[-1]["category"]
    assert "100.0 %" in str(charts.charts[-1].wide)


def test_every_kind_of_duplicate_is_in_the_flow(
    finished: tuple[Recipe, RunFolder], data: Row
) -> None:
    rows = _read(finished[1], "statistics.parquet")
    parts = {label: lines for label, lines, _ in list_flow(data["corpus"]["flow"])}
    kinds = ("exact", "normalized", "near", "known")
    for kind in kinds:
        expected = sum(row[f"{kind}_duplicates"] for row in rows)
        assert parts[f"{kind} duplicates"] == expected > 0
    named = sum(parts[f"{kind} duplicates"] for kind in kinds)
    lost = sum(row["documents"] - row["kept_documents"] for row in rows)
    assert parts["other duplicates"] == lost - named > 0
    assert sum(parts.values()) == data["corpus"]["flow"]["lines_read"]


def test_kinds_that_do_not_occur_are_not_columns(tmp_path: Path, build_run: BuildRun) -> None:
    recipe, run = build_run(tmp_path, iterations=5, scale=5)
    path = run.path("corpus/statistics") / "statistics.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("known_duplicates")
    zeros = pq.read_table(path)["known_duplicates"].to_numpy() * 0
    pq.write_table(table.set_column(place, "known_duplicates", [zeros]), path)
    section = describe_corpus(collect(recipe, run))
    columns = {name for b in section.blocks if isinstance(b, Table) for name in b.columns}
    assert "known duplicates" not in columns
    assert {"exact duplicates", "near duplicates"} <= columns


def test_english_alone_has_no_scripts(tmp_path: Path, build_run: BuildRun) -> None:
    data = collect(*build_run(tmp_path, zh=(), iterations=5, scale=5))
    (charts,) = (block for block in describe_characters(data) if isinstance(block, Charts))
    assert [chart.title.split(":")[0] for chart in charts.charts] == ["English"]
