"""Buckets changed afterwards: a new mixture, a takedown; nothing twice, nothing lost, the rest as
it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from buckets.lineage.forget import forget, plan_takedown
from buckets.lineage.remix import remix_stage
from buckets.lineage.trace import Lineage, trace_document, trace_position
from buckets.shards import ShardReader
from buckets.steps import build_stage
from tests.buckets.test_steps import hash_files, make_recipe, read_plan
from tests.buckets.test_steps import run as run
from tongwen.errors import TongwenError
from tongwen.recipe import Recipe
from tongwen.record import produce, read_record
from tongwen.run import RunFolder

CHINESE = [{"share": 0.7, "languages": ["zh"]}, {"share": 0.3, "languages": ["en"]}]
ENGLISH = [{"share": 0.4, "languages": ["zh"]}, {"share": 0.6, "languages": ["en"]}]


def make_config(recipe: Recipe) -> dict[str, Any]:
    names = {"name", "vocabulary", "tokens", "buckets", "mixture", "curriculum"}
    return {
        "buckets": recipe.buckets.model_dump(mode="json"),
        "stage": recipe.stages[0].model_dump(mode="json", include=names),
        "seed": recipe.run.seed,
    }


def build(run: RunFolder, folder: Path, model: Path) -> tuple[RunFolder, Recipe]:
    """A copy of the run with the buckets of stage `one`."""
    shutil.copytree(run.root, folder / "run")
    mine, recipe = RunFolder(folder / "run"), make_recipe(folder, model, mixture=CHINESE)
    produce(
        mine.path("buckets/one"),
        kind="buckets/one",
        config=make_config(recipe),
        inputs={},
        build=lambda out: build_stage(recipe, mine, out, stage="one"),
    )
    return mine, recipe


def check_whole(plan: pa.Table) -> None:
    """Every use of a document begins at its beginning and goes on without a gap, in order."""
    reached: dict[tuple[str, int], tuple[int, tuple[int, int]]] = {}
    rows = sorted(plan.to_pylist(), key=lambda r: (r["id"], r["epoch"], r["start"]))
    for row in rows:
        end, before = reached.get((row["id"], row["epoch"]), (0, (-1, -1)))
        place = (row["bucket"], row["sequence"])
        assert row["start"] == end and place > before
        reached[row["id"], row["epoch"]] = (end + row["length"], place)


@pytest.mark.parametrize("from_bucket", [1, 3])
def test_a_new_mixture_keeps_what_was_used_and_repeats_and_loses_nothing(
    run: RunFolder, model_path: Path, tmp_path: Path, from_bucket: int
) -> None:
    mine, _ = build(run, tmp_path, model_path)
    out = mine.path("buckets/one")
    before, files, identity = read_plan(out), hash_files(out), read_record(out)
    recipe = make_recipe(tmp_path, model_path, mixture=ENGLISH)
    stage, config = recipe.stages[0], make_config(recipe)
    remix_stage(recipe, mine, stage, config=config, inputs={}, from_bucket=from_bucket)
    after = read_plan(out)
    kept = [row for row in before.to_pylist() if row["bucket"] < from_bucket]
    assert [row for row in after.to_pylist() if row["bucket"] < from_bucket] == kept
    same = [
        name
        for name in files
        if name.endswith((".bin", ".idx")) and name < f"bucket-{from_bucket:05}"
    ]
    assert {name: files[name] for name in same} == {n: hash_files(out)[n] for n in same}
    check_whole(after)
    assert set(after.column("epoch").to_pylist()) == {1}
    left = [row for row in after.to_pylist() if row["bucket"] >= from_bucket]
    english = sum(row["length"] for row in left if row["language"] == "en")
    assert abs(english / sum(row["length"] for row in left) - 0.6) < 0.06
    record = read_record(out)
    assert identity is not None and record is not None
    assert record.content == identity.content and record.changes[0]["from_bucket"] == from_bucket
    assert pq.read_table(out / "buckets.parquet").column("mixture").to_pylist() == [
        int(bucket >= from_bucket) for bucket in range(4)
    ]


def test_a_takedown_leaves_everything_else_where_it_was(
    run: RunFolder, model_path: Path, tmp_path: Path
) -> None:
    mine, recipe = build(run, tmp_path, model_path)
    out = mine.path("buckets/one")
    before = read_plan(out)
    ids = before.column("id").to_pylist()
    gone = max(set(ids), key=lambda name: (ids.count(name), name))
    buckets = {row["bucket"] for row in before.to_pylist() if row["id"] == gone}
    files = hash_files(out)
    forget(Lineage(recipe, mine), plan_takedown(Lineage(recipe, mine), [gone]))
    after = read_plan(out)
    assert after.to_pylist() == [row for row in before.to_pylist() if row["id"] != gone]
    for bucket in range(4):
        name = f"bucket-{bucket:05}"
        assert (hash_files(out)[f"{name}.bin"] == files[f"{name}.bin"]) == (bucket not in buckets)
        reader = ShardReader(out / name)
        rows = [row for row in after.to_pylist() if row["bucket"] == bucket]
        assert reader.num_tokens == sum(row["length"] for row in rows)
    assert not trace_document(Lineage(recipe, mine), gone).visits
    other = tmp_path / "again"
    other.mkdir()
    build_stage(recipe, mine, other, stage="one")
    assert gone not in read_plan(other).column("id").to_pylist()


def test_an_unknown_document_is_named_and_nothing_changes(
    run: RunFolder, model_path: Path, tmp_path: Path
) -> None:
    mine, recipe = build(run, tmp_path, model_path)
    files = hash_files(mine.path("buckets/one"))
    with pytest.raises(TongwenError, match="0" * 32):
        plan_takedown(Lineage(recipe, mine), ["0" * 32])
    assert hash_files(mine.path("buckets/one")) == files


def test_a_place_is_traced_to_its_document_and_back(
    run: RunFolder, model_path: Path, tmp_path: Path
) -> None:
    mine, recipe = build(run, tmp_path, model_path)
    lineage = Lineage(recipe, mine)
    for row in read_plan(mine.path("buckets/one")).to_pylist()[::17]:
        found = trace_position(lineage, "one", row["bucket"], row["sequence"], row["offset"])
        assert found.piece is not None
        assert (found.piece.id, found.piece.origin) == (row["id"], row["origin"])
        assert found.document_token == row["start"]
        visits = trace_document(lineage, row["id"]).visits
        places = [(spot.bucket, spot.sequence) for _, spot in visits]
        assert (row["bucket"], row["sequence"]) in places
