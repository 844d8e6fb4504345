"""Every new piece can be searched in the page, and no piece can leave the data it lies in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reports import build_report
from reports.blocks import Search, Section
from reports.page import render_html
from reports.read.pieces import MAX_SEARCHED
from tests.reports.scripts import drop_own_scripts, read_search
from tests.reports.vocabulary import Row, write
from tongwen import Recipe, RunFolder

EVIL = "<script>alert('x')</script>&\"| `*_ [a](http://evil)"
Run = tuple[Recipe, RunFolder]
BuildRun = Callable[..., Run]


def _read(run: RunFolder, name: str) -> list[Row]:
    return pq.read_table(run.root / name).to_pylist()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, build_run: BuildRun) -> tuple[Run, str]:
    home = tmp_path_factory.mktemp("large")
    finished = build_run(home, num_pieces=37_104, iterations=5, scale=5)
    build_report(*finished, home)
    return finished, (home / "report.html").read_text(encoding="utf-8")


def test_every_new_piece_can_be_searched_in_a_page_below_two_megabytes(
    large: tuple[Run, str],
) -> None:
    (_, run), page = large
    kinds, pieces, ids, numbers, places = read_search(page)
    rows = {row["id"]: row for row in _read(run, "tokenizer/vocabulary/pieces.parquet")}
    assert len(page.encode()) < 2_000_000
    assert len(ids) == len(set(ids)) == len(rows) == 37_104
    assert [int(n) for n in numbers] == sorted((int(n) for n in numbers), reverse=True)
    columns = zip(pieces, ids, numbers, places, strict=True)
    for piece, number, uses, place in columns:
        row = rows[int(number)]
        assert piece == row["piece"].replace(" ", "▁")
        assert int(uses) == row["uses"] and kinds[int(place)] == row["kind"]


def test_data_to_search_cannot_end_its_script(large: tuple[Run, str]) -> None:
    page = large[1]
    assert "<script" not in drop_own_scripts(page).lower()
    assert EVIL.replace(" ", "▁") in read_search(page)[1]
    for hostile in ("</script><b>", "<!--<script>", "]]>", "\u2028", '"', "\\", "&lt;"):
        search = Search("pieces", "t", "uses", ("merge",), (hostile, "1", "2", "0"), 1)
        assert not re.search("[<>&\u2028\u2029]", str(search.text))
        assert json.loads(str(search.text)) == [["merge"], hostile, "1", "2", "0"]


def test_only_the_pages_own_script_may_run(large: tuple[Run, str]) -> None:
    page = large[1]
    (allowed,) = re.findall(r"script-src 'sha256-([^']+)'", page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert base64.b64decode(allowed) == hashlib.sha256(script.encode()).digest()
    assert "default-src 'none'" in page


def test_without_pieces_to_search_there_is_no_script() -> None:
    assert "<script" not in render_html("x", [Section("one", "One", ())])


def test_a_vocabulary_too_large_for_the_page_keeps_its_most_frequent(
    tmp_path: Path, build_run: BuildRun
) -> None:
    recipe, run = build_run(tmp_path, iterations=5, scale=5)
    rows = [
        {
            "id": 32_000 + n, "piece": f"{n:060d}", "count": n, "characters": 60, "kind": "list",
            "reachable": True,
        }
        for n in range(20_000)
    ]  # fmt: skip
    write(run.root / "tokenizer/vocabulary/pieces.parquet", rows)
    build_report(recipe, run, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    _, pieces, _, numbers, _ = read_search(page)
    assert len(page.encode()) < 2_000_000 and len(pieces) == MAX_SEARCHED // 78
    assert int(numbers[0]) == 19_999 and "Search the 15,384 most frequent" in page
