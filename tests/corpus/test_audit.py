"""The audit counts what really happened: its figures are those of brute force in plain Python, and
a search that is worse, or wrong, is seen to be so."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash, MinHashLSH

from corpus import hash_shingle, jaccard, split_shingles, steps
from corpus.audit.auditing import Outcome, audit_documents, tabulate_pairs
from corpus.audit.edits import UNCHANGED
from corpus.audit.planting import plant_copies
from corpus.audit.sampling import sample_documents
from corpus.audit.tables import format_audit, make_tables, rate
from corpus.dedup import duplicates
from corpus.dedup.findings import Findings
from corpus.documents import ShardWriter
from corpus.reading.records import Rules
from tongwen.errors import TongwenError
from tongwen.recipe import Columns, Duplicates
from tongwen.run import RunFolder

Row = dict[str, Any]
HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]


def make_text(source: random.Random, language: str, length: int = 300) -> str:
    """Sentences of ten tokens that no other text has."""
    if language == "zh":
        tokens = [source.choice(HAN) for _ in range(length)]
    else:
        tokens = ["".join(source.choices("abcdefghij", k=6)) for _ in range(length)]
    glue, stop = ("", "。") if language == "zh" else (" ", ". ")
    rows = [glue.join(tokens[start : start + 10]) for start in range(0, length, 10)]
    return stop.join(rows)


def make_documents(seed: int, num: int) -> pa.Table:
    source = random.Random(seed)
    languages = ["zh" if number % 2 else "en" for number in range(num)]
    return pa.table(
        {
            "id": [f"{number:032x}" for number in range(num)],
            "category": [f"c{number % 3}" for number in range(num)],
            "language": languages,
            "text": [make_text(source, language) for language in languages],
        }
    )


@pytest.fixture(scope="module")
def documents() -> pa.Table:
    return make_documents(1, 150)


@pytest.fixture(scope="module")
def outcome(documents: pa.Table) -> Outcome:
    return audit_documents(documents, copies=2.0)


def list_texts(documents: pa.Table, outcome: Outcome) -> list[tuple[str, str]]:
    texts = documents["text"].to_pylist()
    return [(texts[copy.original], copy.text) for copy in outcome.copies]


def test_every_edit_is_planted_equally_often_where_it_applies(documents: pa.Table) -> None:
    copies = plant_copies(documents, 400, seed=2)
    texts, languages = (documents[name].to_pylist() for name in ("text", "language"))
    assert all(copy.text != texts[copy.original] for copy in copies)
    for language in ("zh", "en"):
        used = [copy.edit for copy in copies if languages[copy.original] == language]
        counts = [used.count(edit) for edit in set(used)]
        assert max(counts) - min(counts) <= 1 and len(counts) > 30
    assert copies == plant_copies(documents, 400, seed=2)
    assert copies != plant_copies(documents, 400, seed=3)


def test_counts_are_those_of_brute_force_in_plain_python(
    documents: pa.Table, outcome: Outcome
) -> None:
    similarity = [jaccard(one, other) for one, other in list_texts(documents, outcome)]
    assert outcome.planted.similarity.tolist() == similarity
    tables = make_tables(outcome)
    table = tabulate_pairs(outcome).to_pylist()
    assert [row["expected"] for row in table] == [value >= 0.8 for value in similarity]
    assert tables["totals"]["planted_expected"] == sum(value >= 0.8 for value in similarity) > 100
    for row in tables["by_perturbation"]:
        mine = [
            pair
            for pair in table
            if (pair["perturbation"], pair["strength"]) == (row["perturbation"], row["strength"])
        ]
        assert row["pairs"] == len(mine)
        assert row["found"] == sum(pair["expected"] and pair["found"] for pair in mine)
        assert row["missed"] == sum(pair["expected"] and not pair["found"] for pair in mine)
        assert row["left_alone"] + row["below"] == 2 * sum(not pair["expected"] for pair in mine)
        assert row["false_removals"] == 0 and row["precision"] in (None, 1.0)


def test_ranges_hold_every_similar_pair_once(outcome: Outcome) -> None:
    tables = make_tables(outcome)
    assert sum(row["pairs"] for row in tables["by_range"]) == len(outcome.every.pairs)
    assert all(not row["expected"] or not row["below"] for row in tables["by_range"])
    assert sum(row["pairs"] for row in tables["s_curve"]["measured"]) == len(outcome.copies)
    assert sum(row["pairs"] for row in tables["by_perturbation"]) == len(outcome.copies)
    assert sum(row["removed"] for row in tables["by_perturbation"]) == len(outcome.removed)


def test_ranges_do_not_mix_pairs_above_and_below_any_threshold(documents: pa.Table) -> None:
    tables = make_tables(audit_documents(documents.slice(0, 60), Duplicates(threshold=0.73)))
    assert all(not row["expected"] or not row["below"] for row in tables["by_range"])
    assert 0.73 in [row["from"] for row in tables["by_range"]]
    low = make_tables(audit_documents(documents.slice(0, 20), Duplicates(threshold=0.2)))
    assert low["by_range"][0]["from"] == low["parameters"]["floor"] == 0.2


def test_removals_that_no_copy_caused_are_counted_for_none(documents: pa.Table) -> None:
    """Originals that resemble each other, in the place of the last ones."""
    texts = documents["text"].to_pylist()
    doubles = [f"{text}。 end" for text in texts[:20]]
    place = documents.column_names.index("text")
    more = documents.set_column(place, "text", pa.array(texts[:-20] + doubles))
    outcome = audit_documents(more, copies=0.1)
    tables = make_tables(outcome)
    with_copy = sum(row["removed"] for row in tables["by_perturbation"])
    assert with_copy == int((outcome.copy_of_removal >= 0).sum())
    assert len(outcome.removed) - with_copy >= 15
    assert tables["totals"]["expected"] > tables["totals"]["planted_expected"]


def test_planted_copies_are_found_as_what_they_are(documents: pa.Table) -> None:
    outcome = audit_documents(documents)
    totals = make_tables(outcome)["totals"]
    assert totals["recall"] > 0.95 and totals["precision"] == 1.0
    for row in tabulate_pairs(outcome).to_pylist():
        if row["perturbation"] in UNCHANGED:
            assert (row["jaccard"], row["kind"], row["found"]) == (1.0, "normalized", True)
        assert row["found"] == (row["kind"] != "")


def test_candidates_are_those_of_datasketch(documents: pa.Table, outcome: Outcome) -> None:
    bands, rows = (int(str(outcome.parameters[name])) for name in ("bands", "rows"))
    for place in range(0, len(outcome.copies), 6):
        one, other = list_texts(documents, outcome)[place]
        sketches = [MinHash(num_perm=128, hashfunc=hash_shingle) for _ in range(2)]
        for sketch, text in zip(sketches, (one, other), strict=True):
            sketch.update_batch(split_shingles(text))
        index = MinHashLSH(num_perm=128, params=(bands, rows))
        index.insert("one", sketches[0])
        assert bool(index.query(sketches[1])) == outcome.planted.candidate[place]


def test_measured_candidates_lie_on_the_curve(outcome: Outcome) -> None:
    for point in make_tables(outcome)["s_curve"]["measured"]:
        slack = 4 * (0.25 / point["pairs"]) ** 0.5
        assert point["share"] == pytest.approx(point["foretold"], abs=slack)


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[Findings], Findings]) -> None:
    """Let the search find something else than it did."""
    search = duplicates.find_duplicates
    monkeypatch.setattr(
        duplicates, "find_duplicates", lambda *args, **more: change(search(*args, **more))
    )


def test_a_search_that_misses_has_its_recall(
    documents: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(found: Findings) -> Findings:
        half = slice(0, None, 2)
        return replace(
            found, rows=found.rows[half], keepers=found.keepers[half], kinds=found.kinds[half]
        )

    spoil(monkeypatch, forget)
    totals = make_tables(audit_documents(documents))["totals"]
    assert 0.3 < totals["recall"] < 0.7 and totals["precision"] == 1.0
    assert totals["missed"] == totals["expected"] - totals["found"] > 20


def test_a_search_that_removes_the_wrong_one_has_its_precision(
    documents: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confuse(found: Findings) -> Findings:
        return replace(found, keepers=np.where(found.rows % 4 == 0, 0, found.keepers))

    spoil(monkeypatch, confuse)
    totals = make_tables(audit_documents(documents))["totals"]
    assert totals["false_removals"] > 10
    assert totals["precision"] == 1 - totals["false_removals"] / totals["removed"]
    assert totals["recall"] < 0.95


def test_rates_without_a_denominator_are_null() -> None:
    assert rate(0, 0, 0, 0) == {"recall": None, "precision": None, "f1": None}
    assert rate(3, 4, 3, 3) == {"recall": 0.75, "precision": 1.0, "f1": 1.5 / 1.75}


def test_other_rules_of_the_recipe_do_not_reach_the_audit(documents: pa.Table) -> None:
    strict = Duplicates(keep="priority", priority=("x",), against=("none",), paragraphs=1)
    few = documents.slice(0, 40)
    one, other = audit_documents(few, strict), audit_documents(few, Duplicates())
    assert tabulate_pairs(one).equals(tabulate_pairs(other))


def write_shards(folder: Path, rows: list[Row], **sizes: Any) -> Path:
    folder.mkdir(parents=True)
    with ShardWriter(folder, **sizes) as writer:
        for line, row in enumerate(rows, 1):
            rules = Rules(Columns(), "f.jsonl", row["category"], row["language"], "s", 10**6)
            writer.write(rules.make_document({"text": row["text"]}, line))
    return folder


def test_sample_is_spread_and_depends_on_the_documents_alone(tmp_path: Path) -> None:
    source = random.Random(11)
    rows = [
        {"category": category, "language": language, "text": make_text(source, language, 90)}
        for category, language, num in (("a", "zh", 60), ("b", "zh", 3), ("a", "en", 20))
        for _ in range(num)
    ]
    short = [{"category": "d", "language": "zh", "text": "短"}]
    one = write_shards(tmp_path / "one", [*rows, *rows, *short])
    other = write_shards(tmp_path / "other", rows[::-1], shard_bytes=2000, group_bytes=700)
    samples = [
        sample_documents(folder, 20, scratch=tmp_path, memory=10**9, workers=workers)
        for folder, workers in ((one, 1), (other, 3))
    ]
    assert samples[0].equals(samples[1]) and samples[0].num_rows == 20
    groups = [(row["category"], row["language"]) for row in samples[0].to_pylist()]
    assert groups.count(("b", "zh")) == 3 and groups.count(("a", "en")) in (8, 9)
    assert len(set(samples[0]["text"].to_pylist())) == 20
    everything = sample_documents(one, 1000, scratch=tmp_path, memory=10**9)
    assert sorted(everything["text"].to_pylist()) == sorted(row["text"] for row in rows)


def test_a_question_is_part_of_the_text(tmp_path: Path) -> None:
    rules = Rules(Columns(), "f.jsonl", "qa", "en", "s", 10**6)
    with ShardWriter(tmp_path) as writer:
        writer.write(rules.make_document({"source": "why " * 20, "target": "so " * 9}, 1))
    sample = sample_documents(tmp_path, 5, scratch=tmp_path, memory=10**9)
    assert sample["text"].to_pylist() == [f"{'why ' * 20}\n{'so ' * 9}"]


def build_audit(home: Path, recipe: Any) -> tuple[Path, Row]:
    out = home / "out"
    out.mkdir()
    return out, steps.build_audit(recipe, RunFolder(home), out)


def test_step_writes_the_same_bytes_for_any_number_of_workers(
    documents: pa.Table, make_recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "finished", RunFolder.path)
    found: list[list[bytes]] = []
    for name, workers in (("one", 1), ("three", 3)):
        home = tmp_path / name
        write_shards(home / "corpus" / "documents", documents.to_pylist(), group_bytes=9000)
        recipe = make_recipe(
            {"paths": ["a"]}, run={"workers": workers}, audit={"documents": 60, "copies": 0.5}
        )
        out, counts = build_audit(home, recipe)
        names = ["audit.json", "audit.parquet"]
        assert sorted(path.name for path in out.iterdir()) == names
        found.append([(out / name).read_bytes() for name in names])
        assert (counts["documents"], counts["copies"], counts["false_removals"]) == (60, 30, 0)
        assert pq.read_table(out / "audit.parquet").num_rows == 30
        printed = format_audit(out)
        assert all(row["perturbation"] in printed for row in _read(out)["by_perturbation"])
        assert f"recall {counts['recall']:.4f}" in printed
    assert found[0] == found[1]


def _read(out: Path) -> Row:
    return json.loads((out / "audit.json").read_text(encoding="utf-8"))


def test_documents_too_short_to_edit_are_an_error(
    make_recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "finished", RunFolder.path)
    row = {"category": "c", "language": "zh", "text": "短"}
    write_shards(tmp_path / "corpus" / "documents", [row])
    with pytest.raises(TongwenError, match="none can be edited"):
        build_audit(tmp_path, make_recipe({"paths": ["a"]}))
