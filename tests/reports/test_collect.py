"""Every figure of the summary equals one counted anew from the files, row by row."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.collect import collect, collect_machine
from reports.read.training import thin
from tongwen import Recipe, RunFolder

Row = dict[str, Any]
BuildRun = Callable[..., tuple[Recipe, RunFolder]]


@pytest.fixture(scope="module")
def data(finished: tuple[Recipe, RunFolder]) -> Row:
    return collect(*finished)


def _rows(run: RunFolder, name: str) -> list[Row]:
    return pq.read_table(run.path(name)).to_pylist()


def _events(run: RunFolder, stage: str) -> list[Row]:
    text = (run.path(f"train/{stage}") / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_documents_and_duplicates(finished: tuple[Recipe, RunFolder], data: Row) -> None:
    rows = _rows(finished[1], "corpus/statistics/statistics.parquet")
    rejects = _rows(finished[1], "corpus/documents/rejects.parquet")
    summary = data["summary"]
    lost = sum(row["documents"] - row["kept_documents"] for row in rows)
    assert summary["documents"] == sum(row["documents"] for row in rows)
    assert summary["kept_documents"] == sum(row["kept_documents"] for row in rows)
    assert summary["characters"] == sum(row["characters"] for row in rows)
    assert summary["duplicates"] == lost
    assert summary["duplicates_share"] == lost / summary["documents"]
    assert summary["lines_read"] == summary["documents"] + len(rejects)


def test_the_flow_adds_up(data: Row) -> None:
    from reports.sections.corpus import list_flow

    flow = data["corpus"]["flow"]
    assert sum(lines for _, lines, _ in list_flow(flow)) == flow["lines_read"]


def test_groups_and_sources_add_up_to_the_whole(data: Row) -> None:
    for table in (data["corpus"]["by_group"], data["corpus"]["by_source"]):
        for name in ("documents", "kept_documents", "characters"):
            assert sum(row[name] for row in table) == data["corpus"]["flow"][name]


def test_similarity_counts_every_near_duplicate(
    finished: tuple[Recipe, RunFolder], data: Row
) -> None:
    near = [
        row["jaccard"]
        for row in _rows(finished[1], "corpus/duplicates/duplicates.parquet")
        if row["kind"] == "near"
    ]
    steps = data["corpus"]["similarity"]
    assert sum(step["documents"] for step in steps) == len(near)
    for step in steps[:-1]:
        found = sum(step["from"] <= jaccard < round(step["from"] + 0.02, 2) for jaccard in near)
        assert step["documents"] == found


def test_compression_and_unchanged_english(finished: tuple[Recipe, RunFolder], data: Row) -> None:
    tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
    characters: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in _rows(finished[1], "tokenizer/comparison/comparison.parquet"):
        tokens[row["tokenizer"], row["language"]] += row["tokens"]
        characters[row["tokenizer"], row["language"]] += row["characters"]
    rate = {key: tokens[key] / characters[key] for key in tokens}
    (row,) = data["summary"]["compression"]
    assert row["language"] == "zh"
    assert row["base"] == rate["base", "zh"]
    assert row["extended"] == rate["extended", "zh"]
    assert math.isclose(row["ratio"], tokens["extended", "zh"] / tokens["base", "zh"])
    assert math.isclose(row["to_reference"], rate["extended", "zh"] / rate["Chinese-LLaMA-2", "zh"])
    assert data["summary"]["unchanged"] == [
        {"language": "en", "lines": 420, "changed": 0, "with_chinese": 3}
    ]


def test_largest_deviation_and_fill(finished: tuple[Recipe, RunFolder], data: Row) -> None:
    recipe, run = finished
    worst = 0.0
    for stage in data["buckets"]["stages"]:
        balance = _rows(run, f"buckets/{stage['name']}/balance.parquet")
        for row in balance:
            bucket = [other for other in balance if other["bucket"] == row["bucket"]]
            held = row["tokens"] / sum(other["tokens"] for other in bucket)
            wanted = row["target_tokens"] / sum(other["target_tokens"] for other in bucket)
            worst = max(worst, abs(held - wanted))
        sequences: defaultdict[int, set[int]] = defaultdict(set)
        tokens: defaultdict[int, int] = defaultdict(int)
        for row in _rows(run, f"buckets/{stage['name']}/plan/bucket-00000.parquet"):
            sequences[row["bucket"]].add(row["sequence"])
            tokens[row["bucket"]] += row["length"]
        for row in stage["fill"]:
            room = len(sequences[row["bucket"]]) * recipe.buckets.sequence_length
            assert row["fill"] == tokens[row["bucket"]] / room
    assert math.isclose(data["summary"]["largest_deviation"], worst)


def test_bits_before_and_after(finished: tuple[Recipe, RunFolder], data: Row) -> None:
    first = [e for e in _events(finished[1], "foundation") if e["event"] == "evaluation"]
    last = [e for e in _events(finished[1], "replay") if e["event"] == "evaluation"]
    for row in data["summary"]["bits_per_character"]:
        assert row["before"] == first[-1]["bits_per_character"][row["language"]]
        assert row["after"] == last[-1]["bits_per_character"][row["language"]]
        assert math.isclose(row["ratio"], row["after"] / row["before"])


def test_stages_follow_one_another_on_the_axis(
    finished: tuple[Recipe, RunFolder], data: Row
) -> None:
    stages = data["training"]["stages"]
    offset = 0
    for stage in stages:
        events = _events(finished[1], stage["name"])
        assert stage["first_tokens"] == offset
        offset += max(event["tokens"] for event in events)
        assert stage["last_tokens"] == offset
        assert stage["not_finite"] == 1


def test_without_a_base_stage_before_is_the_start(tmp_path: Path, build_run: BuildRun) -> None:
    stages = (("injection", "extended"), ("replay", "extended"))
    run = build_run(tmp_path, stages=stages, iterations=5, scale=5)
    training = collect(*run)["training"]
    before = training["milestones"][training["before"]]
    assert (before["stage"], before["at"]) == ("injection", "start")


def test_machine_holds_the_times(finished: tuple[Recipe, RunFolder]) -> None:
    recipe, run = finished
    machine = collect_machine(recipe, run)
    records = [run.record(name) for name in machine["outputs"]]
    assert len(records) == 14
    assert machine["seconds"] == math.fsum(record.seconds for record in records if record)
    assert machine["peak_memory_bytes"] == max(r.peak_memory_bytes for r in records if r)
    assert machine["tokens_per_second"]["replay"] == 902


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(-10, 10)), min_size=1, max_size=60), st.integers(1, 20)
)
def test_a_thinned_curve_keeps_its_end_and_stays_within_its_values(
    losses: list[float | None], limit: int
) -> None:
    rows = [
        {"iteration": i, "tokens": i, "loss": loss, "learning_rate": 0.1, "grad_norm": None}
        for i, loss in enumerate(losses)
    ]
    thinned = thin(rows, limit)
    assert len(thinned) == min(limit, len(rows))
    assert thinned[-1]["iteration"] == rows[-1]["iteration"]
    present = [loss for loss in losses if loss is not None]
    for row in thinned:
        assert row["grad_norm"] is None
        if row["loss"] is not None:
            assert min(present) - 1e-9 <= row["loss"] <= max(present) + 1e-9
