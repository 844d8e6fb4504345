"""Parts, workers and blocks never show in the documents; files that change are noticed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.documents import DOCUMENTS, ShardWriter, to_batch
from corpus.engine import LocalEngine, open_engine
from corpus.reading import blocks
from corpus.reading import parts as reading
from corpus.reading.files import InputFile, list_inputs
from corpus.reading.parsing import Parser
from corpus.reading.parts import cut_parts, read_documents
from corpus.reading.records import Document
from tongwen.errors import TongwenError
from tongwen.recipe import Engine, Input


@pytest.fixture
def files(tmp_path: Path, make_recipe: Any) -> tuple[InputFile, ...]:
    for number in range(7):
        lines = [make_line(number, line) for line in range(300)]
        (tmp_path / f"{number}.jsonl").write_bytes(b"\n".join(lines))
    (tmp_path / "7.txt").write_text("天地玄黄\n" * 50, encoding="utf-8")
    (tmp_path / "8.json").write_text(json.dumps([{"text": "a"}, 3, {"target": "b"}]))
    (tmp_path / "9.jsonl").write_bytes(b"")
    return list_inputs(make_recipe({"paths": ["*.*"]}))


def make_line(number: int, line: int) -> bytes:
    if line % 50 == 49:
        return b'{"text": NaN, "n": %d}' % line
    text = " ".join(str(hash((number, line, i))) for i in range(line % 30 + 1))
    return json.dumps({"text": text, "lang": "en" if line % 2 else None}).encode()


def hash_folder(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class TaskEngine:
    """An engine of tasks, like Ray's, that kills each of them once in the middle."""

    workers = 2

    def map(self, task: Any, items: Any) -> Iterator[Any]:
        for item in items:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("corpus.documents.RejectWriter.__exit__", die)
                with pytest.raises(KeyboardInterrupt):
                    task(item)
            task(item)
            yield task(item)


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_workers_blocks_and_tasks_give_the_same_bytes(
    files: tuple[InputFile, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShardWriter.__init__, "__defaults__", (90_000, 20_000))
    monkeypatch.setattr(cut_parts, "__defaults__", (150_000,))
    assert len(cut_parts(files)) > 2
    found = []
    engines = [LocalEngine(1), LocalEngine(5), TaskEngine(), LocalEngine(2)]
    for number, engine in enumerate(engines):
        out = tmp_path / f"out{number}"
        out.mkdir()
        monkeypatch.setattr(blocks.cut_blocks, "__defaults__", (7_000 * number + 50,))
        tally = read_documents(files, out, 10_000, engine)
        found.append((hash_folder(out), tally))
    assert all(each == found[0] for each in found)
    hashes, tally = found[0]
    assert (tally.documents, tally.rejected.total()) == (7 * 294 + 3, 7 * 6 + 1)
    assert tally.first is not None
    assert (tally.first.file, tally.first.line) == ("0.jsonl", 50)
    assert len(hashes) == tally.shards + 1 > 5
    assert list(hashes)[:2] == ["part-00000.parquet", "part-00001.parquet"]


def test_rows_are_in_the_order_of_files_and_lines(
    files: tuple[InputFile, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut_parts, "__defaults__", (150_000,))
    (tmp_path / "out").mkdir()
    read_documents(files, tmp_path / "out", 10_000, LocalEngine(3))
    shards = sorted((tmp_path / "out").glob("part-*"))
    origins = [o for path in shards for o in pq.read_table(path)["origin"].to_pylist()]
    keys = [(name, int(line)) for name, _, line in (o.rpartition(":") for o in origins)]
    assert keys == sorted(keys)
    rejects = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    keys = [(row["file"], row["line"]) for row in rejects]
    assert keys == sorted(keys)


def test_parts_are_consecutive_files_of_enough_bytes(tmp_path: Path, make_recipe: Any) -> None:
    for number, size in enumerate([10, 90, 100, 250, 1, 0, 99, 5]):
        (tmp_path / f"{number}.jsonl").write_bytes(b"x" * size)
    files = list_inputs(make_recipe({"paths": ["*.jsonl"]}))
    parts = cut_parts(files, 100)
    assert [file for part in parts for file in part.files] == list(files)
    assert [(len(part.files), part.size) for part in parts] == [
        *((2, 100), (1, 100), (1, 250), (3, 100), (1, 5))
    ]
    assert [part.number for part in parts] == list(range(5))
    assert cut_parts([]) == []


def test_progress_counts_every_byte(files: tuple[InputFile, ...], tmp_path: Path) -> None:
    done: list[float] = []
    (tmp_path / "out").mkdir()
    read_documents(files, tmp_path / "out", 10_000, LocalEngine(2), done.append)
    assert sum(done) == sum(part.size for part in cut_parts(files))


ROWS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 90)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.data())
def test_groups_and_shards_end_where_the_sizes_say(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int]], data: Any
) -> None:
    rows = [
        Document(str(i), "x" * a, "é" * b, "c", "l", "s", "o") for i, (a, b) in enumerate(sizes)
    ]
    folders = [tmp_path_factory.mktemp("shards") for _ in range(2)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    with ShardWriter(folders[0], 900, 300) as whole, ShardWriter(folders[1], 900, 300) as parts:
        for row in rows:
            whole.write(row)
        for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            parts.write_batch(to_batch(rows[a:b], DOCUMENTS))
    assert hash_folder(folders[0]) == hash_folder(folders[1])
    expected, group, shard = [[[]]], 0, 0
    for row, (a, b) in zip(rows, sizes, strict=True):
        expected[-1][-1].append(row.id)
        group, shard = group + 50 + a + 2 * b, shard + 50 + a + 2 * b
        if shard >= 900:
            expected.append([[]])
            group = shard = 0
        elif group >= 300:
            expected[-1].append([])
            group = 0
    found = [read_groups(path) for path in sorted(folders[0].glob("*"))]
    cleaned = [[group for group in shard if group] for shard in expected]
    assert [shard for shard in found if shard] == [shard for shard in cleaned if shard]


def read_groups(path: Path) -> list[list[str]]:
    with pq.ParquetFile(path) as file:
        groups = range(file.num_row_groups)
        return [file.read_row_group(group)["id"].to_pylist() for group in groups]


@pytest.mark.parametrize("change", ["grown", "touched", "replaced", "gone"])
def test_file_that_changes_while_it_is_read_is_an_error(
    tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * 9)

    def interfere(*args: Any) -> Any:
        for block in read_blocks(*args):
            yield block
            if change == "grown":
                path.write_bytes(path.read_bytes() * 2)
            elif change == "touched":
                os.utime(path, (1, 1))
            elif change == "replaced":
                path.with_name("b").write_bytes(b'{"text": "b"}\n' * 9)
                path.with_name("b").rename(path)
            else:
                path.unlink()

    read_blocks = reading.read_file_blocks
    monkeypatch.setattr(reading, "read_file_blocks", interfere)
    what = "went away" if change == "gone" else "changed"
    with pytest.raises(TongwenError, match=rf"the file {what} while it was read(.|\n)*a\.jsonl"):
        read({"paths": ["a.jsonl"]})


class Shouting:
    """Names a category after the language, where the text does not begin with a digit."""

    def fill(self, file: str, texts: Any, sources: Any, languages: Any, categories: Any) -> Any:
        assert file == "a.jsonl"
        assert {len(each) for each in (texts, sources, languages)} == {len(categories)}
        named = pc.call_function("utf8_upper", [languages])
        digit = pa.array([text[0].isdigit() for text in texts.to_pylist()])
        named = pc.call_function("if_else", [digit, pa.scalar(""), named])
        empty = pc.call_function("equal", [categories, pa.scalar("")])
        return pc.call_function("if_else", [empty, named, categories])


def test_categories_come_from_line_input_categorizer_and_name(tmp_path: Path) -> None:

    lines = [
        b'{"text": "one", "category": "own"}',
        b'{"text": "two"}',
        b'{"text": "3"}',
        b'{"text": "four", "n": NaN}',
        b'{"text": "five", "category": "own", "n": NaN}',
    ]
    (block,) = blocks.cut_blocks(iter([b"\n".join(lines) + b"\n"]), 1000)
    for category, expected in ((None, ["own", "EN", "a", "EN", "own"]), ("in", None)):
        source = Input(paths=("a.jsonl",), category=category)
        file = InputFile(tmp_path / "a.jsonl", "a.jsonl", "jsonl", "", "a", source)
        found = Parser(file, 100, Shouting()).parse(block).documents["category"].to_pylist()
        assert found == (expected or ["own", "in", "in", "in", "own"])


def test_ray_gives_the_same_bytes(
    files: tuple[InputFile, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(cut_parts, "__defaults__", (150_000,))
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    expected = read_documents(files, tmp_path / "here", 10_000, LocalEngine(2))
    done: list[float] = []
    with open_engine(Engine(kind="ray"), workers=2) as engine:
        found = read_documents(files, tmp_path / "there", 10_000, engine, done.append)
    assert found == expected
    assert hash_folder(tmp_path / "there") == hash_folder(tmp_path / "here")
    assert sum(done) == sum(part.size for part in cut_parts(files))
