"""Which documents share a band: ours and others, one method a process, driven by `grouping.py`.

    python benchmarks/group_keys.py METHOD FOLDER DOCUMENTS

The folder has `band-00.u64`, ... (keys, a number for each document) and the same as Parquet.  Every
method tells the number of groups (of two and more documents with one key), of their members, and
of documents that stay when of every connected set one does.
"""

# pyright: reportMissingImports=false
# Some methods need scipy or datasketch, which the bench environments have.

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Hashable, Iterator
from importlib import import_module
from pathlib import Path
from time import perf_counter

import numpy as np
from harness import cpu_seconds
from numpy.typing import NDArray

BANDS, ROWS = 16, 8
MEMORY = 1_000_000_000
PART = 100_000
"""Documents that ours is given at a time, as a task of the corpus stage would have them."""

Keys = NDArray[np.uint64]
Found = dict[str, int]


def make_keys(folder: Path, num: int, seed: int = 0) -> None:
    """Keys of `num` documents; one in ten is a near copy, of similarity 0.7 to 1, of an earlier."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(seed)
    copies = random.choice(np.arange(num // 2, num), num // 10, replace=False)
    sources = random.integers(0, num // 2, len(copies))
    same = random.uniform(0.7, 1.0, len(copies)) ** ROWS
    random.integers(0, 2**64, (num, 2), dtype=np.uint64).tofile(folder / "ids.u64")
    rows = pa.array(np.arange(num, dtype=np.int64))
    for band in range(BANDS):
        keys = random.integers(0, 2**64, num, dtype=np.uint64)
        chosen = random.random(len(copies)) < same
        keys[copies[chosen]] = keys[sources[chosen]]
        keys.tofile(folder / f"band-{band:02}.u64")
        table = pa.table({"key": keys, "row": rows})
        pq.write_table(table, folder / f"band-{band:02}.parquet", compression="none")


def read_bands(folder: Path) -> Iterator[Keys]:
    for band in range(BANDS):
        yield np.fromfile(folder / f"band-{band:02}.u64", np.uint64)


def group_ours(folder: Path, num: int) -> Found:
    """As `corpus.duplicates` does it: partitions on disk, then one after the other."""
    from corpus.dedup.grouping import find_components, group_equal, pair_members, unique_pairs
    from corpus.dedup.lsh import merge_pairs
    from corpus.dedup.partitions import choose_cut, read_partition, write_partitions

    cut = choose_cut(num * BANDS, MEMORY)
    ids = np.asarray(np.memmap(folder / "ids.u64", np.uint64, "r")).reshape(-1, 2)
    groups = members = 0
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        entries, pairs = [scratch / f"bands-{first}" for first in range(0, num, PART)], []
        for path, first in zip(entries, range(0, num, PART), strict=True):
            write_partitions(path, read_entries(folder, first, min(PART, num - first)), cut)
        for part in range(cut.num_parts):
            rows, ends = group_equal(read_partition(entries, part, cut, words=1), cut, ids)
            groups, members = groups + len(ends), members + len(rows)
            pairs.append(scratch / f"pairs-{part}")
            unique_pairs(pair_members(rows, ends)).tofile(pairs[-1])
        roots = find_components(merge_pairs(pairs), num)
    kept = int((roots == np.arange(num)).sum())
    return {"groups": groups, "members": members, "kept": kept}


def read_entries(folder: Path, first: int, count: int) -> Keys:
    """(key, row) of some documents, all bands."""
    entries = np.empty((BANDS, count, 2), np.uint64)
    for band in range(BANDS):
        path = folder / f"band-{band:02}.u64"
        entries[band, :, 0] = np.fromfile(path, np.uint64, count, offset=8 * first)
    entries[:, :, 1] = np.arange(first, first + count)
    return entries.reshape(-1, 2)


def group_numpy(folder: Path, num: int) -> Found:
    """Sort every band, then scipy's connected components."""
    groups = members = 0
    edges: list[NDArray[np.int32]] = []
    for keys in read_bands(folder):
        order = np.argsort(keys)
        ordered = keys[order]
        same = np.flatnonzero(ordered[1:] == ordered[:-1])
        starts = int((np.diff(same, prepend=-2) > 1).sum())
        groups, members = groups + starts, members + starts + len(same)
        edges.append(np.stack([order[same], order[same + 1]]).astype(np.int32))
    return {"groups": groups, "members": members, "kept": count_components(edges, num)}


