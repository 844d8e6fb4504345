"""Patterns name files deterministically, and mistakes in them are errors that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from corpus.reading.files import detect_format, find_files, list_inputs, name_origin
from tongwen.errors import TongwenError
from tongwen.recipe import Input


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.jsonl", "deep/er/c.jsonl", "deep/d.txt", "[x].jsonl", ".h.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


def find(make_recipe: Any, *paths: str) -> list[Path]:
    source = Input(paths=paths)
    found = find_files(make_recipe({"paths": ["x"]}), source)
    return [path for path in found if isinstance(path, Path)]


def test_globs_are_sorted_and_each_file_comes_once(tree: Path, make_recipe: Any) -> None:
    found = find(make_recipe, "**/*.jsonl", "a.jsonl", "./deep/../a.jsonl", str(tree / "b.jsonl"))
    names = [path.relative_to(tree).as_posix() for path in found]
    assert names == ["[x].jsonl", "a.jsonl", "b.jsonl", "deep/er/c.jsonl"]
    assert find(make_recipe, "[x].jsonl") == [tree / "[x].jsonl"]
    assert find(make_recipe, str(tree / "d*" / "*.txt")) == [tree / "deep" / "d.txt"]


@pytest.mark.parametrize("pattern", ["none.jsonl", "*.csv", "deep/*.jsonl", "deep", "away/x*"])
def test_pattern_that_matches_nothing_is_an_error(
    tree: Path, make_recipe: Any, pattern: str
) -> None:
    with pytest.raises(TongwenError) as error:
        find(make_recipe, "a.jsonl", pattern)
    assert repr(pattern) in str(error.value)
    place = tree / "deep" if pattern.startswith("deep") else tree
    assert f"looked in {place}\n" in str(error.value)


def test_sample_patterns_look_in_the_run_folder(tree: Path, make_recipe: Any) -> None:
    (tree / "run" / "sample").mkdir(parents=True)
    (tree / "run" / "sample" / "s.jsonl").write_text("{}")
    found = find(make_recipe, "sample:*.jsonl")
    assert found == [tree / "run" / "sample" / "s.jsonl"]
    assert name_origin(make_recipe({"paths": ["x"]}), found[0]) == "sample/s.jsonl"


def test_origin_is_relative_or_has_the_parent_folder(tmp_path: Path, make_recipe: Any) -> None:
    recipe = make_recipe({"paths": ["x"]})
    assert name_origin(recipe, tmp_path / "d" / "x.jsonl") == "d/x.jsonl"
    assert name_origin(recipe, Path("/far/away/x.jsonl")) == "away/x.jsonl"
    assert name_origin(recipe, Path("/x.jsonl")) == "x.jsonl"


def test_file_of_two_inputs_is_an_error(tree: Path, make_recipe: Any) -> None:
    recipe = make_recipe({"paths": ["*.jsonl"]}, {"paths": ["a.jsonl"]})
    with pytest.raises(TongwenError, match=r"a\.jsonl' is named by two inputs"):
        list_inputs(recipe)
    assert (tree / "a.jsonl").exists()


def test_two_files_of_one_origin_are_an_error(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, make_recipe: Any
) -> None:
    paths = []
    for number in range(2):
        folder = tmp_path_factory.mktemp(f"away{number}") / "same"
        folder.mkdir()
        (folder / "x.jsonl").write_text("{}")
        paths.append(str(folder / "x.jsonl"))
    with pytest.raises(TongwenError, match=r"same/x\.jsonl' is the origin of two files"):
        list_inputs(make_recipe({"paths": paths}))


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        ("a.b.jsonl.zst", "auto", ("jsonl", "zst", "a.b")),
        ("A.JSONL.GZ", "auto", ("jsonl", "gz", "A")),
        ("a.json", "auto", ("json", "", "a")),
        ("a.parquet", "auto", ("parquet", "", "a")),
        ("a.md", "auto", ("text", "", "a")),
        ("data", "jsonl", ("jsonl", "", "data")),
        ("data.v1.gz", "text", ("text", "gz", "data.v1")),
        ("a.txt", "jsonl", ("jsonl", "", "a")),
    ],
)
def test_format_follows_the_name(name: str, form: str, expected: tuple[str, str, str]) -> None:
    assert detect_format(Path(name), form) == expected


@pytest.mark.parametrize(("name", "form"), [("a.csv", "auto"), ("a.parquet.gz", "auto")])
def test_unknown_format_is_an_error(name: str, form: str) -> None:
    with pytest.raises(TongwenError, match="what kind of file"):
        detect_format(Path(name), form)


def test_import_is_light() -> None:
    import subprocess
    import sys

    heavy = "{'numba', 'torch', 'duckdb', 'pyarrow'}"
    code = f"import sys, corpus, corpus.reading.files; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
