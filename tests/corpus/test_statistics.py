"""stats.duckdb and its Parquet say what a plain loop over the documents says."""

from __future__ import annotations

import math
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import query_statistics, read_kept
from corpus.counting import measures
from corpus.counting.character_classes import CLASSES, COUNTS
from corpus.counting.measures import MEASURES, Beside
from corpus.counting.statistics import DATABASE
from corpus.counting.tables import TABLES
from corpus.counting.views import KINDS, VIEWS
from corpus.documents import REJECTS
from tests.corpus.counted import (
    ALL_KINDS,
    CUTS,
    Row,
    choose_duplicates,
    count,
    kept,
    make_counted,
    make_documents,
    total,
    write_inputs,
)
from tongwen.errors import TongwenError
from tongwen.run import RunFolder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[Row]]:
    return make_counted(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def run(planted: tuple[RunFolder, list[Row]]) -> RunFolder:
    return planted[0]


@pytest.fixture(scope="module")
def rows(planted: tuple[RunFolder, list[Row]]) -> list[Row]:
    return planted[1]


def test_documents_are_those_of_a_plain_loop(run: RunFolder, rows: list[Row]) -> None:
    assert len(list(run.path("corpus/documents").glob("part-*"))) > 3
    table = query_statistics(run, "SELECT * FROM documents")
    assert table.column_names == MEASURES.names
    found = sorted(table.to_pylist(), key=lambda row: int(row["origin"].partition(":")[2]))
    assert found == rows


@pytest.mark.parametrize(
    ("view", "keys"),
    [
        ("by_category", ("category",)),
        ("by_language", ("language",)),
        ("by_source", ("source",)),
        ("by_category_language", ("category", "language")),
    ],
)
def test_groups_are_sums_over_their_documents(
    run: RunFolder, rows: list[Row], view: str, keys: tuple[str, ...]
) -> None:
    table = query_statistics(run, f"SELECT * FROM {view}").to_pylist()
    groups = {tuple(row[key] for key in keys) for row in rows}
    assert {tuple(row[key] for key in keys) for row in table} == groups
    assert len(table) == len(groups)
    for line in table:
        mine = [row for row in rows if all(row[key] == line[key] for key in keys)]
        kinds = Counter(row["duplicate_kind"] for row in mine)
        assert line["documents"] == len(mine)
        assert line["kept"] == kinds[None]
        assert line["characters"] == total(kept(mine), "characters")
        assert line["bytes"] == total(kept(mine), "bytes")
        whole = total(kept(rows), "characters")
        assert math.isclose(line["characters_share"], line["characters"] / whole)
        assert math.isclose(line["duplicate_share"], 1 - kinds[None] / len(mine))
        for kind in KINDS:
            assert math.isclose(line[f"{kind}_share"], kinds[kind] / len(mine))


def test_every_kind_of_duplicate_is_counted(run: RunFolder, rows: list[Row]) -> None:
    table = query_statistics(run, "SELECT * FROM duplicate_shares").to_pylist()
    names = ("category", "language", "source")
    found = {(*(row[n] for n in names), row["kind"]): row["documents"] for row in table}
    expected = Counter(
        (*(row[n] for n in names), row["duplicate_kind"]) for row in rows if not row["kept"]
    )
    assert found == expected
    assert {row["kind"] for row in table} == set(ALL_KINDS)
    size = Counter(tuple(row[n] for n in names) for row in rows)
    for row in table:
        assert math.isclose(row["share"], row["documents"] / size[tuple(row[n] for n in names)])


def test_lengths_are_the_smallest_that_so_many_do_not_exceed(
    run: RunFolder, rows: list[Row]
) -> None:
    for line in query_statistics(run, "SELECT * FROM lengths").to_pylist():
        mine = [r for r in kept(rows) if all(r[k] == line[k] for k in ("category", "language"))]
        lengths = sorted(row["characters"] for row in mine)
        assert line["documents"] == len(lengths)
        assert line["max"] == lengths[-1]
        for percent in (1, 5, 25, 50, 75, 95, 99):
            place = -(-percent * len(lengths) // 100) - 1
            assert line[f"p{percent:02}"] == lengths[place]


def test_character_classes_are_parts_of_a_whole(run: RunFolder, rows: list[Row]) -> None:
    table = query_statistics(run, "SELECT * FROM character_classes").to_pylist()
    assert len(table) == 3
    for line in table:
        mine = [r for r in kept(rows) if all(r[k] == line[k] for k in ("category", "language"))]
        assert math.isclose(sum(line[f"{name}_share"] for name in CLASSES), 1)
        for name in CLASSES:
            share = total(mine, name) / total(mine, "characters")
            assert math.isclose(line[f"{name}_share"], share)


def test_scripts_are_shares_of_han(run: RunFolder, rows: list[Row]) -> None:
    for line in query_statistics(run, "SELECT * FROM scripts").to_pylist():
        mine = [r for r in kept(rows) if all(r[k] == line[k] for k in ("category", "source"))]
        han, old, new = (total(mine, name) for name in ("han", "traditional", "simplified"))
        assert (line["han"], line["traditional"], line["simplified"]) == (han, old, new)
        assert math.isclose(line["traditional_share"], old / han)
        assert math.isclose(line["traditional_part"], old / (old + new))


def test_largest_clusters_come_first(run: RunFolder, rows: list[Row]) -> None:
    sizes = Counter(row["keeper"] for row in rows if not row["kept"])
    table = query_statistics(run, "SELECT * FROM largest_clusters").to_pylist()
    assert {row["keeper"]: row["members"] - 1 for row in table} == sizes
    assert [row["members"] for row in table] == sorted(
        (n + 1 for n in sizes.values()), reverse=True
    )
    for line in table:
        kinds = {row["duplicate_kind"] for row in rows if row["keeper"] == line["keeper"]}
        assert line["kinds"] == ",".join(sorted(kinds))


def test_rejects_are_all_there(run: RunFolder) -> None:
    table = query_statistics(run, "SELECT * FROM rejects")
    assert table.column_names == REJECTS.names and len(table) == 7
    counts = query_statistics(run, "SELECT * FROM rejects_by_reason").to_pylist()
    assert [(row["reason"], row["lines"]) for row in counts] == [("bad_json", 3), ("empty", 4)]


def test_parquet_tables_say_the_same(run: RunFolder, rows: list[Row]) -> None:
    folder = run.path("corpus/statistics")
    statistics = pq.read_table(folder / "statistics.parquet").to_pylist()
    keys = ("category", "language", "source")
    assert [tuple(row[k] for k in keys) for row in statistics] == sorted(
        {tuple(row[k] for k in keys) for row in rows}
    )
    for line in statistics:
        mine = [row for row in rows if all(row[key] == line[key] for key in keys)]
        kinds = Counter(row["duplicate_kind"] for row in mine)
        assert (line["documents"], line["kept_documents"]) == (len(mine), kinds[None])
        assert all(line[f"{kind}_duplicates"] == kinds[kind] for kind in KINDS)
        lengths = sorted(row["characters"] for row in kept(mine))
        assert line["length_p50"] == lengths[-(-len(lengths) // 2) - 1]
        assert line["bytes"] == total(kept(mine), "bytes")
    characters = pq.read_table(folder / "characters.parquet").to_pylist()
    for line in characters:
        mine = [r for r in kept(rows) if all(r[k] == line[k] for k in keys[:2])]
        assert line["documents"] == len(mine)
        for name in COUNTS:
            assert line[name] == total(mine, name)


def test_a_group_without_a_kept_document_is_counted(tmp_path: Path) -> None:
    documents = make_documents(random.Random(1), 3)
    gone = [
        {"id": d.id, "origin": d.origin, "keeper": "k", "jaccard": 1.0, "kind": "known", "later": 0}
        for d in documents
    ]
    run = write_inputs(tmp_path, documents, gone)
    (line, *_) = pq.read_table(count(run) / "statistics.parquet").to_pylist()
    assert line["known_duplicates"] == line["documents"] > line["kept_documents"] == 0
    assert line["length_p50"] == line["characters"] == 0
    for relation in VIEWS:
        query_statistics(run, f"SELECT * FROM {relation.name}")
    assert query_statistics(run, "SELECT kept FROM by_language").to_pylist()[0] == {"kept": 0}


def test_the_number_of_workers_changes_no_row(run: RunFolder, tmp_path: Path) -> None:
    for name in ("documents", "duplicates"):
        shutil.copytree(run.path(f"corpus/{name}"), tmp_path / "corpus" / name)
    other = RunFolder(tmp_path)
    count(other, workers=1)
    records = [each.record("corpus/statistics") for each in (run, other)]
    assert records[0] and records[1]
    assert records[0].files_with_hash == records[1].files_with_hash
    assert records[0].files[DATABASE].sha256 is None
    for relation in (*TABLES, *VIEWS):
        query = f"SELECT * FROM {relation.name} ORDER BY ALL"
        assert query_statistics(run, query) == query_statistics(other, query)


def test_what_a_killed_run_left_is_built_again(run: RunFolder, tmp_path: Path) -> None:
    for name in ("documents", "duplicates"):
        shutil.copytree(run.path(f"corpus/{name}"), tmp_path / "corpus" / name)
    partial = tmp_path / "corpus" / ".statistics.partial"
    partial.mkdir()
    for name in (DATABASE, f"{DATABASE}.wal"):
        (partial / name).write_bytes(b"half of it")
    folder = count(RunFolder(tmp_path))
    assert not partial.exists()
    names = {path.name for path in folder.iterdir()}
    tables = ("statistics.parquet", "characters.parquet", "rejects_by_reason.parquet")
    assert names == {DATABASE, "record.json", *tables}


def test_the_file_stands_alone(run: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "moved.duckdb"
    shutil.copy(run.path("corpus/statistics") / DATABASE, path)
    with duckdb.connect(str(path), read_only=True) as database:
        names = {row[0] for row in database.execute("SHOW TABLES").fetchall()}
        assert names == {relation.name for relation in (*TABLES, *VIEWS)}
        for name in names:
            assert database.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
        silent = database.execute(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND coalesce(comment, '') = ''"
        ).fetchall()
        assert silent == []
        query = "SELECT count(comment) FROM duckdb_views() WHERE NOT internal"
        assert database.execute(query).fetchall() == [(len(VIEWS),)]
    assert path.read_bytes()[12:16] == (64).to_bytes(4, "little")
    assert str(run.root).encode() not in path.read_bytes()


def test_duplicates_of_other_documents_are_refused(tmp_path: Path) -> None:
    chance = random.Random(3)
    documents = make_documents(chance, 60)
    duplicates = choose_duplicates(chance, documents)
    wrong = (
        list(reversed(duplicates)),
        [*duplicates, {**duplicates[-1], "origin": "another"}],
        [{**duplicates[0], "id": "f" * 32}, *duplicates[1:]],
    )
    for number, rows in enumerate(wrong):
        run = write_inputs(tmp_path / str(number), documents, rows)
        with pytest.raises(TongwenError, match="not those of the documents"):
            count(run)
        assert run.record("corpus/statistics") is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40), st.integers(1, 7))
def test_rows_are_found_beside_their_documents_whatever_the_groups(
    documents: list[tuple[int, bool]], group: int
) -> None:
    """Each document: how many rows it has, and whether a batch ends after it."""
    rows = [
        {"id": "same", "origin": str(i), "start": number, "stop": i}
        for i, (num_rows, _) in enumerate(documents)
        for number in range(num_rows)
    ]
    schema = pa.schema([("start", pa.int64()), ("stop", pa.int64())])
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "_ROWS_AT_ONCE", group)
        path = Path(folder) / "rows.parquet"
        pq.write_table(pa.Table.from_pylist(rows, CUTS), path, row_group_size=5)
        table = Beside(path, schema)
        found: list[tuple[str, int, int]] = []
        waiting: list[str] = []
        for number, (_, ends) in enumerate(documents):
            waiting.append(str(number))
            if ends or number + 1 == len(documents):
                keys = pa.array([f"same {origin}" for origin in waiting])
                places, part = table.find(keys)
                pairs = zip(places.tolist(), part.to_pylist(), strict=True)
                found += [(waiting[place], row["start"], row["stop"]) for place, row in pairs]
                waiting = []
        table.close()
    assert found == [(row["origin"], row["start"], row["stop"]) for row in rows]


def test_characters_are_those_that_others_read(run: RunFolder, rows: list[Row]) -> None:
    batches = list(read_kept(run, ["text", "prompt"]))
    texts = [row["prompt"] + row["text"] for batch in batches for row in batch.to_pylist()]
    assert list(map(len, texts)) == [row["characters"] for row in kept(rows)]
    assert sum(row["cut_characters"] > 0 for row in rows) > 100
    (line,) = query_statistics(run, "SELECT sum(characters) AS sum FROM by_source").to_pylist()
    assert line["sum"] == sum(map(len, texts))
