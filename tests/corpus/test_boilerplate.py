"""From raw lines to kept documents: boilerplate goes, what is left is what plain Python leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import read_kept
from corpus.dedup import search
from corpus.dedup.cuts import CUTS, CUTS_SCHEMA, PARAGRAPHS, cut_texts
from corpus.documents import ShardWriter
from corpus.kept import iterate_kept, write_kept
from corpus.steps import build_duplicates
from tests.corpus.test_paragraphs import FOOTER, SIGN, cut_slowly, mix_texts
from tongwen.errors import TongwenError
from tongwen.run import RunFolder

Rows = list[dict[str, Any]]
MOST = 5


def make_lines() -> list[str]:
    """Texts that differ, copies of some, and documents that are nothing but boilerplate."""
    # Words of their own, so that none resembles another.
    texts = [
        f"{text}\n" + " ".join(f"w{(number * 7919 + step * 31) % 100_003}" for step in range(60))
        for number, text in enumerate(mix_texts(1, 80))
    ]
    # Boilerplate alone; a copy of it, one that differs in case, one like it.
    alone = f"{SIGN}\n \n{FOOTER}\n" + SIGN.replace(" ", "-")
    near = f"{alone}\n{SIGN}\n{FOOTER}"
    copies = [text.replace("w", "W") for text in texts[20:40]] + texts[30:70]
    return [*texts, alone, *copies, alone, alone.upper(), near]


@pytest.fixture
def run(tmp_path: Path, make_recipe: Any, build: Any, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(ShardWriter.__init__, "__defaults__", (20_000, 1500))
    with (tmp_path / "data.jsonl").open("w", encoding="utf-8") as file:
        for text in make_lines():
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return build(recipe_of(make_recipe), "documents", "duplicates")


def recipe_of(make_recipe: Any, **run: Any) -> Any:
    rules = {"paragraphs": MOST, "threshold": 0.5}
    return make_recipe({"paths": ["data.jsonl"]}, duplicates=rules, run=run)


def read_documents(run: RunFolder) -> Rows:
    paths = sorted(run.path("corpus/documents").glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths]).to_pylist()


def read_table(run: RunFolder, name: str) -> Rows:
    return pq.read_table(run.path("corpus/duplicates") / name).to_pylist()


def test_kept_documents_are_those_of_plain_python(run: RunFolder) -> None:
    rows, gone = read_documents(run), read_table(run, "duplicates.parquet")
    kinds = {row["origin"]: row["kind"] for row in gone}
    # The search keeps the first of all alike: the first 80 and the one of boilerplate alone.
    alive = rows[:81]
    assert [row["origin"] for row in rows if row["origin"] not in kinds] == [
        row["origin"] for row in alive[:80]
    ]
    expected = cut_slowly([row["text"] for row in alive], MOST)
    assert expected.texts[80] is None
    assert None not in expected.texts[:80]
    batches = list(read_kept(run, ["text", "id"]))
    assert len(batches) > 5
    found = [(row["id"], row["text"]) for batch in batches for row in batch.to_pylist()]
    assert found == [
        (row["id"], text) for row, text in zip(alive, expected.texts[:80], strict=False)
    ]
    assert sum(row["text"] != text for row, (_, text) in zip(alive, found, strict=False)) > 40
    # Copies are not counted: there are more places than documents.
    shown = {row["text"]: row["documents"] for row in read_table(run, PARAGRAPHS)}
    assert sorted(shown.values(), reverse=True) == list(shown.values())
    assert sorted(shown.values()) == sorted(expected.frequent.values())


def test_what_is_nothing_but_boilerplate_goes_with_its_copies(run: RunFolder) -> None:
    rows = read_documents(run)
    gone = {row["origin"]: row for row in read_table(run, "duplicates.parquet")}
    alone = [
        row for place, row in enumerate(rows) if place in (80, *range(len(rows) - 3, len(rows)))
    ]
    for row in alone:
        assert gone[row["origin"]] == {
            "id": row["id"],
            "origin": row["origin"],
            "keeper": "",
            "jaccard": 0.0,
            "kind": "boilerplate",
        }
    others = [row for row in gone.values() if row["kind"] != "boilerplate"]
    assert len(others) == len(gone) - 4 == 60
    kept = {row["id"] for row in rows if row["origin"] not in gone}
    assert {row["keeper"] for row in others} <= kept
    cut = {row["origin"] for row in read_table(run, CUTS)}
    assert not cut & set(gone)
    counts = run.record("corpus/duplicates").counts  # pyright: ignore[reportOptionalMemberAccess]
    assert (counts["boilerplate"], counts["kept"]) == (4, 80)
    parameters = json.loads((run.path("corpus/duplicates") / "parameters.json").read_text())
    assert parameters["cut_documents"] == counts["cut_documents"] == len(cut)
    assert parameters["cut_paragraphs"] == len(read_table(run, CUTS)) > len(cut)
    assert parameters["frequent_paragraphs"] == len(read_table(run, PARAGRAPHS))


def test_kept_shards_hold_the_cut_texts(run: RunFolder, tmp_path: Path) -> None:
    documents, gone = (run.path(f"corpus/{name}") for name in ("documents", "duplicates"))
    (tmp_path / "kept").mkdir()
    assert write_kept(documents, gone, tmp_path / "kept") == 80
    shards = sorted((tmp_path / "kept").iterdir())
    rows = pa.concat_tables([pq.read_table(path) for path in shards]).to_pylist()
    names = ["origin", "text", "source", "id"]
    batches = iterate_kept(documents, gone, names)
    assert [row for batch in batches for row in batch.to_pylist()] == [
        {name: row[name] for name in names} for row in rows
    ]
    # Row groups of one cut, of three, of all.
    table = pq.read_table(gone / CUTS)
    for size in (1, 3, len(table)):
        pq.write_table(table, gone / CUTS, row_group_size=size)
        again = [
            each for batch in iterate_kept(documents, gone, ["text"]) for each in batch["text"]
        ]
        assert [each.as_py() for each in again] == [row["text"] for row in rows]


def test_without_a_cuts_table_texts_are_whole(run: RunFolder) -> None:
    whole = {row["id"]: row["text"] for row in read_documents(run)}
    (run.path("corpus/duplicates") / CUTS).unlink()
    rows = [row for batch in read_kept(run, ["id", "text"]) for row in batch.to_pylist()]
    assert len(rows) == 80
    assert all(whole[row["id"]] == row["text"] for row in rows)


@pytest.mark.parametrize("row", [0, 7, -1])
def test_cuts_of_other_documents_are_refused(run: RunFolder, row: int) -> None:
    path = run.path("corpus/duplicates") / CUTS
    rows = pq.read_table(path).to_pylist()
    names = list(dict.fromkeys((each["id"], each["origin"]) for each in rows))
    for each in rows:
        if (each["id"], each["origin"]) == names[row]:
            each["id"] = "0" * 32
    pq.write_table(pa.Table.from_pylist(rows, CUTS_SCHEMA), path)
    with pytest.raises(TongwenError, match="not those of the kept documents"):
        list(read_kept(run, ["text"]))
    assert list(read_kept(run, ["id"]))


def test_without_the_key_nothing_is_cut(tmp_path: Path, make_recipe: Any, build: Any) -> None:
    texts = make_lines()[:80]
    lines = [json.dumps({"text": text}) for text in texts]
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    run = build(make_recipe({"paths": ["data.jsonl"]}), "documents", "duplicates")
    for name in (CUTS, PARAGRAPHS):
        assert read_table(run, name) == []
    rows = [row["text"] for batch in read_kept(run, ["text"]) for row in batch.to_pylist()]
    assert rows == texts


def test_a_killed_step_does_not_search_again(
    run: RunFolder, make_recipe: Any, build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    again, out = RunFolder(tmp_path / "again"), tmp_path / "out"
    out.mkdir()
    recipe = recipe_of(make_recipe, folder="again", memory="300MB")
    build(recipe, "documents")
    find, cut = search.find_duplicates, "corpus.dedup.search.cut_paragraphs"
    calls: list[int] = []

    def count(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return find(*given, **named)

    def stop(*given: Any, **named: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "find_duplicates", count)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cut, stop)
        build_duplicates(recipe, again, out)
    found = build_duplicates(recipe, again, out)
    assert len(calls) == 1
    record = run.record("corpus/duplicates")
    assert record
    assert found == record.counts
    for name in record.files:
        assert (out / name).read_bytes() == (run.path("corpus/duplicates") / name).read_bytes()
    assert {path.name for path in out.iterdir()} == set(record.files)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("a一🙂𠀀é", max_size=9)), st.randoms(use_true_random=False))
def test_cut_texts_are_those_without_the_bytes(texts: list[str], chance: Any) -> None:
    array = pa.array(["before", *texts], pa.string()).slice(1)
    places, starts, stops, expected = [], [], [], []
    for place, text in enumerate(texts):
        left = list(text)
        at = 0
        for number, character in enumerate(text):
            size = len(character.encode())
            if chance.random() < 0.4:
                places.append(place)
                starts.append(at)
                stops.append(at + size)
                left[number] = ""
            at += size
        expected.append("".join(left))
    spans = [np.array(each, np.int64) for each in (places, starts, stops)]
    found = cut_texts(array, *spans)
    found.validate(full=True)
    assert found.to_pylist() == expected
