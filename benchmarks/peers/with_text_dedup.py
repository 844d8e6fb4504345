"""Deduplicate with text-dedup's command line.

    python with_text_dedup.py INPUT OUTPUT

It saves an Arrow data set, not Parquet, and cuts words at `\\W`: Chinese clauses.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import subprocess
import sys
import tempfile


def main(source: str, target: str) -> None:
    with tempfile.TemporaryDirectory() as cache:
        options = [
            *("--path", "json", "--data_files", source, "--split", "train", "--cache_dir", cache),
            *("--output", target, "--column", "text", "--batch_size", "10000", "--num_proc", "1"),
            *("--threshold", "0.8", "--num_perm", "128", "--b", "18", "--r", "7"),
            *("--ngram", "5", "--min_length", "0", "--hash_func", "xxh3"),
        ]
        command = [sys.executable, "-m", "text_dedup.minhash", *options]
        subprocess.run(command, check=True)
    from datasets import load_from_disk

    print(json.dumps({"kept": len(load_from_disk(target))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
