"""Random places of a training traced to their lines, which are read anew and compared.

    python benchmarks/trace_check.py RECIPE --stage injection --positions 1000

The line is read by this script alone (zstandard, json), and its text encoded by SentencePiece: BOS,
prompt, text and EOS must be the shard's tokens to the id.  The piece between, decoded, must stand
in the text; halves of characters at its ends are left out.
"""

from __future__ import annotations

import argparse
import json
import random
from functools import lru_cache
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, ClassVar

from sentencepiece import SentencePieceProcessor

from buckets.lineage.trace import Lineage, find_sequence, trace_position
from tongwen.recipe import load_recipe
from tongwen.run import RunFolder


def main() -> None:
    parser = argparse.ArgumentParser(description="Trace random places to their lines.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--positions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    lineage = Lineage(recipe, RunFolder(recipe.folder))
    vocabulary = lineage.run.finished("tokenizer/vocabulary")
    chosen = next(stage for stage in recipe.stages if stage.name == options.stage)
    folder = vocabulary / "base" if chosen.vocabulary == "base" else vocabulary
    processor: Any = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    chance, read = random.Random(options.seed), Lines(recipe.home)
    times, found = [], {"equal": 0, "padding": 0, "failed": 0}
    for _ in range(options.positions):
        result, seconds = check_one(lineage, options.stage, chance, read, processor)
        found[result] += 1
        times.append(seconds)
    print(json.dumps(found | {"median_ms": round(median(times) * 1e3, 2)}))


class Lines:
    """Lines of JSON-lines files, by origin."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._read_all = lru_cache(4)(self._read_file)

    def read(self, origin: str) -> dict[str, Any]:
        name, _, line = origin.rpartition(":")
        return json.loads(self._read_all(name)[int(line) - 1])

    def _read_file(self, name: str) -> list[bytes]:
        import zstandard

        data = self.find(name).read_bytes()
        if name.endswith(".zst"):
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        return data.split(b"\n")

    files: ClassVar[dict[str, Path]] = {}

    def find(self, name: str) -> Path:
        return self.files.get(name, self._home / name)


def check_one(
    lineage: Lineage, stage: str, chance: random.Random, read: Lines, processor: Any
) -> tuple[str, float]:
    """Trace one place; returns what came out and the seconds of the trace."""
    buckets, layout = lineage.stage(stage), lineage.training(stage).layout
    turn = layout.find_turn(chance.randrange(buckets.num_sequences))
    place = (turn.iteration + 1, turn.rank, (turn.micro_batch, turn.place))
    bucket, sequence = find_sequence(lineage, stage, *place)
    packed = buckets.open_bucket(bucket).read(sequence)
    position = chance.randrange(len(packed.tokens))
    started = perf_counter()
    trace = trace_position(lineage, stage, bucket, sequence, position)
    seconds = perf_counter() - started
    piece = trace.piece
    if piece is None:
        return ("padding" if packed.padding[position] else "failed"), seconds
    line = read.read(piece.origin)
    prompt, text = read_line(line)
    begun = [processor.bos_id(), *processor.encode(prompt)]
    whole = [*begun, *processor.encode(text), processor.eos_id()]
    own = packed.tokens[piece.offset : piece.offset + piece.length].tolist()
    same = own == whole[piece.start : piece.start + piece.length]
    learned = own[max(0, len(begun) - piece.start) :]
    words = processor.decode(learned).strip("\ufffd ")
    return ("equal" if same and words in text else "failed"), seconds


def read_line(line: dict[str, Any]) -> tuple[str, str]:
    """Prompt and text of a line, as FORMATS.md has them."""
    if "target" in line:
        return line.get("source", ""), line["target"]
    return "", line["text"]


if __name__ == "__main__":
    import sys

    from corpus.reading.files import list_inputs  # names of the input files only

    for each in list_inputs(load_recipe(Path(sys.argv[1]))):
        Lines.files[each.origin] = Path(str(each.path))
    main()
