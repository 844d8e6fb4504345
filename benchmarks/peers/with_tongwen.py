"""Deduplicate with tongwen's one call.

python with_tongwen.py INPUT OUTPUT [none | lz4 | zstd]
"""

from __future__ import annotations

import json
import sys
from typing import Any

from corpus import deduplicate


def main(source: str, target: str, compression: Any = "lz4") -> None:
    curated = deduplicate([source], target, memory="1GB", workers=1, compression=compression)
    print(json.dumps(curated.counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
