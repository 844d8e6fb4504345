"""Documents taken out of a stage's buckets, everything else left in its place.

Their pieces become padding where they lay, so no position, iteration or rank of anything else
changes.  Only the buckets that hold a piece are written anew, under another name that is then
renamed, since the output's files are shared with the one that is being changed.

The price: a bucket concerned is written sequence by sequence, and places.parquet as a whole.
mixture.parquet, groups.parquet and order.json stay: they tell of the stage as it was built.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from buckets.lineage.places import PLACES, open_places, regroup
from buckets.lineage.stage import Visit
from buckets.lineage.tables import plan_path, write_table
from buckets.shards import PADDING, Run, ShardReader, ShardWriter, bin_path, idx_path
from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.record import Counts, hash_file

_Spans = dict[int, list[tuple[int, int]]]


@dataclass(frozen=True)
class Filling:
    """What a shard is filled up with: an id, of a vocabulary of so many pieces."""

    padding: int
    num_pieces: int


def erase_pieces(
    out: Path, visits: Sequence[Visit], filling: Filling, counts: Mapping[str, int | float | str]
) -> Counts:
    """Take pieces out of a stage's folder; the function that `amend_output` is given.

    Args:
        visits: every piece of the documents that go.
        counts: of the record as it is.

    Returns:
        The counts of the record from now on.
    """
    ids = pa.array(sorted({visit.id for visit in visits}), pa.string())
    spans: dict[int, _Spans] = defaultdict(lambda: defaultdict(list))
    for visit in visits:
        spans[visit.bucket][visit.sequence].append((visit.offset, visit.offset + visit.length))
    removed: Counter[tuple[int, str]] = Counter()
    with progress("taking documents out", total=len(spans), unit="buckets") as advance:
        for bucket in sorted(spans):
            blank_shard(out / f"bucket-{bucket:05}", spans[bucket], filling)
            removed += _filter_plan(plan_path(out, bucket), bucket, ids)
            advance(1)
    _filter_places(out, ids)
    _correct_balance(out, removed)
    return _correct_buckets(out, sorted(spans), visits, counts)


def blank_shard(prefix: Path, spans: Mapping[int, list[tuple[int, int]]], filling: Filling) -> None:
    """Write padding over spans [start, stop) of a shard's sequences, in a new file.

    Raises:
        TongwenError: a span is not of whole runs.
    """
    partial = prefix.with_name(f".{prefix.name}.forget")
    reader = ShardReader(prefix)
    with ShardWriter(partial, filling.num_pieces) as writer:
        for number in range(len(reader)):
            runs: list[Run] = [(ids, int(mode)) for ids, mode in reader.read_runs(number)]
            if number in spans:
                runs = _blank_runs(runs, spans[number], filling.padding, prefix, number)
            writer.write_sequence(runs)
    for path in (bin_path, idx_path):
        path(partial).replace(path(prefix))


def _blank_runs(
    runs: list[Run], spans: list[tuple[int, int]], padding: int, prefix: Path, number: int
) -> list[Run]:
    """The runs with padding in place of the spans; neighbouring padding is one run."""
    blank: list[Run] = []
    covered = at = 0
    for ids, mode in runs:
        end = at + len(ids)
        if any(start <= at and end <= stop for start, stop in spans):
            covered += end - at
            ids, mode = np.full(end - at, padding, np.int32), int(PADDING)
        if mode == PADDING and blank and blank[-1][1] == PADDING:
            ids = np.concatenate([blank.pop()[0], ids])
        blank.append((ids, mode))
        at = end
    if covered != sum(stop - start for start, stop in spans):
        raise TongwenError(
            "the plan does not fit the shard",
            where=f"{prefix}, sequence {number}",
            expected="pieces that are whole runs of the shard",
            do=f"build the buckets again: tongwen run RECIPE --redo buckets/{prefix.parent.name}",
        )
    return blank


def _filter_plan(path: Path, bucket: int, ids: pa.Array) -> Counter[tuple[int, str]]:
    """Write a bucket's plan without the documents; returns the tokens that each bin lost."""
    plan = pq.read_table(path)
    gone_P = np.isin(plan.column("id").to_numpy(), ids.to_numpy(zero_copy_only=False))
    removed: Counter[tuple[int, str]] = Counter()
    lost = plan.filter(pa.array(gone_P)).select(["bin", "length"]).to_pydict()
    for name, length in zip(lost["bin"], lost["length"], strict=True):
        removed[bucket, name] += length
    write_table(path, plan.filter(pa.array(~gone_P)))
    return removed


def _filter_places(out: Path, ids: pa.Array) -> None:
    partial = out / f".{PLACES}.partial"
    with pq.ParquetFile(out / PLACES) as file, open_places(partial) as writer:
        total = file.metadata.num_rows
        with progress("noting where documents went", total=total, unit="pieces") as advance:
            for group in regroup(_drop(file, ids)):
                writer.write_batch(group)
                advance(group.num_rows)
    partial.replace(out / PLACES)


def _drop(file: pq.ParquetFile, ids: pa.Array) -> Iterator[pa.RecordBatch]:
    unwanted = ids.to_numpy(zero_copy_only=False)
    for batch in file.iter_batches(65_536):
        names_P = batch.column("id").to_numpy(zero_copy_only=False)
        yield batch.filter(pa.array(~np.isin(names_P, unwanted)))


def _correct_balance(out: Path, removed: Counter[tuple[int, str]]) -> None:
    table = pq.read_table(out / "balance.parquet")
    rows = table.to_pylist()
    for row in rows:
        row["tokens"] -= removed[row["bucket"], row["bin"]]
    write_table(out / "balance.parquet", pa.Table.from_pylist(rows, schema=table.schema))


def _correct_buckets(
    out: Path,
    changed: Sequence[int],
    visits: Sequence[Visit],
    counts: Mapping[str, int | float | str],
) -> Counts:
    table = pq.read_table(out / "buckets.parquet")
    rows = table.to_pylist()
    room = ShardReader(out / f"bucket-{changed[0]:05}").sequence_length
    for row in rows:
        if row["bucket"] in changed:
            _correct_row(out, row, [v for v in visits if v.bucket == row["bucket"]], room)
    write_table(out / "buckets.parquet", pa.Table.from_pylist(rows, schema=table.schema))
    tokens, sequences = (sum(row[name] for row in rows) for name in ("tokens", "sequences"))
    new: Counts = {**counts, "tokens": tokens, "fill": round(tokens / (sequences * room), 6)}
    for name in ("documents", "split_documents"):
        if name in table.column_names and name in counts:
            new[name] = sum(row[name] for row in rows)
    return new


def _correct_row(out: Path, row: dict, visits: Sequence[Visit], room: int) -> None:
    prefix = out / f"bucket-{row['bucket']:05}"
    row["tokens"] -= sum(visit.length for visit in visits)
    row["pieces"] -= len(visits)
    row["bin_sha256"] = hash_file(bin_path(prefix))
    row["idx_sha256"] = hash_file(idx_path(prefix))
    if "documents" in row:
        begun = [visit for visit in visits if visit.start == 0]
        row["documents"] -= len(begun)
        # The first piece of a document longer than a sequence fills one.
        row["split_documents"] -= sum(
            visit.length == room and _goes_on(visit, visits) for visit in begun
        )


def _goes_on(visit: Visit, visits: Sequence[Visit]) -> bool:
    return any((v.id, v.epoch, v.start) == (visit.id, visit.epoch, visit.length) for v in visits)
