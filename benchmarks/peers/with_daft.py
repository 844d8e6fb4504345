"""Deduplicate with daft, after its tutorial: minhash, bands, group by, components, anti-join.

    python with_daft.py INPUT OUTPUT [han]

Words are what white space separates, so a Chinese line is one word.  `han` puts a space after every
Han character first, which makes the signatures of Chinese right.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import sys

import daft
import numpy as np
from daft import col
from daft.functions import minhash
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

BANDS, ROWS, NGRAM = 18, 7, 5


def main(source: str, target: str, han: bool) -> None:
    documents = daft.read_json(source)
    text = col("text")
    if han:
        text = daft.functions.regexp_replace(text, r"(\p{Han})", "$1 ")
    signature = minhash(text, num_hashes=BANDS * ROWS, ngram_size=NGRAM, hash_function="xxhash3_64")
    bands = (
        documents.select(col("id"), signature.alias("signature"))
        .select(col("id"), daft.functions.chunk(col("signature"), ROWS).alias("band"))
        .with_column("number", daft.lit(list(range(BANDS))))
        .explode("band", "number")
    )
    groups = bands.groupby("number", "band").agg(
        col("id").min().alias("first"), col("id").list_agg().alias("member")
    )
    edges = (
        groups.where(daft.functions.list_count(col("member")) > 1)
        .select("first", "member")
        .explode("member")
        .where(col("first") != col("member"))
        .distinct()
        .to_arrow()
    )
    removed = find_removed(edges["first"].to_numpy(), edges["member"].to_numpy())
    gone = daft.from_pydict({"id": removed})
    kept = documents.join(gone, on="id", how="anti")
    kept.write_parquet(target)
    print(json.dumps({"removed": len(removed)}))


def find_removed(first: np.ndarray, member: np.ndarray) -> np.ndarray:
    """All but the smallest id of each component."""
    ids, numbers = np.unique(np.concatenate([first, member]), return_inverse=True)
    one, other = numbers[: len(first)], numbers[len(first) :]
    graph = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(len(ids), len(ids)))
    _, labels = connected_components(graph, directed=False)
    stays = np.unique(labels, return_index=True)[1]
    return np.delete(ids, stays)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:] == ["han"])
