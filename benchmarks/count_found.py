"""How many of the planted duplicates a contender of `end_to_end.py` found.

    python benchmarks/count_found.py OUTPUT PLANTED LINES

OUTPUT is Parquet or Arrow of what was kept, with the lines' `id`, or ours with their `origin`.  A
duplicate is found where not both it and the document it was made of are kept.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def main(output: str, planted: str, lines: str) -> None:
    kept = np.zeros(int(lines), bool)
    for path in sorted(find_tables(Path(output))):
        kept[read_ids(path)] = True
    total: Counter[str] = Counter()
    found: Counter[str] = Counter()
    with Path(planted).open(encoding="utf-8") as file:
        for line in file:
            number, source, kind, language = line.split()
            if int(number) < len(kept):
                total[f"{kind} {language}"] += 1
                found[f"{kind} {language}"] += not kept[[int(number), int(source)]].all()
    shares = {name: found[name] / total[name] for name in sorted(total)}
    print(json.dumps({"kept": int(kept.sum()), "shares": shares}))


def find_tables(output: Path) -> list[Path]:
    """The files of what was kept, wherever a contender puts them."""
    if output.is_file():
        return [output]
    if (output / "kept").is_dir():
        return [*(output / "kept").glob("*.parquet")]
    # Ours has other tables beside the parts.
    return [*output.glob("part-*.parquet")] or [*output.glob("*.parquet"), *output.glob("*.arrow")]


def read_ids(path: Path) -> np.ndarray:
    """Numbers of the lines in the input, counted from 0."""
    if path.suffix == ".arrow":
        return pa.ipc.open_stream(path).read_all()["id"].to_numpy()
    names = pq.read_schema(path).names
    if "origin" in names:
        origins = pq.read_table(path, columns=["origin"])["origin"].to_pylist()
        return np.array([int(each.rpartition(":")[2]) - 1 for each in origins], np.int64)
    if "id" in names and path.parent.name != "kept":
        return pq.read_table(path, columns=["id"])["id"].to_numpy()
    metadata = pq.read_table(path, columns=["metadata"])["metadata"].to_pylist()
    return np.array([each["id"] for each in metadata], np.int64)


if __name__ == "__main__":
    main(*sys.argv[1:])
