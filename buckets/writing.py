"""The packed shards of a stage, bucket by bucket, and the plan that says where everything went.

Every piece of a document opens with a run that bears no loss: BOS and prompt at the document's
beginning, the first token of a piece that goes on (what comes before it lies in another sequence).
So `learn` and `opens` never meet, and a shifted copy of the tokens is a right set of targets.

The price: one bucket's plan in memory, and the tokens are read from a mapped file in the order of
the sequences, which is random in that file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from buckets.candidates import Candidates
from buckets.packing import Packing, pack_documents
from buckets.plan import StagePlan
from buckets.shards import LEARN, OPENS, PADDING, Run, ShardWriter
from buckets.tables import PLAN_SCHEMA, make_plan_table
from buckets.tokens import TokenStore
from tongwen.progress import progress


@dataclass(frozen=True)
class BucketSize:
    """What was written into one bucket."""

    sequences: int
    tokens: int


def cut_runs(tokens: NDArray[np.integer], prompt: int, start: int, length: int) -> list[Run]:
    """The runs of a document's tokens [start, start + length).

    Args:
        tokens: all tokens of the document.
        prompt: how many of them come before what is learned.
    """
    piece = tokens[start : start + length]
    opening = min(max(prompt - start, 1), length)
    runs: list[Run] = [(piece[:opening], OPENS), (piece[opening:], LEARN)]
    return runs if opening < length else runs[:1]


def write_bucket(
    prefix: Path,
    packing: Packing,
    documents: NDArray[np.int64],
    first_tokens: NDArray[np.int32],
    store: TokenStore,
    num_pieces: int,
    padding: int,
) -> None:
    """Write a packed bucket.

    Args:
        documents: the store's numbers of what was packed.
        first_tokens: where each begins in its document (0 but for the parts of long ones).
    """
    edges = np.searchsorted(packing.sequence_Q, np.arange(packing.num_sequences + 1)).tolist()
    document_Q = documents[packing.document_Q]
    prompt_Q = store.prompt_N[document_Q].tolist()
    start_Q = first_tokens[packing.document_Q] + packing.start_Q
    starts, lengths = start_Q.tolist(), packing.length_Q.tolist()
    numbers = document_Q.tolist()
    with ShardWriter(prefix, num_pieces) as writer:
        for first, last in pairwise(edges):
            runs: list[Run] = []
            for q in range(first, last):
                runs += cut_runs(store.read(numbers[q]), prompt_Q[q], starts[q], lengths[q])
            room = packing.sequence_length - sum(lengths[first:last])
            if room:
                runs.append((np.full(room, padding, np.int32), PADDING))
            writer.write_sequence(runs)


def write_buckets(
    out: Path,
    plan: StagePlan,
    candidates: Candidates,
    store: TokenStore,
    *,
    sequence_length: int,
    num_pieces: int,
    padding: int,
    key: Sequence[object],
) -> list[BucketSize]:
    """Write `bucket-00000.bin/.idx` ... and `plan.parquet`; `key` seeds the order of sequences."""
    sizes: list[BucketSize] = []
    order = np.argsort(plan.bucket_U, kind="stable")
    counts = np.bincount(plan.bucket_U, minlength=plan.num_buckets)
    with (
        pq.ParquetWriter(out / "plan.parquet", PLAN_SCHEMA, compression="zstd") as writer,
        progress("writing buckets", total=int(plan.length_U.sum()), unit="tokens") as advance,
    ):
        for bucket, uses in enumerate(np.split(order, np.cumsum(counts)[:-1])):
            packing = pack_documents(plan.length_U[uses], sequence_length, _seed(*key, bucket))
            packed = (plan.document_U[uses], plan.start_U[uses])
            prefix = out / f"bucket-{bucket:05}"
            write_bucket(prefix, packing, *packed, store, num_pieces, padding)
            writer.write_table(make_plan_table(plan, candidates, uses, packing, bucket))
            sizes.append(_measure(packing))
            advance(sizes[-1].tokens)
    return sizes


def _measure(packing: Packing) -> BucketSize:
    return BucketSize(packing.num_sequences, int(packing.length_Q.sum(dtype=np.int64)))


def _seed(*key: object) -> int:
    text = "\0".join(str(part) for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
