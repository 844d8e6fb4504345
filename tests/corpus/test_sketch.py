"""A sketch knows what its corpus holds, exactly, without its text."""

from __future__ import annotations

import json
import random
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus import find_duplicates, jaccard
from corpus.dedup.query import query_sketch
from corpus.dedup.sketch import KeyTable, open_sketch, write_sketch
from corpus.engine import LocalEngine
from tests.corpus.planted import (
    edit,
    join,
    make_documents,
    make_text,
    plant,
    write_documents,
)
from tests.corpus.test_independence import KilledEngine
from tongwen.errors import TongwenError
from tongwen.recipe import Duplicates

RULES = Duplicates(threshold=0.7)
GIGABYTE = 10**9


def sketch_of(folder: Path, texts: list[str], rules: Duplicates = RULES) -> Path:
    """Sketch the kept ones of some texts; the text itself is removed."""
    documents = write_documents(folder / "docs", make_documents(texts), group_bytes=3000)
    kept = np.ones(len(texts), bool)
    kept[find_duplicates(documents, rules).rows] = False
    out = folder / "sketch"
    out.mkdir()
    assert write_sketch(documents, kept, rules, LocalEngine(2), GIGABYTE, out) == kept.sum()
    shutil.rmtree(documents)
    return out


def make_new(seed: int) -> tuple[list[str], list[str]]:
    """Old texts, and new ones: copies, copies with other punctuation, edits, and new text."""
    source, old, new = random.Random(seed), [], []
    for number in range(40):
        tokens = make_text(source, "zh" if number % 2 else "en", source.randint(80, 200))
        old.append(join(tokens))
        variants = [old[-1], old[-1] + "！", join(edit(source, tokens, source.randint(1, 6)))]
        new += variants[: number % 4]
    new += [join(make_text(source, "zh", 120)) for _ in range(10)]
    source.shuffle(new)
    return old, new


def expected_known(old: list[str], new: list[str]) -> dict[int, float]:
    """The oracle: each new text's highest similarity with an old one, from 0.7 on."""
    best = {row: max(jaccard(text, other) for other in old) for row, text in enumerate(new)}
    return {row: value for row, value in best.items() if value >= 0.7}


@pytest.mark.parametrize("seed", [1, 2])
def test_new_text_is_compared_with_what_a_sketch_knows(tmp_path: Path, seed: int) -> None:
    old, new = make_new(seed)
    sketch = open_sketch(sketch_of(tmp_path, old), RULES)
    found = find_duplicates(pa.table({"text": new}), RULES, against=[sketch])
    known = dict(zip(found.rows.tolist(), found.jaccard.tolist(), strict=True))
    kinds = dict(zip(found.rows.tolist(), found.to_table()["kind"].to_pylist(), strict=True))
    expected = expected_known(old, new)
    assert {row for row, kind in kinds.items() if kind == "known"} == set(expected)
    assert all(known[row] == value for row, value in expected.items())
    ids = {document.id: document.text for document in make_documents(old)}
    for row, keeper in zip(found.rows, found.to_table()["keeper"].to_pylist(), strict=True):
        if kinds[row] == "known":
            assert jaccard(ids[keeper], new[row]) == known[row]
    assert (found.keepers[[kind == "known" for kind in kinds.values()]] == -1).all()


def test_copies_of_what_is_known_go_once_each(tmp_path: Path) -> None:
    sketch = open_sketch(sketch_of(tmp_path, ["一二三四五六七八", "甲乙丙丁戊己庚辛"]), RULES)
    new = [
        "一二三四五六七八",
        "一二三四五六七八",
        "一二三四五六七八。",
        "一二三四五六七八！",
        "新的",
    ]
    found = find_duplicates(pa.table({"text": new}), RULES, against=[sketch])
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert set(found.to_table()["kind"].to_pylist()) == {"known"}
    assert found.jaccard.tolist() == [1.0] * 4


def test_the_most_similar_known_document_is_named(tmp_path: Path) -> None:
    tokens = make_text(random.Random(6), "zh", 300)
    near, far = list(tokens), list(tokens)
    for place in range(0, 30, 6):
        near[place] = "一"
    for place in range(150, 192, 6):
        far[place] = "二"
    old, text = [join(near), join(far)], join(tokens)
    assert jaccard(old[0], old[1]) < 0.7 < jaccard(old[1], text) < jaccard(old[0], text)
    for order in (old, old[::-1]):
        folder = tmp_path / order[0][0]
        folder.mkdir()
        sketch = open_sketch(sketch_of(folder, order), RULES)
        found = find_duplicates(pa.table({"text": [text]}), RULES, against=[sketch])
        assert found.to_table()["keeper"].to_pylist() == [make_documents(old[:1])[0].id]
        assert found.jaccard.tolist() == [jaccard(old[0], text)]


def test_what_no_sketch_knows_is_searched_as_without_one(tmp_path: Path) -> None:
    old, new = make_new(3)
    sketch = open_sketch(sketch_of(tmp_path, old), RULES)
    fresh = plant(9)
    alone = find_duplicates(pa.table({"text": fresh}), RULES)
    both = find_duplicates(pa.table({"text": fresh + new}), RULES, against=[sketch])
    mine = both.rows < len(fresh)
    assert both.rows[mine].tolist() == alone.rows.tolist()
    assert both.keepers[mine].tolist() == alone.keepers.tolist()


