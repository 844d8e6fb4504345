"""Deduplicate with datasketch, as its documentation shows: signatures in bulk, query, insert.

INPUT is JSON lines, OUTPUT becomes one Parquet file.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import sys

import xxhash
from common import BANDS, NUM_PERM, ROWS, Output, read_batches, shingle
from datasketch import MinHash, MinHashLSH


def main(source: str, target: str) -> None:
    lsh = MinHashLSH(num_perm=NUM_PERM, params=(BANDS, ROWS))
    with Output(target) as output:
        for lines in read_batches(source):
            sets = [[token.encode() for token in shingle(line)] for line in lines]
            sketches = MinHash.bulk(sets, num_perm=NUM_PERM, hashfunc=xxhash.xxh32_intdigest)
            flags: list[bool] = []
            for line, sketch in zip(lines, sketches, strict=True):
                flags.append(not lsh.query(sketch))
                if flags[-1]:
                    lsh.insert(line["id"], sketch, check_duplication=False)
            output.write(lines, flags)
    print(json.dumps({"documents": output.seen, "kept": output.kept}))


if __name__ == "__main__":
    main(*sys.argv[1:])
