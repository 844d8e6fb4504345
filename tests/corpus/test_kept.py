"""Kept documents, statistics and held-out documents agree with plain Python over the tables."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import choose_held_out, documents, read_kept
from corpus.dedup.search import write_search
from corpus.engine import LocalEngine
from corpus.kept import find_kept, iterate_kept
from tests.corpus.planted import make_documents, plant, write_documents
from tongwen.recipe import Duplicates
from tongwen.run import RunFolder

Rows = list[dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, make_recipe: Any, build: Any, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(documents.ShardWriter.__init__, "__defaults__", (6000, 1500))
    with (tmp_path / "data.jsonl").open("w", encoding="utf-8") as file:
        for number in range(400):
            file.write(json.dumps(make_line(number), ensure_ascii=False) + "\n")
        file.write("not json\n{}\n[]\n")
    return build(make_recipe({"paths": ["data.jsonl"]}))


def make_line(number: int) -> dict[str, str]:
    """Every fifth line repeats the one before, every seventh nearly so."""
    told = number - 1 if number % 5 == 4 or number % 7 == 6 else number
    text = " ".join(f"w{(told * 7919 + step * 104729) % 100_003}" for step in range(60))
    text += f" w{number}" * (number % 7 == 6)
    line = {
        "text": text,
        "category": f"c{told % 3}" if told % 120 else "rare",
        "lang": "en" if told % 2 else "zh",
    }
    return {**line, "source": "源"} if number % 11 else {"source": "问？", "target": text}


def read_rows(folder: Path) -> Rows:
    paths = sorted(folder.glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths]).to_pylist()


def filter_kept(run: RunFolder) -> Rows:
    gone = pq.read_table(run.path("corpus/duplicates") / "duplicates.parquet").to_pylist()
    keys = {(row["id"], row["origin"]) for row in gone}
    assert len(keys) > 50
    rows = read_rows(run.path("corpus/documents"))
    return [row for row in rows if (row["id"], row["origin"]) not in keys]


def test_kept_documents_are_the_anti_join_in_order(run: RunFolder) -> None:
    expected = filter_kept(run)
    columns = ["text", "id", "category"]
    batches = list(read_kept(run, columns))
    assert len(batches) > 3
    found = [row for batch in batches for row in batch.to_pylist()]
    assert found == [{name: row[name] for name in columns} for row in expected]
    ids = [row["id"] for row in found]
    assert len(set(ids)) == len(ids)


def test_duplicates_table_is_in_the_order_of_the_documents(run: RunFolder) -> None:
    gone = pq.read_table(run.path("corpus/duplicates") / "duplicates.parquet").to_pylist()
    order = {
        row["origin"]: place for place, row in enumerate(read_rows(run.path("corpus/documents")))
    }
    places = [order[row["origin"]] for row in gone]
    assert places == sorted(places)
    assert {row["kind"] for row in gone} == {"exact", "near"}
    assert all((row["keeper"] == row["id"]) == (row["kind"] == "exact") for row in gone)


def test_held_out_documents_are_the_smallest_ids_and_at_most_a_fifth(run: RunFolder) -> None:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in filter_kept(run):
        groups[row["category"], row["language"]].append(row["id"])
    for per_group in (1, 3, 1000):
        expected = [
            (id_, *group)
            for group, ids in sorted(groups.items())
            for id_ in sorted(ids)[: min(per_group, len(ids) // 5)]
        ]
        found = choose_held_out(run, per_group)
        assert [tuple(row.values()) for row in found.to_pylist()] == expected
    assert any(len(ids) < 5 for ids in groups.values())


def test_statistics_are_those_of_plain_python(run: RunFolder) -> None:
    table = pq.read_table(run.path("corpus/statistics") / "statistics.parquet").to_pylist()
    gone = pq.read_table(run.path("corpus/duplicates") / "duplicates.parquet").to_pylist()
    kinds = {(row["id"], row["origin"]): row["kind"] for row in gone}
    groups: dict[tuple[str, ...], Rows] = defaultdict(list)
    for row in read_rows(run.path("corpus/documents")):
        groups[row["category"], row["language"], row["source"]].append(row)
    keys = [(row["category"], row["language"], row["source"]) for row in table]
    assert keys == sorted(groups)
    for row, key in zip(table, keys, strict=True):
        kept = [each for each in groups[key] if (each["id"], each["origin"]) not in kinds]
        mine = [kinds.get((each["id"], each["origin"])) for each in groups[key]]
        texts = [each["text"] + each["prompt"] for each in kept]
        lengths = sorted(map(len, texts))
        assert row["documents"] == len(groups[key])
        assert row["kept_documents"] == len(kept)
        assert (row["exact_duplicates"], row["near_duplicates"]) == (
            mine.count("exact"),
            mine.count("near"),
        )
        assert row["characters"] == sum(lengths)
        assert row["bytes"] == sum(len(text.encode()) for text in texts)
        assert row["length_p50"] in lengths
        assert lengths[0] <= row["length_p05"] <= row["length_p50"] <= row["length_p95"]


def test_rejects_are_counted_by_reason(run: RunFolder) -> None:
    folder = run.path("corpus/statistics")
    rows = pq.read_table(folder / "rejects_by_reason.parquet").to_pylist()
    assert rows == [
        {"file": "data.jsonl", "reason": "bad_json", "lines": 1},
        {"file": "data.jsonl", "reason": "no_text", "lines": 1},
        {"file": "data.jsonl", "reason": "wrong_type", "lines": 1},
    ]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_examples_show_near_pairs(run: RunFolder) -> None:
    rows = pq.read_table(run.path("corpus/duplicates") / "examples.parquet").to_pylist()
    texts = {row["id"]: row["text"] for row in read_rows(run.path("corpus/documents"))}
    assert 0 < len(rows) <= 50
    for row in rows:
        assert row["id"] != row["keeper"]
        assert row["jaccard"] >= 0.8
        assert texts[row["id"]][:100] in row["text"]
        assert len(row["keeper_text"]) <= 600


def test_outputs_are_the_same_bytes_again(run: RunFolder, make_recipe: Any, build: Any) -> None:
    names = ("documents", "duplicates", "statistics")
    before = [run.record(f"corpus/{name}") for name in names]
    more = {"folder": "again", "workers": 3, "memory": "300MB"}
    again = build(make_recipe({"paths": ["data.jsonl"]}, run=more))
    after = [again.record(f"corpus/{name}") for name in names]
    assert [record and record.files for record in before] == [
        record and record.files for record in after
    ]


def test_a_mask_gives_what_the_table_gives(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "docs", make_documents(plant(3)), group_bytes=900)
    out = tmp_path / "duplicates"
    out.mkdir()
    found = write_search(documents, Duplicates(), out, engine=LocalEngine(), memory=10**9)
    mask = found.find_kept()
    assert (find_kept(documents, out) == mask).all()
    columns = ("text", "origin")
    one, other = (
        pa.Table.from_batches(iterate_kept(documents, out, columns, each)) for each in (None, mask)
    )
    assert one.equals(other)
    assert len(one) == mask.sum() < len(mask)
