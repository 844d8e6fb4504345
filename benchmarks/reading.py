"""JSON lines to the documents table: CPU seconds by part, and what each compression costs.

    python benchmarks/reading.py corpus.jsonl

One core.  The blocks of the file are cut, parsed and written as `corpus.reading.parts` does, with a
clock around each step; then the table is read back.  Each compression takes its turn in every
round, and the least of the rounds is printed, in milliseconds for a megabyte (10^6 bytes) of the
file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq

from corpus.documents import ShardWriter
from corpus.reading.blocks import Block, cut_blocks
from corpus.reading.files import InputFile, detect_format
from corpus.reading.parsing import Parser
from corpus.reading.streams import read_blocks
from tongwen.recipe import Input

COMPRESSIONS = ("none", "lz4", "zstd")
STEPS = ("read and cut", "parse", "write", "read back")
MAX_CHARACTERS = 10_000_000
Made = TypeVar("Made")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    results: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(arguments.rounds + 1):
        for compression in COMPRESSIONS:
            result = measure(arguments.file, compression)
            # In the first round code is compiled and the file fetched from the disk.
            if number:
                results[compression].append(result)
    print("| compression |", " | ".join((*STEPS, "MB/s", "size")), "|")
    print("|---|" + "---|" * (len(STEPS) + 2))
    for compression, rounds in results.items():
        best = {name: min(each[name] for each in rounds) for name in rounds[0]}
        speed = 1000 / sum(best[step] for step in STEPS[:-1])
        cells = (f"{best[step]:.2f}" for step in STEPS)
        print(
            f"| {compression} |", " | ".join((*cells, f"{speed:.0f}", f"{best['size']:.2f}")), "|"
        )


def measure(path: Path, compression: str) -> dict[str, float]:
    """Milliseconds a megabyte of every step, and the size of the table for a byte of the file."""
    form, packed, stem = detect_format(path)
    file = InputFile(path, path.name, form, packed, stem, Input(paths=(str(path),)))
    parser, clock, size = Parser(file, MAX_CHARACTERS), _Clock(), 0
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        blocks = cut_blocks(read_blocks(path, packed), parser.max_bytes)
        with ShardWriter(Path(folder), compression=compression) as writer:
            while (block := clock.time("read and cut", lambda: next(blocks, None))) is not None:
                size += block.size
                _take(clock, parser, block, writer)
        shards = sorted(Path(folder).iterdir())
        clock.time("read back", lambda: [_read(shard) for shard in shards])
        written = sum(shard.stat().st_size for shard in shards)
    return {"size": written / size} | {
        step: seconds / size * 1e9 for step, seconds in clock.seconds.items()
    }


def _take(clock: _Clock, parser: Parser, block: Block, writer: ShardWriter) -> None:
    parsed = clock.time("parse", lambda: parser.parse(block))
    clock.time("write", lambda: writer.write_batch(parsed.documents))


def _read(shard: Path) -> None:
    with pq.ParquetFile(shard) as file:
        for group in range(file.num_row_groups):
            file.read_row_group(group, columns=["text", "prompt"], use_threads=False)


class _Clock:
    """Adds up CPU seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def time(self, step: str, run: Callable[[], Made]) -> Made:
        start = time.process_time()
        made = run()
        self.seconds[step] += time.process_time() - start
        return made


if __name__ == "__main__":
    main()
