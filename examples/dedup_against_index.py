"""Deduplicate what came today against everything that came before, without reading it again.

    python examples/dedup_against_index.py OUT DAY1/*.jsonl -- DAY2/*.jsonl -- ...

Each day has a folder of its own below OUT.  Its sketch knows what it kept; the next days are
compared with the sketches of all days before.
"""

import sys
from itertools import groupby
from pathlib import Path

from corpus import deduplicate


def main() -> None:
    out = Path(sys.argv[1])
    days = [list(files) for dash, files in groupby(sys.argv[2:], "--".__eq__) if not dash]
    sketches: list[Path] = []
    for number, files in enumerate(days, 1):
        folder = out / f"day-{number}"
        curated = deduplicate(files, folder, against=sketches, sketch=True)
        counts = curated.counts
        print(
            f"day {number}: {counts['kept']} kept, {counts['known']} known from earlier days, "
            f"{counts['exact'] + counts['normalized'] + counts['near']} copies within the day"
        )
        sketches.append(folder / "sketch")


if __name__ == "__main__":
    main()
