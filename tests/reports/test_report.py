"""The whole report: one page that is true, closed, balanced and the same twice."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reports import build_report
from reports.numbers import decimal, share
from tests.reports.scripts import drop_own_scripts
from tongwen import Recipe, RunFolder, TongwenError
from tongwen.record import TIMED, produce

EVIL = "<script>alert('x')</script>&"
BuildRun = Callable[..., tuple[Recipe, RunFolder]]
_VOID = {"meta", "wbr", "br", "hr", "img", "input", "link"}
_ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section"),
    *("footer", "h1", "h2", "h3", "a", "p", "span", "ol", "ul", "li", "dl", "dt", "dd", "div"),
    *("figure", "figcaption", "svg", "desc", "line", "rect", "circle", "path", "text", "tspan"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "mark"),
    *("wbr", "aside", "strong", "code", "script", "label", "input", "select", "option", "output"),
    "button",
}


class Page(HTMLParser):
    """Checks the balance of a page and notes its elements, attributes and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def built(finished: tuple[Recipe, RunFolder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    build_report(*finished, out)
    return out


@pytest.fixture(scope="module")
def page(built: Path) -> Page:
    return Page((built / "report.html").read_text(encoding="utf-8"))


def test_only_files_known_to_depend_on_the_clock_may(built: Path) -> None:
    names = {path.name for path in built.iterdir()}
    assert names == {"report.html", "report.md", "report.json", "timings.json"}
    assert names - set(TIMED) == {"report.json"}


def test_page_is_balanced_and_has_known_elements_only(page: Page) -> None:
    assert {tag for tag, _ in page.elements} <= _ALLOWED


def test_page_loads_nothing(page: Page, built: Path) -> None:
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "xlink:href"):
                assert (value or "").startswith("#")
    for tag, attributes in page.elements:
        assert tag != "script" or attributes in ({}, {"type": "application/json"})
    css = re.findall(r"<style>(.*?)</style>", (built / "report.html").read_text("utf-8"), re.DOTALL)
    assert len(css) == 1
    assert not re.search(r"url\(|@import|https?:", css[0])


def test_data_never_becomes_markup(built: Path) -> None:
    text = (built / "report.html").read_text(encoding="utf-8")
    assert "<script" not in drop_own_scripts(text).lower()
    assert html.escape(EVIL, quote=False)[:20] in text
    assert "<script" not in (built / "report.md").read_text(encoding="utf-8").lower()


def test_hostile_names_are_cut_and_whole_in_a_tooltip(page: Page) -> None:
    assert "长" * 100 not in page.text.replace(" ", "").split("长" * 300)[0]
    titles = [attributes["title"] or "" for _, attributes in page.elements if "title" in attributes]
    assert "长" * 300 in titles
    assert "a" * 300 in titles


def test_every_drawing_has_a_title_a_description_and_a_label(built: Path, page: Page) -> None:
    text = (built / "report.html").read_text(encoding="utf-8")
    drawings = re.findall(r"<svg[^>]*>", text)
    described = re.findall(r"<svg[^>]*aria-label=\"[^\"]+\"[^>]*><title>[^<]+</title><desc>", text)
    assert len(drawings) == len(described) > 15
    assert not re.search(r'(?:="|:)(?:nan|inf|None)\b', text)


def test_every_chart_of_the_contract_is_there(page: Page) -> None:
    labels = " ".join(a.get("aria-label") or "" for tag, a in page.elements if tag == "svg")
    for title in (
        "What became of every line read",
        "Chinese: ",
        "near duplicates by similarity",
        "Tokens per character, Chinese",
        "Base and extended vocabulary by category",
        "new pieces by length",
        "share of every bin in each bucket",
        "deviation from the target",
        "Bits per character of held-out text over all stages",
        "replay: training loss",
        "replay: learning rate",
        "bits per character, before and after",
    ):
        assert title in labels


def test_headings_are_nested_and_tables_have_captions(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1 and levels.count(1) == 1 and levels.count(2) == 6
    assert all(after - before <= 1 for before, after in pairwise(levels))
    count = [tag for tag, _ in page.elements]
    assert count.count("table") == count.count("caption") == count.count("thead")


def test_counts_say_how_many_charts(
    built: Path, finished: tuple[Recipe, RunFolder], tmp_path: Path
) -> None:
    text = (built / "report.html").read_text(encoding="utf-8")
    counts = build_report(*finished, tmp_path)
    assert counts["charts"] == text.count("<figcaption>") - _count_other_figures(text)
    assert counts["missing"] == 0 and counts["sections"] == 6


def _count_other_figures(text: str) -> int:
    return text.count('<figure class="pair">') + text.count('<figure class="pieces">')


def test_markdown_and_json_carry_the_figures_of_the_page(built: Path, page: Page) -> None:
    summary = json.loads((built / "report.json").read_text(encoding="utf-8"))["summary"]
    markdown = (built / "report.md").read_text(encoding="utf-8")
    figures = [
        f"{summary['kept_documents']:,}",
        f"{summary['documents']:,}",
        share(summary["duplicates_share"]),
        share(summary["largest_deviation"], 2),
        *(decimal(row["extended"]) for row in summary["compression"]),
        *(decimal(row["after"], 2) for row in summary["bits_per_character"]),
    ]
    for figure in figures:
        assert figure in page.text
        assert figure in markdown


def test_markdown_has_every_table_of_the_page(built: Path, page: Page) -> None:
    markdown = (built / "report.md").read_text(encoding="utf-8")
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    tables = sum(tag == "table" for tag, _ in page.elements)
    assert sum(bool(re.match(r"\| :?--", row)) for row in rows) == tables + 1  # and the figures
    columns = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert min(columns) >= 3


def test_equal_runs_give_the_same_json(tmp_path: Path, build_run: BuildRun, hostile: Any) -> None:
    texts: list[bytes] = []
    for name in ("first", "second"):
        recipe, run = build_run(tmp_path / name, **hostile)
        out = tmp_path / name / "out"
        out.mkdir()
        build_report(recipe, run, out)
        texts.append((out / "report.json").read_bytes())
    assert texts[0] == texts[1]
    assert b"seconds" not in texts[0] and b"memory" not in texts[0] and b"NaN" not in texts[0]


_OUTPUTS = (
    "corpus/documents", "corpus/duplicates", "corpus/statistics", "tokenizer/vocabulary",
    "tokenizer/comparison", "buckets/held_out", "buckets/foundation", "buckets/injection",
    "buckets/replay", "train/foundation", "train/injection", "train/replay",
)  # fmt: skip


@pytest.mark.parametrize("done", [*range(len(_OUTPUTS)), -1])
def test_a_half_done_run_says_what_is_missing(
    done: int, tmp_path: Path, build_run: BuildRun
) -> None:
    without = _OUTPUTS[done:] if done >= 0 else ("corpus/statistics", "train/injection")
    recipe, run = build_run(tmp_path, without=without, iterations=5, scale=5)
    out = tmp_path / "out"
    out.mkdir()
    counts = build_report(recipe, run, out)
    text = Page((out / "report.html").read_text(encoding="utf-8")).text
    assert counts["missing"] == len(without)
    assert all(name in text for name in without)
    assert all(name in (out / "report.md").read_text("utf-8").replace("\\", "") for name in without)


def test_a_run_without_a_single_document_is_reported(tmp_path: Path, build_run: BuildRun) -> None:
    recipe, run = build_run(tmp_path, iterations=5, scale=5)
    for path in run.root.rglob("*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    for path in run.root.rglob("*.jsonl"):
        path.write_text("")
    build_report(recipe, run, tmp_path)
    assert "Largest deviation" in Page((tmp_path / "report.html").read_text("utf-8")).text


def test_a_spoiled_output_is_a_clear_error(tmp_path: Path, build_run: BuildRun) -> None:
    recipe, run = build_run(tmp_path, iterations=5, scale=5)
    (run.path("corpus/statistics") / "statistics.parquet").write_bytes(b"no parquet")
    with pytest.raises(TongwenError, match=r"statistics\.parquet"):
        build_report(recipe, run, tmp_path)


def test_the_step_is_recorded_and_skipped_the_second_time(
    finished: tuple[Recipe, RunFolder], tmp_path: Path
) -> None:
    recipe, run = finished

    def make() -> bool:
        return produce(
            tmp_path / "report",
            kind="reports/report",
            config={},
            inputs={},
            build=lambda out: build_report(recipe, run, out),
        )[1]

    assert make() and not make()
