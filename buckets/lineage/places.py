"""Where every document of a stage went: the plan once more, sorted by document.

The plan lies in the order of the training, which answers what stands at a place.  For the other
question its rows are sorted by (id, epoch, start), so that the statistics of the row groups lead to
the one or two that hold an id: 65,536 rows are read to find one of any number.

The price: 23 bytes of disk for a piece, and a sort that spills to the disk where it does not fit
into memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tongwen.progress import progress
from tongwen.recipe import parse_bytes

PLACES = "places.parquet"
GROUP_ROWS = 65_536
"""Rows of a row group of the plan and of places.parquet: what a question must read at least."""

PLACES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        *(
            pa.field(name, pa.int32(), nullable=False)
            for name in ("epoch", "start", "length", "bucket", "sequence", "offset")
        ),
    ]
)

_SORTED = """
    SELECT id, epoch, start, length, bucket, sequence, "offset"
    FROM read_parquet($plan)
    ORDER BY id, epoch, start, bucket, sequence, "offset"
"""


def write_places(out: Path, *, memory: str, workers: int) -> None:
    """Write `places.parquet` of a stage's buckets.

    Args:
        out: the stage's folder with `plan/bucket-*.parquet`.
        memory: what the sort keeps to, as a recipe says it ("4GB"); it spills into `out`.
        workers: threads of the sort; never change a byte.
    """
    from corpus.counting.statistics import connect

    plan = list_plan(out)
    total = sum(pq.read_metadata(path).num_rows for path in plan)
    with (
        connect(out, parse_bytes(memory), workers) as database,
        progress("noting where documents went", total=total, unit="pieces") as advance,
    ):
        found = database.sql(_SORTED, params={"plan": [str(path) for path in plan]})
        with open_places(out / PLACES) as writer:
            for group in regroup(found.to_arrow_reader(GROUP_ROWS)):
                writer.write_batch(group)
                advance(group.num_rows)


def list_plan(folder: Path) -> list[Path]:
    """The plan's files of a stage, bucket by bucket."""
    return sorted((folder / "plan").glob("bucket-*.parquet"))


def open_places(path: Path) -> pq.ParquetWriter:
    """A writer of places.parquet; give it row groups."""
    return pq.ParquetWriter(
        path,
        PLACES_SCHEMA,
        compression="zstd",
        compression_level=1,
        use_dictionary=["epoch", "bucket"],  # pyright: ignore[reportArgumentType]
        write_statistics=True,
        version="2.6",
    )


def regroup(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in groups of `GROUP_ROWS`, however they were cut (only the last is smaller)."""
    waiting: list[pa.RecordBatch] = []
    num_waiting = 0
    for batch in batches:
        while num_waiting + batch.num_rows >= GROUP_ROWS:
            taken = GROUP_ROWS - num_waiting
            yield _join([*waiting, batch.slice(0, taken)])
            batch = batch.slice(taken)
            waiting, num_waiting = [], 0
        if batch.num_rows:
            waiting.append(batch)
            num_waiting += batch.num_rows
    if waiting:
        yield _join(waiting)


def _join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch in our schema: pages end where chunks do, and DuckDB's columns may be null."""
    joined = pa.concat_batches(batches)
    return pa.RecordBatch.from_arrays(joined.columns, schema=PLACES_SCHEMA)
