"""The tables beside the shards: `plan`, `balance`, `mixture` and `held_out` (Parquet, zstd)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from buckets.candidates import Candidates, format_ids
from buckets.held_out import HeldOutDocument
from buckets.mixture import Selection
from buckets.packing import Packing
from buckets.plan import Balance, StagePlan
from tongwen.recipe import Stage

_TEXT, _INT, _LONG, _REAL, _TEXTS = (
    pa.string(),
    pa.int32(),
    pa.int64(),
    pa.float64(),
    pa.list_(pa.string()),
)

PLAN_SCHEMA = pa.schema(
    {
        "id": _TEXT,
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


def make_plan_table(
    plan: StagePlan,
    candidates: Candidates,
    uses: NDArray[np.int64],
    packing: Packing,
    bucket: int,
) -> pa.Table:
    """The rows of `plan.parquet` for one bucket; `uses` are the plan's numbers of its documents."""
    use_Q = uses[packing.document_Q]
    group_Q, bin_Q = plan.group_U[use_Q], plan.bin_U[use_Q]
    columns = {
        "id": format_ids(candidates.id_N2[plan.document_U[use_Q]]),
        "category": _name([group.category for group in plan.groups], group_Q),
        "language": _name([group.language for group in plan.groups], group_Q),
        "bin": _name([group.bin for group in plan.bins], bin_Q),
        "epoch": plan.epoch_U[use_Q],
        "bucket": np.full(len(use_Q), bucket, np.int32),
        "sequence": packing.sequence_Q,
        "offset": packing.offset_Q,
        "start": plan.start_U[use_Q] + packing.start_Q,
        "length": packing.length_Q,
    }
    return pa.table(columns, schema=PLAN_SCHEMA)


def write_balance(path: Path, balance: Balance) -> None:
    """`balance.parquet`: a row for each bin of each bucket."""
    buckets, numbers = np.indices(balance.tokens_BG.shape)
    bins = [balance.bins[number] for number in numbers.ravel()]
    columns = {
        "bucket": buckets.ravel(),
        "bin": [group.bin for group in bins],
        "category": [group.category for group in bins],
        "language": [group.language for group in bins],
        "tokens": balance.tokens_BG.ravel(),
        "target_tokens": balance.target_G[numbers.ravel()],
    }
    pq.write_table(pa.table(columns, schema=BALANCE_SCHEMA), path, compression="zstd")


def write_mixture(path: Path, stage: Stage, selection: Selection) -> None:
    """`mixture.parquet`: a row for each part; `epochs` is used / available."""
    rows = [
        {
            "part": number,
            "share": part.share,
            "asked_tokens": use.asked,
            "available_tokens": use.available,
            "used_tokens": use.used,
            "documents": use.documents,
            "epochs": use.used / use.available,
            "languages": list(part.languages),
            "categories": list(part.categories),
            "kinds": list(part.kinds),
        }
        for number, (part, use) in enumerate(zip(stage.mixture, selection.parts, strict=True))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=MIXTURE_SCHEMA), path, compression="zstd")


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
    pq.write_table(pa.Table.from_pylist(rows, schema=HELD_OUT_SCHEMA), path, compression="zstd")


def _name(names: list[str], number_Q: NDArray[np.int64]) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(number_Q))
