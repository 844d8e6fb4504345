"""Deduplicate files and look at what went.

    python examples/curate.py OUT FILES...

OUT gets Parquet shards without duplicates, and tables of what went and why.  Run it again and it
returns at once; add a file, and it says that the output belongs to another call.
"""

import sys
from collections import Counter

import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import deduplicate


def main() -> None:
    out, *files = sys.argv[1:]
    curated = deduplicate(files, out, keep="longest", threshold=0.8)

    print(f"{curated.counts['documents']} documents, {curated.counts['kept']} kept")
    duplicates = pq.read_table(curated.folder / "duplicates.parquet")
    for kind, count in Counter(duplicates["kind"].to_pylist()).most_common():
        print(f"  {kind}: {count}")
    for keeper, count in Counter(duplicates["keeper"].to_pylist()).most_common(3):
        print(f"  {count} are copies of {keeper}")

    characters = sum(
        pc.sum(pc.utf8_length(batch.column("text"))).as_py() for batch in curated.read()
    )
    print(f"{characters} characters kept, in {curated.folder}")


if __name__ == "__main__":
    main()