def test_a_killed_search_is_not_gone_on_with_against_another_sketch(tmp_path: Path) -> None:
    old, new = make_new(7)
    sketch = open_sketch(sketch_of(tmp_path, old), RULES)
    documents = write_documents(tmp_path / "new", make_documents(new))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    expected = find_duplicates(documents, RULES).to_table()
    for tasks in (2, 4, 6):
        with pytest.raises(KeyboardInterrupt):
            engine = KilledEngine(tasks)
            find_duplicates(documents, RULES, engine=engine, scratch=scratch, against=[sketch])
        assert find_duplicates(documents, RULES, scratch=scratch).to_table().equals(expected)


def test_two_sketches_know_what_either_knows(tmp_path: Path) -> None:
    old, new = make_new(4)
    half = len(old) // 2
    sketches = [
        open_sketch(sketch_of(tmp_path / str(number), part), RULES)
        for number, part in enumerate((old[:half], old[half:]))
    ]
    both = find_duplicates(pa.table({"text": new}), RULES, against=sketches)
    whole = open_sketch(sketch_of(tmp_path / "whole", old), RULES)
    one = find_duplicates(pa.table({"text": new}), RULES, against=[whole])
    assert both.rows.tolist() == one.rows.tolist()
    assert both.kinds.tolist() == one.kinds.tolist()


def test_a_query_tells_every_pair_above_its_threshold(tmp_path: Path) -> None:
    old, new = make_new(5)
    folder = sketch_of(tmp_path, old)
    table = pa.table({"text": new, "origin": [f"new:{row}" for row in range(len(new))]})
    found = query_sketch(folder, table, threshold=0.8, workers=2)
    ids = {document.text: document.id for document in make_documents(old)}
    expected = {
        (f"new:{row}", ids[other], jaccard(text, other))
        for (row, text), other in product(enumerate(new), set(old))
        if jaccard(text, other) >= 0.8
    }
    rows = found.select(["asked", "id", "jaccard"]).to_pylist()
    assert {tuple(row.values()) for row in rows} == expected
    assert len(rows) == len(expected) > 20
    origins = {document.id: document.origin for document in make_documents(old)}
    for row in found.to_pylist():
        assert row["origin"] == origins[row["id"]]


def test_an_empty_sketch_knows_nothing(tmp_path: Path) -> None:
    sketch = open_sketch(sketch_of(tmp_path, ["。"]), RULES)
    found = find_duplicates(pa.table({"text": ["！", "一二三四五六"]}), RULES, against=[sketch])
    assert not len(found.rows)
    assert not len(query_sketch(sketch.folder, pa.table({"text": ["一二三四五六"]})))


def test_a_sketch_of_other_parameters_is_refused_by_name(tmp_path: Path) -> None:
    folder = sketch_of(tmp_path, plant(2)[:20])
    for other, key in (
        (Duplicates(threshold=0.7, ngram=4), "ngram is 5, here 4"),
        (Duplicates(threshold=0.7, num_perm=64), "num_perm is 128, here 64"),
        (Duplicates(threshold=0.9), "rows is"),
    ):
        with pytest.raises(TongwenError, match=key):
            open_sketch(folder, other)
    parameters = json.loads((folder / "sketch.json").read_text())
    (folder / "sketch.json").write_text(json.dumps(parameters | {"format": 99}))
    with pytest.raises(TongwenError, match="format is 99"):
        open_sketch(folder, RULES)
    with pytest.raises(TongwenError, match="no sketch there"):
        open_sketch(tmp_path, RULES)
    with pytest.raises(TongwenError, match="no sketch there"):
        query_sketch(tmp_path, pa.table({"text": ["a"]}))


def test_a_sketch_has_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "docs", make_documents(plant(8)), group_bytes=900)
    kept = np.random.default_rng(1).random(len(plant(8))) < 0.7
    outs = []
    for number, (workers, memory) in enumerate(((1, GIGABYTE), (3, 60_000))):
        out = tmp_path / str(number)
        out.mkdir()
        write_sketch(documents, kept, RULES, LocalEngine(workers), memory, out)
        outs.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert outs[0] == outs[1]


def test_a_key_table_gives_at_most_eight_documents_of_a_key() -> None:
    keys = np.array([1, 3, 3, 5, *[7] * 12], np.uint64)
    table = KeyTable(keys, keys * np.uint64(2), np.arange(16)[::-1].copy())
    which, numbers = table.match(np.array([0, 3, 7, 9, 5], np.uint64))
    assert which.tolist() == [1, 1, *[2] * 8, 4]
    assert numbers.tolist() == [14, 13, *range(11, 3, -1), 12]
    wanted = np.array([[3, 6], [3, 5], [9, 18], [1, 2]], np.uint64)
    assert table.find(wanted).tolist() == [14, -1, -1, 15]
