"""The tables beside the shards (Parquet, zstd): plan, balance, buckets, mixture, groups, held_out.

A table is written under another name and renamed, since the file that it replaces may be shared
with an output that is being amended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from buckets.held_out import HeldOutDocument
from buckets.planning.bins import Balance

_TEXT, _INT, _LONG, _REAL, _TEXTS = (
    pa.string(),
    pa.int32(),
    pa.int64(),
    pa.float64(),
    pa.list_(pa.string()),
)
ROWS_OF_GROUP = 65_536

PLAN_SCHEMA = pa.schema(
    {
        "id": _TEXT,
        "origin": _TEXT,
        "category": _TEXT,
        "language": _TEXT,
        "bin": _TEXT,
        "epoch": _INT,
        "bucket": _INT,
        "sequence": _INT,
        "offset": _INT,
        "start": _INT,
        "length": _INT,
    }
)
BUCKETS_SCHEMA = pa.schema(
    {
        "bucket": _INT,
        "first_sequence": _LONG,
        "sequences": _INT,
        "tokens": _LONG,
        "pieces": _LONG,
        "documents": _LONG,
        "split_documents": _LONG,
        "mixture": _INT,
        "longest_run": _INT,
        "longest_run_bin": _TEXT,
        "run_bound": _INT,
        "bin_sha256": _TEXT,
        "idx_sha256": _TEXT,
    }
)
BALANCE_SCHEMA = pa.schema(
    {
        "bucket": _INT,
        "category": _TEXT,
        "language": _TEXT,
        "bin": _TEXT,
        "tokens": _LONG,
        "target_tokens": _LONG,
    }
)
MIXTURE_SCHEMA = pa.schema(
    {
        "mixture": _INT,
        "from_bucket": _INT,
        "part": _INT,
        "share": _REAL,
        "asked_tokens": _LONG,
        "available_tokens": _LONG,
        "used_tokens": _LONG,
        "documents": _LONG,
        "epochs": _REAL,
        "languages": _TEXTS,
        "categories": _TEXTS,
        "kinds": _TEXTS,
    }
)
GROUPS_SCHEMA = pa.schema(
    {
        "mixture": _INT,
        "part": _INT,
        "language": _TEXT,
        "category": _TEXT,
        "kind": _TEXT,
        "documents": _LONG,
        "asked_tokens": _LONG,
        "available_tokens": _LONG,
        "used_tokens": _LONG,
        "repeated_tokens": _LONG,
        "epochs": _REAL,
    }
)
HELD_OUT_SCHEMA = pa.schema(
    {
        "sequence": _INT,
        "id": _TEXT,
        "category": _TEXT,
        "language": _TEXT,
        "characters": _LONG,
        "bytes": _LONG,
    }
)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file under another name, then rename it."""
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table, partial, compression="zstd", row_group_size=ROWS_OF_GROUP)
    partial.replace(path)


def plan_path(out: Path, bucket: int) -> Path:
    """The lineage of one bucket of a stage's output."""
    return out / "plan" / f"bucket-{bucket:05}.parquet"


def name_rows(names: Sequence[str], number_U: NDArray[np.integer]) -> pa.Array:
    """The names that numbers stand for."""
    return pa.array(names, pa.string()).take(pa.array(number_U))


def extend_table(
    path: Path, schema: pa.Schema, rows: list[dict[str, Any]], column: str, first: int
) -> None:
    """Write rows behind those of the table there whose `column` is below `first`."""
    new = pa.Table.from_pylist(rows, schema=schema)
    if first and path.exists():
        before = pq.read_table(path, filters=[(column, "<", first)])
        new = pa.concat_tables([before.select(schema.names).cast(schema), new])
    write_table(path, new)


def list_balance(balance: Balance, first: int) -> list[dict[str, Any]]:
    """Rows of `balance.parquet`, one for each bin of each bucket; `first` is the first bucket."""
    buckets, numbers = np.indices(balance.tokens_BG.shape)
    return [
        {
            "bucket": first + int(bucket),
            "category": balance.bins[number].category,
            "language": balance.bins[number].language,
            "bin": balance.bins[number].bin,
            "tokens": int(balance.tokens_BG[bucket, number]),
            "target_tokens": int(balance.target_BG[bucket, number]),
        }
        for bucket, number in zip(buckets.ravel(), numbers.ravel(), strict=True)
    ]


def write_held_out_table(path: Path, documents: Sequence[HeldOutDocument]) -> None:
    """`held_out.parquet`: a row for each document, in the order of the sequences."""
    rows = [
        {
            "sequence": sequence,
            "id": document.id,
            "category": document.category,
            "language": document.language,
            "characters": len(document.text),
            "bytes": len(document.text.encode()),
        }
        for sequence, document in enumerate(documents)
    ]
    write_table(path, pa.Table.from_pylist(rows, schema=HELD_OUT_SCHEMA))
