"""Questions to the statistics: they are answered, and nobody can do more than ask."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpus import open_statistics, query_statistics
from corpus.counting.sql import ask as ask_statistics
from corpus.counting.sql import describe_statistics
from corpus.counting.statistics import DATABASE
from corpus.counting.tables import TABLES
from corpus.counting.views import VIEWS
from tests.corpus.counted import Row, hash_files, kept, make_counted
from tongwen.cli import app
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


def test_descriptions_name_every_column(run: RunFolder) -> None:
    with open_statistics(run) as database:
        found = describe_statistics(database)
    assert {each.name for each in found} == {r.name for r in (*TABLES, *VIEWS)} | {"texts"}
    for each in found:
        assert each.comment and all(column.comment for column in each.columns)


HOSTILE = [
    "DROP TABLE documents",
    "DELETE FROM documents",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE OR REPLACE VIEW lengths AS SELECT 1",
    "COPY documents TO '{folder}/x.csv'",
    "COPY texts TO '{folder}/corpus/documents/part-00000.parquet' (FORMAT parquet)",
    "EXPORT DATABASE '{folder}/all'",
    "ATTACH '{folder}/other.duckdb'",
    "SELECT * FROM read_parquet('{folder}/corpus/documents/part-00000.parquet')",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM read_csv('/etc/hostname')",
    "SELECT * FROM '/etc/hostname'",
    "SELECT * FROM glob('/*')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET memory_limit = '1TB'",
    "RESET lock_configuration",
    "SELECT nothing FROM documents",
    "SELEC 1",
    "",
]


@pytest.mark.parametrize("query", HOSTILE)
def test_a_question_changes_nothing_and_reads_no_other_file(run: RunFolder, query: str) -> None:
    before = hash_files(run.root)
    with pytest.raises(TongwenError) as caught:
        query_statistics(run, query.format(folder=run.root))
    assert "by_category" in str(caught.value) and "texts" in str(caught.value)
    assert hash_files(run.root) == before


def test_an_error_says_what_duckdb_says(run: RunFolder) -> None:
    with pytest.raises(TongwenError, match=r"nothing.*not found"):
        query_statistics(run, "SELECT nothing FROM documents")
    with pytest.raises(TongwenError, match=r"漢|汉|plain|12|か|é|\x1b"):
        query_statistics(run, "SELECT error(text) FROM texts")


def test_texts_join_their_documents(run: RunFolder, rows: list[Row]) -> None:
    table = query_statistics(
        run,
        "SELECT origin, prompt, text, characters, cut_characters "
        "FROM texts JOIN documents USING (id, origin) WHERE kept AND category = '法律'",
    ).to_pylist()
    expected = {row["origin"] for row in kept(rows) if row["category"] == "法律"}
    assert {row["origin"] for row in table} == expected
    for row in table:
        cut = row["characters"] + row["cut_characters"]
        assert len(row["prompt"] + row["text"]) == cut


def test_questions_of_a_curator(run: RunFolder, rows: list[Row]) -> None:
    by_source = query_statistics(
        run,
        "SELECT source, documents, duplicate_share FROM by_source ORDER BY duplicate_share DESC",
    )
    shares = by_source["duplicate_share"].to_pylist()
    assert shares == sorted(shares, reverse=True) and len(shares) == 3
    traditional = query_statistics(
        run,
        "SELECT origin, traditional / (simplified + traditional) AS part FROM documents "
        "WHERE kept AND traditional > 0.3 * (simplified + traditional) ORDER BY part DESC, origin",
    )
    assert set(traditional["origin"].to_pylist()) == {
        row["origin"]
        for row in kept(rows)
        if row["traditional"] > 0.3 * (row["simplified"] + row["traditional"])
    }
    longest = query_statistics(
        run,
        "SELECT origin, characters, left(text, 60) AS beginning "
        "FROM documents JOIN texts USING (id, origin) "
        "WHERE category = '法律' AND kept ORDER BY characters DESC LIMIT 10",
    ).to_pylist()
    mine = sorted((r["characters"] for r in kept(rows) if r["category"] == "法律"), reverse=True)
    assert [row["characters"] for row in longest] == mine[:10]


def test_two_questions_at_a_time_and_spilling(run: RunFolder) -> None:
    with open_statistics(run) as one, open_statistics(run) as other:
        assert one.execute("FROM lengths").fetchall() == other.execute("FROM lengths").fetchall()
    before = hash_files(run.root)
    query = "SELECT concat(id, origin, i) AS name FROM documents, range(1000) numbers(i)"
    with open_statistics(run, memory=100_000_000, workers=1) as database:
        rows = ask_statistics(database, f"{query} ORDER BY name DESC").batches
        assert sum(batch.num_rows for batch in rows) == 700_000
    assert hash_files(run.root) == before


def test_statistics_that_are_not_there_are_one_message(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match="corpus/statistics is not there yet"):
        query_statistics(tmp_path, "SELECT 1")
    shutil.copytree(run.root, tmp_path / "copy")
    database = tmp_path / "copy" / "corpus" / "statistics" / DATABASE
    database.write_bytes(b"x" * 20_000)
    with pytest.raises(TongwenError, match="cannot be opened"):
        query_statistics(tmp_path / "copy", "SELECT 1")
    database.unlink()
    with pytest.raises(TongwenError, match=r"no stats\.duckdb"):
        query_statistics(tmp_path / "copy", "SELECT 1")


def test_without_documents_there_are_no_texts(run: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(run.path("corpus/statistics"), tmp_path / "corpus" / "statistics")
    assert query_statistics(tmp_path, "SELECT count(*) AS n FROM documents")["n"][0].as_py() == 700
    with pytest.raises(TongwenError, match="texts"):
        query_statistics(tmp_path, "SELECT * FROM texts")


@pytest.fixture(scope="module")
def recipe(run: RunFolder) -> str:
    """A recipe whose run folder is the one planted."""
    path = run.root.parent / "recipe.toml"
    path.write_text(
        f"""
        [run]
        folder = {json.dumps(str(run.root))}
        memory = "300MB"
        workers = 1
        [[corpus.inputs]]
        paths = ["a b.jsonl"]
        [tokenizer]
        base = "none.model"
        [[stages]]
        name = "one"
        mixture = [{{ share = 1.0 }}]
        [model]
        num_layers = 1
        hidden_size = 8
        ffn_hidden_size = 16
        num_attention_heads = 2
        num_query_groups = 2
        """,
        encoding="utf-8",
    )
    return str(path)


def ask(*words: str) -> str:
    done = CliRunner().invoke(app, ["corpus", "sql", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_recipe_is_asked_like_its_run_folder(recipe: str, run: RunFolder) -> None:
    query = "SELECT * FROM by_source"
    assert query_statistics(recipe, query) == query_statistics(run.root, query)


def test_without_a_question_everything_is_described(recipe: str) -> None:
    text = ask(recipe)
    for relation in (*TABLES, *VIEWS):
        assert f"{relation.name} ({relation.kind}): {relation.comment}" in text
    assert "texts (view)" in text and "traditional_part" in text and "varchar" in text


def test_csv_and_json_carry_every_row(recipe: str, rows: list[Row]) -> None:
    query = (
        "SELECT origin, text, kept, jaccard, sum(characters) OVER () AS whole, [1, 2] AS list, "
        "1 / 0 AS nothing, 'nan'::DOUBLE AS odd FROM documents JOIN texts USING (id, origin)"
    )
    found = json.loads(ask(recipe, query, "--json"))
    assert {row["origin"] for row in found} == {row["origin"] for row in rows}
    assert {row["whole"] for row in found} == {sum(row["characters"] for row in rows)}
    assert {(row["nothing"], row["odd"]) for row in found} == {(None, None)}
    lines = list(csv.DictReader(io.StringIO(ask(recipe, query, "--csv"), newline="")))
    plain = [
        {
            **row,
            "kept": str(row["kept"]).lower(),
            "jaccard": "" if row["jaccard"] is None else str(row["jaccard"]),
            "whole": str(row["whole"]),
            "list": "[1, 2]",
            "nothing": "",
            "odd": "",
        }
        for row in found
    ]
    key = "origin"
    assert sorted(lines, key=lambda r: r[key]) == sorted(plain, key=lambda r: r[key])
    assert len(json.loads(ask(recipe, query, "--json", "--limit", "3"))) == 3
    assert json.loads(ask(recipe, "SELECT 1 AS one WHERE false", "--json")) == []


def test_a_table_is_aligned_cut_and_harmless(recipe: str, rows: list[Row]) -> None:
    query = "SELECT text, characters FROM documents JOIN texts USING (id, origin) ORDER BY origin"
    assert any("\x1b" in line for line in query_statistics(recipe, query)["text"].to_pylist())
    lines = ask(recipe, query, "--limit", "5").splitlines()
    assert "\x1b" not in "".join(lines)
    shown = [line for line in lines if line and line.rstrip()[-1:].isdigit()]
    assert len(shown) == 5
    assert f"{1_234_567:,}" in ask(recipe, "SELECT 1234567 AS number")


def test_an_error_of_a_question_is_one_message(recipe: str) -> None:
    with pytest.raises(TongwenError, match=r"lengths"):
        CliRunner().invoke(app, ["corpus", "sql", recipe, "SELECT nothing"], catch_exceptions=False)
