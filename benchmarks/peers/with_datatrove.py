"""Deduplicate with datatrove's four stages, after its examples/minhash_deduplication.py.

    python with_datatrove.py INPUT OUTPUT

One task, one worker; xxhash of 64 bits as in its default; words by its English tokenizer.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import sys
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import ParquetWriter

BANDS, ROWS = 18, 7


def main(source: str, target: str) -> None:
    folder = Path(target)
    config = MinhashConfig(n_grams=5, num_buckets=BANDS, hashes_per_bucket=ROWS)
    path = Path(source)

    def read() -> JsonlReader:
        return JsonlReader(str(path.parent), glob_pattern=path.name, id_key="line")

    signatures, buckets, removed, kept, logs = (
        str(folder / name) for name in ("signatures", "buckets", "removed", "kept", "logs")
    )
    stages = [
        ("signatures", 1, [read(), MinhashDedupSignature(signatures, config, language="eng")]),
        ("buckets", BANDS, [MinhashDedupBuckets(signatures, buckets, config=config)]),
        ("clusters", 1, [MinhashDedupCluster(buckets, removed, config=config)]),
        ("filter", 1, [read(), MinhashDedupFilter(removed), ParquetWriter(kept)]),
    ]
    for name, tasks, pipeline in stages:
        LocalPipelineExecutor(
            pipeline=pipeline, tasks=tasks, workers=1, logging_dir=f"{logs}/{name}"
        ).run()
    import pyarrow.dataset

    print(json.dumps({"kept": pyarrow.dataset.dataset(kept).count_rows()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
