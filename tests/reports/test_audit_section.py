"""The audit on the page: its figures are those of the file, its dots lie where they were measured,
and a run without it is no poorer; differences are marked where they are."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reports import build_report
from reports.blocks import Charts, Table
from reports.collect import collect
from reports.numbers import decimal
from reports.read.audit import read_audit
from reports.sections.audit import describe_audit
from reports.sections.differences import CUT, mark_differences
from tests.reports.scripts import drop_own_scripts
from tongwen import Recipe, RunFolder, TongwenError
from tongwen.record import produce

Row = dict[str, Any]
BuildRun = Callable[..., tuple[Recipe, RunFolder]]
EVIL = "<script>alert('x')</script>&"


def make_row(name: str, strength: float, expected: int, found: int, below: int) -> Row:
    return {
        "perturbation": name, "strength": strength, "median_jaccard": 0.95 - strength,
        "pairs": expected + below, "expected": expected, "found": found,
        "missed": expected - found, "below": below, "left_alone": below, "removed": found,
        "false_removals": 0, "recall": found / expected if expected else None,
        "precision": 1.0 if found else None, "f1": None,
    }  # fmt: skip


def make_tables() -> Row:
    rows = [
        make_row("scattered", 0.01, 50, 49, 0),
        make_row("scattered", 0.05, 0, 0, 50),
        make_row("script", 1.0, 0, 0, 30),
        make_row(EVIL, 0.5, 10, 10, 2),
    ]
    language = {**make_row("", 0.1, 60, 59, 82), "language": "zh"}
    measured = [(0.4, 1.0, 1), (0.75, 0.88, 40), (0.83, 0.97, 40), (0.97, 1.0, 40)]
    return {
        "parameters": {"threshold": 0.8, "bands": 16, "rows": 8, "num_perm": 128, "floor": 0.3},
        "totals": {
            "documents": 150, "copies": 142, "expected": 61, "found": 60, "missed": 1,
            "removed": 59, "false_removals": 0, "recall": 60 / 61, "precision": 1.0, "f1": 0.99,
        },
        "by_perturbation": rows,
        "by_language": [language],
        "by_range": [
            {
                "from": low, "to": high, "pairs": 30, "expected": 30 * (low >= 0.8),
                "found": 29 * (low >= 0.8), "missed": 0, "below": 30 * (low < 0.8),
                "left_alone": 30 * (low < 0.8), "candidates": 20,
                "recall": 29 / 30 if low >= 0.8 else None,
            }
            for low, high in ((0.3, 0.8), (0.8, 0.9), (0.9, 1.0))
        ],
        "s_curve": {
            "theory": [[i / 100, 1 - (1 - (i / 100) ** 8) ** 16] for i in range(101)],
            "measured": [
                {
                    "from": x - 0.02, "to": x + 0.03, "pairs": pairs, "similarity": x,
                    "candidates": round(pairs * y), "share": y, "foretold": y,
                }
                for x, y, pairs in measured
            ],
        },
    }  # fmt: skip


def add_audit(run: RunFolder, tables: Row) -> None:
    def write(out: Path) -> dict[str, int | float | str]:
        (out / "audit.json").write_text(json.dumps(tables), encoding="utf-8")
        return {"documents": 150}

    produce(run.path("corpus/audit"), kind="corpus/audit", config={}, inputs={}, build=write)


@pytest.fixture
def audited(tmp_path: Path, build_run: BuildRun) -> tuple[Recipe, RunFolder]:
    recipe, run = build_run(tmp_path, iterations=5, scale=5)
    add_audit(run, make_tables())
    return recipe, run


def find_circles(drawing: str) -> list[tuple[str, float, float]]:
    """Series, x and y of every dot, from its tooltip."""
    root = ElementTree.fromstring(drawing)
    tips = [(each.findtext("title") or "") for each in root.iter("circle")]
    found = [re.fullmatch(r"(.*): ([\d.]+) at ([\d.]+)", tip) for tip in tips]
    return [(m[1], float(m[3]), float(m[2])) for m in found if m]


def test_curve_shows_what_was_foretold_and_measured_often_enough(
    audited: tuple[Recipe, RunFolder],
) -> None:
    blocks = describe_audit(read_audit(audited[1]))
    (chart,) = next(block.charts for block in blocks if isinstance(block, Charts))
    dots = find_circles(str(chart.wide))
    assert [(x, y) for name, x, y in dots if name == "candidates"] == [
        (0.75, 0.88),
        (0.83, 0.97),
        (0.97, 1.0),
    ]
    assert [x for name, x, _ in dots if name == "found"] == [0.85, 0.95]
    assert len(list(ElementTree.fromstring(str(chart.wide)).iter("path"))) == 1


def test_strengths_of_a_perturbation_are_summed(audited: tuple[Recipe, RunFolder]) -> None:
    audit = read_audit(audited[1])
    assert audit is not None
    scattered, script, evil = audit["by_kind"]
    assert (scattered["pairs"], scattered["expected"], scattered["found"]) == (100, 50, 49)
    assert scattered["recall"] == 0.98 and scattered["precision"] == 1.0
    assert scattered["f1"] == pytest.approx(2 * 0.98 / 1.98)
    assert script["recall"] is None and script["precision"] is None and script["f1"] is None
    assert evil["jaccard_low"] == evil["jaccard_high"] == pytest.approx(0.45)


def test_page_and_markdown_carry_the_figures(
    audited: tuple[Recipe, RunFolder], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    counts = build_report(*audited, out)
    page, markdown = (out / f"report.{kind}" for kind in ("html", "md"))
    for text in (page.read_text("utf-8"), markdown.read_text("utf-8")):
        assert decimal(60 / 61, 4) in text and "0.9800" in text
        assert "simplified ↔ traditional" in text
        assert "<script" not in drop_own_scripts(text).lower()
    assert "Share of pairs found by similarity" in page.read_text("utf-8")
    without = out / "without"
    without.mkdir()
    (audited[1].path("corpus/audit") / "record.json").unlink()
    charts = build_report(*audited, without)["charts"]
    assert int(counts["charts"]) == int(charts) + 1
    assert "How well duplicates are found" not in (without / "report.md").read_text("utf-8")


def test_a_run_without_an_audit_misses_nothing(tmp_path: Path, build_run: BuildRun) -> None:
    data = collect(*build_run(tmp_path, iterations=5, scale=5))
    assert data["corpus"]["audit"] is None and data["corpus"]["missing"] == []
    assert describe_audit(None) == []


def test_an_audit_in_which_nothing_was_alike_is_shown(tmp_path: Path) -> None:
    tables = copy.deepcopy(make_tables())
    tables["totals"] |= {"expected": 0, "found": 0, "missed": 0, "recall": None, "precision": None}
    tables["by_range"] = tables["by_range"][:1]
    tables["by_perturbation"], tables["by_language"] = tables["by_perturbation"][2:3], []
    tables["s_curve"]["measured"] = []
    run = RunFolder(tmp_path)
    add_audit(run, tables)
    blocks = describe_audit(read_audit(run))
    assert all(len(row) == len(b.columns) for b in blocks if isinstance(b, Table) for row in b.rows)


def test_an_audit_of_another_form_is_a_clear_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    add_audit(run, {"totals": {}})
    with pytest.raises(TongwenError, match="by_range"):
        read_audit(run)


def _changes(marked: Any) -> list[str]:
    return [words for words, mark in marked if mark == "changed"]


def test_single_characters_are_marked_and_whole_words() -> None:
    left, right = mark_differences("中华人民共和国，naïve café", "中華人民共和國，naïve cafés")
    assert _changes(left) == ["华", "国", "café"]
    assert _changes(right) == ["華", "國", "cafés"]


def test_a_replaced_sentence_is_one_change() -> None:
    same = "春天到了，人们在田里种下新的种子。"
    left, right = mark_differences(
        f"{same}他的父亲是一位有名的老师。{same}", f"{same}我们的学校有一百个新来的学生。{same}"
    )
    assert len(_changes(left)) == len(_changes(right)) == 1
    assert [mark for _, mark in left] == ["same", "changed", "same"]


def test_what_is_missing_only_because_a_text_was_cut_is_no_change() -> None:
    whole = "".join(chr(0x4E00 + number) for number in range(CUT + 50))
    longer = ("新来的开头" + whole)[:CUT]
    left, right = mark_differences(whole[:CUT], longer)
    assert _changes(left) == [] and _changes(right) == ["新来的开头"]
    assert left[-1] == ("5 characters more", "gap")
    left, right = mark_differences("甲乙丙丁", "甲乙丙丁戊己")
    assert (_changes(left), _changes(right)) == ([], ["戊己"])
    left, right = mark_differences("甲乙丙丁戊己", "甲乙丙丁")
    assert (_changes(left), _changes(right)) == (["戊己"], [])
