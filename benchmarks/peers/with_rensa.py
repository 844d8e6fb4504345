"""Deduplicate with rensa, as its documentation shows: a deduplicator that is given batches.

Its bands must divide the permutations: 16 of 8.

INPUT is JSON lines, OUTPUT becomes one Parquet file.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import sys

from common import NUM_PERM, THRESHOLD, Output, read_batches, shingle
from rensa import RMinHashDeduplicator


def main(source: str, target: str) -> None:
    dedup = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=NUM_PERM, use_lsh=True, num_bands=16)
    with Output(target) as output:
        for lines in read_batches(source):
            flags = dedup.add_pairs([(str(line["id"]), shingle(line)) for line in lines])
            output.write(lines, flags)
    print(json.dumps({"documents": output.seen, "kept": output.kept}))


if __name__ == "__main__":
    main(*sys.argv[1:])