def count_components(edges: list[NDArray[np.int32]], num: int) -> int:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    one, other = np.concatenate(edges, axis=1)
    graph = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(num, num))
    return int(connected_components(graph, directed=False)[0])


_EDGES = """
    WITH keys AS (SELECT key, row FROM read_parquet($path)),
    groups AS (SELECT key, min(row) AS first FROM keys GROUP BY key HAVING count(*) > 1)
    SELECT first, row FROM keys JOIN groups USING (key)
"""


def group_duckdb(folder: Path, num: int) -> Found:
    """Group by key, a band at a time, then scipy's connected components."""
    import duckdb

    database = duckdb.connect()
    database.execute("SET threads = 1; SET preserve_insertion_order = false")
    database.execute(f"SET memory_limit = '{MEMORY} B'; SET temp_directory = '{folder}/spill'")
    groups = members = 0
    edges: list[NDArray[np.int32]] = []
    for band in range(BANDS):
        path = str(folder / f"band-{band:02}.parquet")
        found = database.execute(_EDGES, {"path": path}).fetchnumpy()
        first, row = (np.asarray(found[name], np.int32) for name in ("first", "row"))
        members += len(row)
        groups += int((first == row).sum())
        edges.append(np.stack([first, row]))
    return {"groups": groups, "members": members, "kept": count_components(edges, num)}


def group_datasketch(folder: Path, num: int) -> Found:
    """MinHashLSH: query, then insert; a document stays if it met none (or is their first)."""
    from datasketch import LeanMinHash, MinHashLSH

    signatures = np.zeros((num, BANDS, ROWS), np.uint32)
    for band, keys in enumerate(read_bands(folder)):
        signatures[:, band, :2] = keys.view(np.uint32).reshape(-1, 2)
    lsh = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    edges: list[tuple[Hashable, Hashable]] = []
    for row, signature in enumerate(signatures.reshape(num, -1)):
        sketch = LeanMinHash(seed=1, hashvalues=signature, scheme="affine32")
        edges += [(row, other) for other in lsh.query(sketch)]
        lsh.insert(row, sketch, check_duplication=False)
    counts = [table.itemcounts() for table in lsh.hashtables]
    sizes = [size for table in counts for size in table.values()]
    shared = [size for size in sizes if size > 1]
    kept = count_components([np.array(edges, np.int32).T], num)
    return {"groups": len(shared), "members": sum(shared), "kept": kept}


METHODS = {
    "ours": group_ours,
    "numpy": group_numpy,
    "duckdb": group_duckdb,
    "datasketch": group_datasketch,
}
IMPORTS = {
    "ours": ("corpus.dedup.lsh",),
    "numpy": ("scipy.sparse.csgraph",),
    "duckdb": ("duckdb", "scipy.sparse.csgraph"),
    "datasketch": ("datasketch", "scipy.sparse.csgraph"),
}


def main(method: str, name: str, documents: str) -> None:
    folder, num = Path(name), int(documents)
    if method == "make":
        make_keys(folder, num)
        return
    for module in IMPORTS[method]:
        import_module(module)
    cpu, wall = cpu_seconds(), perf_counter()
    found = METHODS[method](folder, num)
    taken = {"cpu": cpu_seconds() - cpu, "wall": perf_counter() - wall}
    print(json.dumps(found | taken))


if __name__ == "__main__":
    main(*sys.argv[1:])
