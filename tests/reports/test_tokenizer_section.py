"""The tokenizer's part of the page: figures of the planted files, every piece to be searched."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reports import build_report, collect, make_sections
from reports.blocks import Findings, Missing, Table
from reports.page import render_html, write_shade
from reports.read.compression import find_name
from tests.reports.vocabulary import make_lint, make_start, make_sweep, write_json
from tongwen import Recipe, RunFolder, TongwenError

EVIL = "<script>alert('x')</script>&\"| `*_ [a](http://evil)"
Run = tuple[Recipe, RunFolder]
BuildRun = Callable[..., Run]
Row = dict[str, Any]
MACHINE: Row = {
    "outputs": {}, "seconds": 1.0, "peak_memory_bytes": 1, "tokens_per_second": {},
    "versions": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(finished: Run) -> Row:
    return collect(*finished)["tokenizer"]


def _list_tables(finished: Run) -> dict[str, Table]:
    sections = make_sections(collect(*finished), MACHINE)
    blocks = next(section.blocks for section in sections if section.name == "tokenizer")
    return {block.caption: block for block in blocks if isinstance(block, Table)}


def _find(tables: dict[str, Table], words: str) -> Table:
    return next(table for caption, table in tables.items() if words in caption)


def _read(run: RunFolder, name: str) -> list[Row]:
    return pq.read_table(run.root / name).to_pylist()


def test_rates_are_those_of_the_file(finished: Run, tokenizer: Row) -> None:
    rows = _read(finished[1], "tokenizer/comparison/comparison.parquet")
    for row in tokenizer["tokenizers"]:
        for language, rates in row["languages"].items():
            mine = [r for r in rows if (r["tokenizer"], r["language"]) == (row["name"], language)]
            sums = {key: sum(r[key] for r in mine) for key in mine[0] if key.endswith("s")}
            assert math.isclose(rates["rate"], sums["tokens"] / sums["characters"])
            assert math.isclose(rates["characters_per_token"] * rates["rate"], 1)
            assert math.isclose(rates["bytes_per_token"], sums["bytes"] / sums["tokens"])
            assert math.isclose(rates["fallback_share"], sums["fallback_tokens"] / sums["tokens"])
            assert math.isclose(rates["fertility"], sums["tokens"] / sums["words"])
            of_source = [
                sum(r["tokens"] for r in mine if r["source"] == source)
                / sum(r["characters"] for r in mine if r["source"] == source)
                for source in ("one", "two")
            ]
            assert math.isclose(rates["mean_of_sources"], sum(of_source) / 2)
            assert rates["interval"] == ([0.5, 0.75] if language == "zh" else None)


def test_a_category_with_several_sources_is_summed(finished: Run, tokenizer: Row) -> None:
    rows = _read(finished[1], "tokenizer/comparison/comparison.parquet")
    for group in tokenizer["by_group"]:
        key = group["language"], group["category"]
        mine = [r for r in rows if (r["language"], r["category"]) == key]
        for name, rate in group["rates"].items():
            own = [r for r in mine if r["tokenizer"] == name]
            tokens, characters = (sum(r[k] for r in own) for k in ("tokens", "characters"))
            assert len(own) == 2 and math.isclose(rate, tokens / characters)
            assert group["characters"] == characters


def test_colossal_is_its_published_ratio_times_chinese_llama_2(
    finished: Run, tokenizer: Row
) -> None:
    rows = {row["name"]: row for row in tokenizer["published"]}
    here = next(r for r in tokenizer["tokenizers"] if r["name"] == "Chinese-LLaMA-2")
    rate = here["languages"]["zh"]["rate"]
    colossal = rows["Colossal-LLaMA-2"]
    assert round(colossal["to_reference"], 4) == 0.9865 and colossal["derived"]
    assert math.isclose(colossal["measured"], 0.659 / 0.668 * rate)
    assert rows["Chinese-LLaMA-2"]["measured_to_reference"] == 1
    assert math.isclose(rows["Qwen"]["measured"], _rate(tokenizer, "Qwen-7B"))
    assert rows["Baichuan2"]["measured"] is None and not rows["Baichuan2"]["derived"]
    table = _find(_list_tables(finished), "published with Colossal")
    assert table.rows[-1][0] == "extended (this run)" and table.marked == {len(table.rows) - 1}
    assert "0.9865 × Chinese-LLaMA-2" in table.note


def _rate(tokenizer: Row, name: str) -> float:
    row = next(row for row in tokenizer["tokenizers"] if row["name"] == name)
    return row["languages"]["zh"]["rate"]


@pytest.mark.parametrize(
    ("names", "published", "found"),
    [
        (["Qwen2", "Qwen-7B"], "Qwen", "Qwen-7B"),
        (["Qwen2"], "Qwen", None),
        (["Baichuan2", "baichuan_7b"], "Baichuan", "baichuan_7b"),
        (["x", "chinese llama 2 (55,296)"], "Chinese-LLaMA-2", "chinese llama 2 (55,296)"),
        (["Chinese-LLaMA-2-55296"], "LLaMA-2", None),
        (["Chinese-LLaMA-21"], "Chinese-LLaMA-2", None),
    ],
)
def test_a_published_name_is_found_however_it_is_spelt(
    names: list[str], published: str, found: str | None
) -> None:
    assert find_name(names, published) == found


def test_our_row_is_marked_and_cells_are_shaded_by_the_reference(finished: Run) -> None:
    tables = _list_tables(finished)
    table = _find(tables, "Chinese: ")
    assert [table.rows[place][0] for place in table.marked] == ["extended"]
    shaded = _find(tables, "Chinese: tokens per character by category")
    names = shaded.columns[2:-1]
    assert names[0] == "extended" and not shaded.folded
    for shades in shaded.shades:
        by_name = dict(zip(names, shades[2:-1], strict=True))
        assert (by_name["extended"] or 0) < 0 == by_name["Chinese-LLaMA-2"]
        assert by_name["base"] == 1
    assert _find(tables, "English: tokens per character by category").folded


def test_a_shade_leaves_words_readable() -> None:
    assert write_shade(-1) == "background:color-mix(in srgb,var(--accent) 45%,transparent)"
    assert write_shade(0.5) == "background:color-mix(in srgb,var(--above) 22%,transparent)"


def test_new_pieces_are_counted_by_kind_and_length(finished: Run, tokenizer: Row) -> None:
    rows = _read(finished[1], "tokenizer/vocabulary/pieces.parquet")
    pieces = tokenizer["pieces"]
    assert pieces["added"] == len(rows) == sum(pieces["by_kind"].values())
    assert pieces["by_length"] == {
        str(n) if isinstance(next(iter(pieces["by_length"])), str) else n: sum(
            row["characters"] == n for row in rows
        )
        for n in sorted({row["characters"] for row in rows})
    }
    assert pieces["unused"] == sum(row["uses"] == 0 for row in rows)
    assert pieces["frequent"][0]["piece"] == "我们"


def test_left_out_pieces_are_counted_by_rule(finished: Run, tokenizer: Row) -> None:
    rules = {rule["rule"]: rule for rule in tokenizer["left_out"]["rules"]}
    assert tokenizer["left_out"]["pieces"] == 43
    assert rules["shape:phone"]["pieces"] == 40
    assert rules["shape:phone"]["count"] == sum(500 - n for n in range(40))
    assert [e["count"] for e in rules["shape:phone"]["examples"]] == list(range(500, 488, -1))
    assert rules["unpaying"]["examples"] == [] and rules[EVIL]["reason"] == EVIL
    table = _find(_list_tables(finished), "not added")
    assert table.rows[0][:3] == ("shape:phone", "looks like a telephone number", "40")


def test_the_sweep_marks_knee_cheapest_and_chosen(finished: Run) -> None:
    table = _find(_list_tables(finished), "What each size costs")
    sweep = make_sweep()
    assert [row[0] for row in table.rows] == [f"{row['size']:,}" for row in sweep["rows"]]
    marks = {row[0]: row[-1] for row in table.rows if row[-1]}
    assert marks == {"55,296": "knee", "69,104": "this run", "80,000": "least cost"}
    assert [table.rows[place][0] for place in table.marked] == ["69,104"]
    page = render_html("x", make_sections(collect(*finished), MACHINE))
    for words in ("knee: 55,296", "this run: 69,104", "Dollars by size of the vocabulary"):
        assert words in page


def test_lint_shows_the_worst_first(finished: Run) -> None:
    sections = make_sections(collect(*finished), MACHINE)
    blocks = next(section.blocks for section in sections if section.name == "tokenizer")
    (found,) = [block for block in blocks if isinstance(block, Findings)]
    assert [each.severity for each in found.findings] == ["error", "warning", "note", "ok"]
    assert found.findings[0].count == "657" and "意大利" in found.findings[0].examples
    page = render_html("x", sections)
    assert "3 of 787 lines" in page and "3 of 787 lines" in json.dumps(_texts(blocks))
    assert "a base model" in page


def _texts(blocks: Any) -> list[str]:
    return [block.words for block in blocks if block.kind == "text"]


def test_starts_are_ordered_by_bits_within_a_language(tmp_path: Path, build_run: BuildRun) -> None:
    recipe, run = build_run(tmp_path, iterations=5, scale=5)
    write_json(run.root / "tokenizer/comparison/start.json", make_start())
    assert collect(recipe, run)["tokenizer"]["start"] is None  # not an output that has it
    write_json(run.root / "tokenizer/sweep/sweep.json", {"rows": []})
    target = run.root / "tokenizer/lint"
    target.rename(run.root / "tokenizer/start")
    write_json(run.root / "tokenizer/start/start.json", make_start())
    table = _find(_list_tables((recipe, run)), "Before the first step")
    chinese = [row[1] for row in table.rows if row[0] == "Chinese"]
    assert chinese == ["base", "weighted", "mean", "mean/gaussian"]
    best = {table.rows[place][:2] for place in table.marked}
    assert best == {("Chinese", "weighted"), ("English", "mean")}


@pytest.mark.parametrize("form", ["html", "md"])
def test_a_run_of_old_says_how_to_make_what_it_lacks(
    form: str, tmp_path: Path, build_run: BuildRun
) -> None:
    recipe, run = build_run(tmp_path, old=True, iterations=5, scale=5)
    build_report(recipe, run, tmp_path)
    text = (tmp_path / f"report.{form}").read_text(encoding="utf-8").replace("\\", "")
    assert "tongwen tokenizer sweep RECIPE" in text and "tongwen tokenizer lint" in text
    assert "Left out" not in text and "tokens that are bytes" not in text
    data = collect(recipe, run)["tokenizer"]
    assert data["pieces"]["search"]["by"] == "count" and data["pieces"]["unused"] is None
    rates = data["tokenizers"][0]["languages"]["zh"]
    assert rates["fertility"] is rates["fallback_share"] is rates["mean_of_sources"] is None


def test_nothing_is_missing_twice_before_there_is_a_vocabulary(
    tmp_path: Path, build_run: BuildRun
) -> None:
    outputs = ("vocabulary", "comparison", "sweep", "lint")
    without = [f"tokenizer/{name}" for name in outputs]
    recipe, run = build_run(tmp_path, without=without, iterations=5, scale=5)
    sections = make_sections(collect(recipe, run), MACHINE)
    blocks = next(section.blocks for section in sections if section.name == "tokenizer")
    assert [block.outputs for block in blocks if isinstance(block, Missing)] == [
        ("tokenizer/vocabulary", "tokenizer/comparison")
    ]


@pytest.mark.parametrize(
    ("file", "spoilt", "words"),
    [
        ("sweep/sweep.json", "{", "sweep.json"),
        ("sweep/sweep.json", "[]", "it has no rows"),
        ("lint/lint.json", '{"rows": 1}', "it has no findings"),
        ("vocabulary/left_out.parquet", "x", "left_out.parquet"),
    ],
)
def test_a_spoilt_file_is_named(
    file: str, spoilt: str, words: str, tmp_path: Path, build_run: BuildRun
) -> None:
    recipe, run = build_run(tmp_path, iterations=5, scale=5)
    (run.root / "tokenizer" / file).write_text(spoilt)
    with pytest.raises(TongwenError, match=re.escape(words)):
        collect(recipe, run)


def test_markdown_has_the_findings_and_the_rates(finished: Run, tmp_path: Path) -> None:
    build_report(*finished, tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    lint = make_lint(EVIL)
    assert f"| error | Title of {lint['findings'][1]['rule']} | 657 |" in text
    assert "can be searched in report.html" in text.replace("\\", "")
    assert "| 69,104 |" in text
