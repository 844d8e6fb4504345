"""The two steps over a run folder: right files, the same bytes each time, nothing held out used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece

from buckets.building import writing
from buckets.shards import ShardReader
from buckets.steps import build_held_out, build_stage
from corpus import choose_held_out
from tongwen.errors import TongwenError
from tongwen.recipe import Recipe, parse_recipe
from tongwen.record import produce
from tongwen.run import RunFolder

SIZES = {
    ("zh", "law"): (400, 70),
    ("zh", "qa"): (120, 50),
    ("en", "books"): (300, 60),
    ("en", "notes"): (150, 30),
}
LENGTH = 64
ALL = 90_000
"""More tokens than there are."""
DUPLICATE = pa.schema(
    {
        "id": pa.string(),
        "origin": pa.string(),
        "keeper": pa.string(),
        "jaccard": pa.float64(),
        "kind": pa.string(),
    }
)
NAMES = ("id", "text", "prompt", "category", "language", "source", "origin")
DOCUMENT = pa.schema([(name, pa.string()) for name in NAMES])


def write_documents(rows: list[dict[str, str]]) -> Callable[[Path], dict[str, Any]]:
    def write(out: Path) -> dict[str, Any]:
        table = pa.Table.from_pylist(rows, schema=DOCUMENT)
        for number in range(2):
            part = table.slice(number * len(rows) // 2, len(rows) // 2)
            pq.write_table(part, out / f"part-{number:05}.parquet", row_group_size=100)
        return {}

    return write


def write_duplicates(rows: list[dict[str, str]]) -> Callable[[Path], dict[str, Any]]:
    """Every 20th document is a duplicate of the one before it."""

    def write(out: Path) -> dict[str, Any]:
        pairs = [(rows[i], rows[i - 1]) for i in range(20, len(rows), 20)]
        marks = [
            {"id": a["id"], "origin": a["origin"], "keeper": b["id"], "jaccard": 0.9}
            | {"kind": "near"}
            for a, b in pairs
        ]
        pq.write_table(pa.Table.from_pylist(marks, DUPLICATE), out / "duplicates.parquet")
        return {}

    return write


def write_vocabulary(out: Path) -> dict[str, Any]:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(
            ["天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏" * 3, "the lazy dog"]
        ),
        model_prefix=str(out / "tokenizer"),
        vocab_size=310,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return {}


def make_recipe(folder: Path, model: Path, **changes: Any) -> Recipe:
    stage = {
        "name": "one",
        "tokens": 6_000,
        "buckets": 4,
        "mixture": [
            {"share": 0.7, "languages": ["zh"]},
            {"share": 0.3, "languages": ["en"], "max_epochs": 2.0},
        ],
    }
    table: dict[str, Any] = {
        "run": {"folder": "run", "workers": changes.pop("workers", 1)},
        "corpus": {"inputs": [{"paths": ["*.jsonl"]}]},
        "tokenizer": {"base": str(model), "size": 400},
        "buckets": {"sequence_length": LENGTH, "held_out_documents": 3},
        "stages": [stage | changes],
        "model": {
            "num_layers": 1,
            "hidden_size": 8,
            "ffn_hidden_size": 8,
            "num_attention_heads": 1,
            "num_query_groups": 1,
        },
    }
    return parse_recipe(table, home=folder)


@pytest.fixture(scope="module")
def run(rows_of: Callable, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder whose corpus and vocabulary are finished."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    rows = rows_of(5, SIZES)
    steps = {
        "corpus/documents": write_documents(rows),
        "corpus/duplicates": write_duplicates(rows),
        "tokenizer/vocabulary": write_vocabulary,
    }
    for name, build in steps.items():
        produce(folder.path(name), kind=name, config={}, inputs={}, build=build)
    return folder


def hash_files(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def read_plan(out: Path) -> pa.Table:
    return pa.concat_tables(map(pq.read_table, sorted((out / "plan").glob("*.parquet"))))


def test_same_bytes_whatever_the_workers(run: RunFolder, model_path: Path, tmp_path: Path) -> None:
    hashes = []
    for number, workers in enumerate((1, 1, 2)):
        out = tmp_path / str(number)
        out.mkdir()
        recipe = make_recipe(tmp_path, model_path, workers=workers)
        counts = build_stage(recipe, run, out, stage="one")
        held_out = build_held_out(recipe, run, out)
        hashes.append((hash_files(out), counts, held_out))
    assert hashes[0] == hashes[1] == hashes[2]


def test_files_and_counts_of_a_stage(run: RunFolder, model_path: Path, tmp_path: Path) -> None:
    counts = build_stage(make_recipe(tmp_path, model_path), run, tmp_path, stage="one")
    tables = ["balance.parquet", "buckets.parquet", "groups.parquet", "mixture.parquet"]
    tables += ["order.json", "places.parquet", "plan"]
    shards = [f"bucket-{i:05}.{kind}" for i in range(4) for kind in ("bin", "idx")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(tables + shards)
    readers = [ShardReader(tmp_path / f"bucket-{i:05}") for i in range(4)]
    assert all(reader.sequence_length == LENGTH for reader in readers)
    assert counts["sequences"] == sum(len(reader) for reader in readers)
    assert counts["tokens"] == sum(reader.num_tokens for reader in readers)
    assert abs(int(counts["tokens"]) - 6_000) <= LENGTH
    plan = read_plan(tmp_path)
    uses = plan.group_by(["id", "epoch"]).aggregate([("start", "max")])
    assert counts["documents"] == uses.num_rows
    split = sum(start > 0 for start in uses.column("start_max").to_pylist())
    # A long document may be reached by the end of the budget within its first sequences.
    assert 0 < split <= int(counts["split_documents"]) <= split + 4
    assert (counts["buckets"], counts["bins"]) == (4, 4)
    places = int(counts["sequences"]) * LENGTH
    assert counts["fill"] == round(float(counts["tokens"]) / places, 6)
    assert float(counts["fill"]) > 0.9 and 0 < float(counts["largest_deviation_points"]) < 5


def test_held_out_and_duplicates_are_never_planned(
    run: RunFolder, model_path: Path, tmp_path: Path
) -> None:
    """Even where a stage uses all that there is."""
    with pytest.raises(TongwenError):
        every = make_recipe(tmp_path, model_path, tokens=10**7, mixture=[{"share": 1}])
        build_stage(every, run, tmp_path, stage="one")
    recipe = make_recipe(tmp_path, model_path, tokens=ALL, mixture=[{"share": 1, "max_epochs": 9}])
    out = tmp_path / "other"
    out.mkdir()
    build_stage(recipe, run, out, stage="one")
    planned = set(read_plan(out).column("id").to_pylist())
    held_out = set(choose_held_out(run, 3).column("id").to_pylist())
    duplicates = run.path("corpus/duplicates") / "duplicates.parquet"
    dropped = set(pq.read_table(duplicates).column("id").to_pylist())
    assert len(held_out) == 12 and len(dropped) > 30
    assert not planned & held_out and not planned & dropped
    parts = sorted(run.path("corpus/documents").glob("part-*.parquet"))
    rows = pq.read_table([str(part) for part in parts]).column("id").to_pylist()
    assert planned == set(rows) - held_out - dropped, "a second epoch uses every document"


def test_held_out_shards_of_both_vocabularies(
    run: RunFolder, model_path: Path, tmp_path: Path
) -> None:
    counts = build_held_out(make_recipe(tmp_path, model_path), run, tmp_path)
    table = pq.read_table(tmp_path / "held_out.parquet").to_pylist()
    chosen = choose_held_out(run, 3).to_pylist()
    wanted = [(row["id"], row["category"], row["language"]) for row in chosen]
    assert [(row["id"], row["category"], row["language"]) for row in table] == wanted
    assert [row["sequence"] for row in table] == list(range(len(table)))
    base, extended = (ShardReader(tmp_path / name) for name in ("base", "extended"))
    assert len(base) == len(extended) == len(table) == counts["documents"]
    assert base.num_tokens != extended.num_tokens
    models = (model_path, run.path("tokenizer/vocabulary") / "tokenizer.model")
    for reader, model in zip((base, extended), models, strict=True):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        for row in table:
            packed = reader.read(row["sequence"])
            text = processor.decode(packed.tokens[packed.learn].tolist())
            assert (len(text), len(text.encode())) == (row["characters"], row["bytes"])
    assert counts["characters"] == sum(row["characters"] for row in table)


def test_nothing_to_hold_out_is_an_error(
    rows_of: Callable, model_path: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    rows = rows_of(1, {("zh", "law"): (4, 10)})
    builds = (write_documents(rows), write_duplicates(rows), write_vocabulary)
    names = ("corpus/documents", "corpus/duplicates", "tokenizer/vocabulary")
    for name, build in zip(names, builds, strict=True):
        produce(run.path(name), kind=name, config={}, inputs={}, build=build)
    with pytest.raises(TongwenError, match="no document can be held out"):
        build_held_out(make_recipe(tmp_path, model_path), run, tmp_path)


def test_what_lies_in_the_shards_is_the_text(
    run: RunFolder, model_path: Path, tmp_path: Path
) -> None:
    """Every use whole, its pieces in order, and the line of input that it came from."""
    recipe = make_recipe(tmp_path, model_path, tokens=ALL, mixture=[{"share": 1, "max_epochs": 9}])
    build_stage(recipe, run, tmp_path, stage="one")
    vocabulary = run.path("tokenizer/vocabulary") / "tokenizer.model"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary))
    parts = sorted(run.path("corpus/documents").glob("part-*.parquet"))
    rows = {row["id"]: row for part in parts for row in pq.read_table(part).to_pylist()}
    readers = [ShardReader(tmp_path / f"bucket-{i:05}") for i in range(4)]
    found: dict[tuple[str, int], list[int]] = {}
    lengths: dict[str, set[int]] = {}
    for piece in read_plan(tmp_path).to_pylist():
        ids = found.setdefault((piece["id"], piece["epoch"]), [])
        assert len(ids) == piece["start"]
        tokens = readers[piece["bucket"]].read(piece["sequence"]).tokens
        ids += tokens[piece["offset"] :][: piece["length"]].tolist()
        assert piece["origin"] == rows[piece["id"]]["origin"]
    for (name, epoch), ids in found.items():
        row = rows[name]
        expected = [*processor.encode(row["prompt"]), *processor.encode(row["text"])]
        whole = [processor.bos_id(), *expected, processor.eos_id()]
        last = max(each for other, each in found if other == name)
        assert ids == whole or (epoch == last and ids == whole[: len(ids)])
        lengths.setdefault(name, set()).add(len(ids))
    assert len(found) > len(lengths) > 100


def test_a_build_that_stopped_goes_on_and_ends_with_the_same_bytes(
    run: RunFolder, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(tmp_path, model_path)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
    build_stage(recipe, run, whole, stage="one")
    write = writing.write_packed

    def stop(prefix: Path, *arguments: Any, **more: Any) -> Any:
        if prefix.name == "bucket-00002":
            raise KeyboardInterrupt
        return write(prefix, *arguments, **more)

    monkeypatch.setattr(writing, "write_packed", stop)
    with pytest.raises(KeyboardInterrupt):
        build_stage(recipe, run, stopped, stage="one")
    monkeypatch.setattr(writing, "write_packed", write)
    before = (stopped / "bucket-00000.bin").stat().st_mtime_ns
    build_stage(recipe, run, stopped, stage="one")
    assert (stopped / "bucket-00000.bin").stat().st_mtime_ns == before
    assert hash_files(stopped) == hash_files(whole)


def test_the_order_of_the_documents_changes_no_byte(
    rows_of: Callable, model_path: Path, tmp_path: Path
) -> None:
    hashes = []
    for number in range(2):
        made = RunFolder(tmp_path / str(number))
        rows = rows_of(5, SIZES)
        builds = {
            "corpus/duplicates": write_duplicates(rows[:1]),
            "corpus/documents": write_documents(rows[:: 1 - 2 * number]),
            "tokenizer/vocabulary": write_vocabulary,
        }
        for name, build in builds.items():
            produce(made.path(name), kind=name, config={}, inputs={}, build=build)
        out = tmp_path / f"out-{number}"
        out.mkdir()
        build_stage(make_recipe(tmp_path, model_path), made, out, stage="one")
        hashes.append(hash_files(out))
    assert hashes[0] == hashes[1]


def test_a_curriculum_gives_short_documents_first(
    run: RunFolder, model_path: Path, tmp_path: Path
) -> None:
    changes = {"curriculum": {"by": "length"}, "mixture": [{"share": 1}]}
    build_stage(make_recipe(tmp_path, model_path, **changes), run, tmp_path, stage="one")
    plan = read_plan(tmp_path)
    zh = plan.filter(pa.array([name == "zh" for name in plan.column("language").to_pylist()]))
    whole = zh.group_by(["id"]).aggregate([("length", "sum"), ("bucket", "min")])
    table = whole.group_by(["bucket_min"]).aggregate([("length_sum", "mean")])
    means = table.sort_by("bucket_min").column("length_sum_mean").to_pylist()
    assert means[0] < means[1] and means[-1] > 1.5 * means[0]
