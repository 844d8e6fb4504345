"""A stage's folder made by hand: documents of known tokens, packed in a known way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from buckets.lineage.places import write_places
from buckets.lineage.tables import (
    BALANCE_SCHEMA,
    BUCKETS_SCHEMA,
    PLAN_SCHEMA,
    plan_path,
    write_table,
)
from buckets.shards import LEARN, OPENS, PADDING, Run, ShardWriter, bin_path, idx_path
from tongwen.record import hash_file

LENGTH, PIECES, EOS = 16, 400, 2
Placed = tuple[int, int, int]
"""Number of the document, start and length of a piece."""
Stage = list[list[list[Placed]]]
"""Buckets of sequences of pieces."""


def name_id(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" * 2


def make_tokens(number: int, start: int, length: int) -> np.ndarray:
    return 3 + (number * 31 + np.arange(start, start + length, dtype=np.int32)) % (PIECES - 3)


def make_runs(pieces: list[Placed]) -> list[Run]:
    runs: list[Run] = []
    for number, start, length in pieces:
        tokens = make_tokens(number, start, length)
        runs.append((tokens[:1], OPENS))
        if length > 1:
            runs.append((tokens[1:], LEARN))
    room = LENGTH - sum(length for _, _, length in pieces)
    return [*runs, (np.full(room, EOS, np.int32), PADDING)] if room else runs


def write_stage(out: Path, stage: Stage) -> None:
    (out / "plan").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    balance: list[dict[str, Any]] = []
    first = 0
    for bucket, sequences in enumerate(stage):
        plan = _plan(bucket, sequences)
        write_table(plan_path(out, bucket), pa.Table.from_pylist(plan, schema=PLAN_SCHEMA))
        prefix = out / f"bucket-{bucket:05}"
        with ShardWriter(prefix, PIECES) as writer:
            for pieces in sequences:
                writer.write_sequence(make_runs(pieces))
        rows.append(_bucket(prefix, bucket, first, len(sequences), plan))
        balance += [_balance(bucket, name, plan) for name in ("zh/a", "zh/b")]
        first += len(sequences)
    write_table(out / "buckets.parquet", pa.Table.from_pylist(rows, schema=BUCKETS_SCHEMA))
    write_table(out / "balance.parquet", pa.Table.from_pylist(balance, schema=BALANCE_SCHEMA))
    write_places(out, memory="1GB", workers=1)


def _plan(bucket: int, sequences: list[list[Placed]]) -> list[dict[str, Any]]:
    plan = []
    for sequence, pieces in enumerate(sequences):
        offset = 0
        for number, start, length in pieces:
            name = "ab"[number % 2]
            where = {"bucket": bucket, "sequence": sequence, "offset": offset}
            about = {"category": name, "language": "zh", "bin": f"zh/{name}", "epoch": 0}
            known = {"id": name_id(number), "origin": f"made.jsonl:{number + 1}"}
            plan.append(known | about | where | {"start": start, "length": length})
            offset += length
    return plan


def _bucket(prefix: Path, bucket: int, first: int, size: int, plan: list[dict]) -> dict[str, Any]:
    begun = [row for row in plan if row["start"] == 0]
    return {
        "bucket": bucket,
        "first_sequence": first,
        "sequences": size,
        "tokens": sum(row["length"] for row in plan),
        "pieces": len(plan),
        "documents": len(begun),
        "split_documents": sum(row["length"] == LENGTH for row in begun),
        "mixture": 0,
        "longest_run": 1,
        "longest_run_bin": "zh/a",
        "run_bound": 2,
        "bin_sha256": hash_file(bin_path(prefix)),
        "idx_sha256": hash_file(idx_path(prefix)),
    }


def _balance(bucket: int, name: str, plan: list[dict]) -> dict[str, Any]:
    tokens = sum(row["length"] for row in plan if row["bin"] == name)
    about = {"bucket": bucket, "category": name[-1], "language": "zh", "bin": name}
    return about | {"tokens": tokens, "target_tokens": tokens}
