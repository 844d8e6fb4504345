"""Turns are a bijection, and documents are found where they were put and gone when erased."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.lineage.erase import Filling, erase_pieces
from buckets.lineage.places import write_places
from buckets.lineage.stage import StageBuckets, Visit
from buckets.schedule import Layout, Slice
from buckets.shards import ShardReader
from tests.buckets.made_stage import EOS, LENGTH, PIECES, Stage, make_runs, name_id, write_stage
from tongwen.record import hash_file, produce
from tongwen.run import RunFolder

SIZES = st.integers(1, 4)


@settings(deadline=None)
@given(SIZES, SIZES, SIZES, st.integers(0, 500))
def test_a_sequence_and_its_turn_lead_to_each_other(
    micro: int, ranks: int, number: int, sequence: int
) -> None:
    layout = Layout(micro * ranks * number, micro, ranks)
    turn = layout.find_turn(sequence)
    assert layout.find_sequence(turn) == sequence
    own = list(Slice(layout.global_batch_size, micro, turn.rank, ranks).indices(turn.iteration))
    assert own[turn.micro_batch][turn.place] == sequence


# Document 3 is longer than a sequence: it is split over both buckets.
STAGE: Stage = [
    [[(0, 0, 5), (1, 0, 7)], [(2, 0, 4), (4, 0, 6), (5, 0, 6)], [(3, 0, 16)]],
    [[(3, 16, 9), (6, 0, 7)], [(7, 0, 16)]],
    [[(8, 0, 3), (9, 0, 3)]],
]


def make_run(root: Path) -> RunFolder:
    def build(out: Path) -> dict:
        write_stage(out, STAGE)
        return {"tokens": 82, "fill": 0.0, "documents": 10, "split_documents": 2}

    (root / "buckets").mkdir(parents=True)
    produce(root / "buckets" / "s", kind="buckets/s", config={}, inputs={}, build=build)
    return RunFolder(root)


def test_documents_are_found_where_they_were_put(tmp_path: Path) -> None:
    stage = StageBuckets(make_run(tmp_path), "s")
    for bucket, sequences in enumerate(STAGE):
        for sequence, pieces in enumerate(sequences):
            assert stage.find_bucket(stage.find_number(bucket, sequence)) == (bucket, sequence)
            found = [(p.id, p.start, p.length) for p in stage.list_pieces(bucket, sequence)]
            assert found == [(name_id(n), start, length) for n, start, length in pieces]
    visits = stage.find_visits([name_id(3)])
    assert visits == [
        Visit(name_id(3), 0, 0, 16, 0, 2, 0),
        Visit(name_id(3), 0, 16, 9, 1, 0, 0),
    ]


def test_places_are_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    folder = make_run(tmp_path).finished("buckets/s")
    before = hash_file(folder / "places.parquet")
    write_places(folder, memory="1GB", workers=4)
    assert hash_file(folder / "places.parquet") == before
    rows = pq.read_table(folder / "places.parquet").to_pylist()
    keys = [(row["id"], row["epoch"], row["start"]) for row in rows]
    assert keys == sorted(keys) and len(keys) == 11


def test_erased_documents_leave_all_else_in_its_place(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    folder, stage = run.finished("buckets/s"), StageBuckets(run, "s")
    untouched = hash_file(folder / "bucket-00002.bin")
    visits = stage.find_visits([name_id(1), name_id(3), name_id(4)])
    counts = {"tokens": 82, "documents": 10, "split_documents": 2}
    new = erase_pieces(folder, visits, Filling(EOS, PIECES), counts)
    for bucket, sequences in enumerate(STAGE):
        reader = ShardReader(folder / f"bucket-{bucket:05}")
        for sequence, pieces in enumerate(sequences):
            packed, at = reader.read(sequence), 0
            right = np.concatenate([ids for ids, _ in make_runs(pieces)])
            for number, _, length in pieces:
                here = slice(at, at + length)
                gone = number in (1, 3, 4)
                assert packed.padding[here].all() == packed.padding[here].any() == gone
                assert np.array_equal(packed.tokens[here], np.full(length, EOS)) == gone
                assert gone or np.array_equal(packed.tokens[here], right[here])
                assert packed.opens[at] != gone and (not gone or not packed.learn[here].any())
                at += length
    assert hash_file(folder / "bucket-00002.bin") == untouched
    _check_tables(folder, new)
    assert StageBuckets(run, "s").find_visits([name_id(n) for n in (1, 3, 4)]) == []
    assert len(pq.read_table(folder / "places.parquet")) == 7


def _check_tables(folder: Path, counts: dict) -> None:
    rows = pq.read_table(folder / "buckets.parquet").to_pylist()
    balance = pq.read_table(folder / "balance.parquet").to_pylist()
    for row in rows:
        prefix = folder / f"bucket-{row['bucket']:05}"
        assert row["tokens"] == ShardReader(prefix).num_tokens
        assert row["tokens"] == sum(b["tokens"] for b in balance if b["bucket"] == row["bucket"])
        assert row["pieces"] == len(pq.read_table(folder / "plan" / f"{prefix.name}.parquet"))
        assert row["bin_sha256"] == hash_file(prefix.with_name(prefix.name + ".bin"))
        assert row["idx_sha256"] == hash_file(prefix.with_name(prefix.name + ".idx"))
    assert counts["tokens"] == sum(row["tokens"] for row in rows) == 82 - 7 - 25 - 6
    assert counts["documents"] == 7
    assert counts["fill"] == round(44 / (6 * LENGTH), 6)
