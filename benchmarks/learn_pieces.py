"""The work of `learner.py`: make runs of text, and learn pieces from them with ours or a peer's.

python benchmarks/learn_pieces.py make RUNS.npz CHARACTERS FILE...
python benchmarks/learn_pieces.py ours|hf RUNS.npz PIECES
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHORTEST = 8
"""Characters of the shortest run that is taken apart."""
SEED = 4


def main() -> None:
    job, path = sys.argv[1], Path(sys.argv[2])
    if job == "make":
        told = make_runs(path, int(sys.argv[3]), [Path(each) for each in sys.argv[4:]])
    else:
        told = {"ours": learn_ours, "hf": learn_hf}[job](path, int(sys.argv[3]))
    print(json.dumps(told))


def make_runs(path: Path, size: int, files: list[Path]) -> dict[str, int]:
    """Distinct runs of `size` characters in all: those of the files, then new ones from halves."""
    from tokenizer.learning.characters import make_kinds
    from tokenizer.learning.runs import RunCounter

    counter = RunCounter(make_kinds(punctuation=True))
    for texts in read_texts(files):
        counter.add(texts)
    runs = counter.finish()
    real = count_characters(runs.starts)
    lines = split_runs(runs.codes, runs.starts)
    chance = np.random.default_rng(SEED)
    while (lacking := size - count_characters(runs.starts)) > 0:
        counter.add(recombine(lines, chance, lacking))
        runs = counter.finish()
    last = int(np.searchsorted(runs.starts - np.arange(len(runs.starts)), size + 1))
    np.savez(path, codes=runs.codes[: runs.starts[last]], starts=runs.starts[: last + 1])
    found = count_characters(runs.starts[: last + 1])
    return {"characters": found, "runs": last, "real": min(real, found)}


def count_characters(starts: NDArray[np.int64]) -> int:
    """Characters of runs with a wall behind each and one in front."""
    return int(starts[-1]) - len(starts)


def read_texts(files: Iterable[Path]) -> Iterator[list[str]]:
    """The texts, questions and answers of JSON lines, a thousand lines at a time."""
    from make_input import read_lines

    texts: list[str] = []
    for line in read_lines(files):
        texts += [line["source"], line["target"]] if "target" in line else [line["text"]]
        if len(texts) >= 1000:
            yield texts
            texts = []
    yield texts


def split_runs(codes: NDArray[np.int32], starts: NDArray[np.int64]) -> list[str]:
    """The runs as strings."""
    text = codes[1:].astype("<u4").tobytes().decode("utf-32-le")
    bounds = (starts - 1).tolist()
    return [text[a : b - 1] for a, b in pairwise(bounds)]


def recombine(lines: list[str], chance: np.random.Generator, size: int) -> list[str]:
    """First halves of runs with second halves of others, about `size` characters of them."""
    lines = [line for line in lines if len(line) >= SHORTEST]
    made: list[str] = []
    for line, other in zip(lines, chance.permutation(len(lines)).tolist(), strict=True):
        if size <= 0:
            break
        second = lines[other]
        made.append(line[: len(line) // 2] + second[len(second) // 2 :])
        size -= len(made[-1])
    return made


def learn_ours(path: Path, num_pieces: int) -> dict[str, float | int | str]:
    """Our learner, from the runs to the merges."""
    from tokenizer.learning.merging import Merger

    def learn(codes: NDArray[np.int32], starts: NDArray[np.int64]) -> list[tuple[str, str]]:
        weights, anchors = np.ones(len(starts) - 1, np.int64), np.ones(len(codes), np.uint8)
        merger = Merger(codes, weights, anchors, [], longest=255, min_count=2, starts=starts)
        return [(merge.left, merge.right) for merge in merger.learn(num_pieces)]

    with np.load(path) as runs:
        codes, starts = runs["codes"], runs["starts"]
    few = int(np.searchsorted(starts, 10_000))
    learn(codes[: starts[few]], starts[: few + 1])
    return measure(lambda: learn(codes, starts))


def learn_hf(path: Path, num_pieces: int) -> dict[str, float | int | str]:
    """Hugging Face's BpeTrainer: a run is a word, as nothing splits it."""
    from tokenizers import Tokenizer, models, trainers

    with np.load(path) as runs:
        lines = split_runs(runs["codes"], runs["starts"])
        alphabet = len(np.unique(runs["codes"])) - 1
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=alphabet + num_pieces, min_frequency=2, show_progress=False
    )

    def learn() -> None:
        tokenizer.train_from_iterator(lines, trainer, length=len(lines))

    def read() -> list[tuple[str, str]]:
        return [(a, b) for a, b in json.loads(tokenizer.to_str())["model"]["merges"]]

    told = measure(learn)
    return told | describe(read())


def measure(learn: Callable[[], list[tuple[str, str]] | None]) -> dict[str, float | int | str]:
    """What learning costs, and what was learned where that is returned."""
    cpu, wall = time.process_time(), time.perf_counter()
    merges = learn()
    told = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return told | (describe(merges) if merges else {})


def describe(merges: list[tuple[str, str]]) -> dict[str, int | str]:
    digest = hashlib.sha256(json.dumps(merges).encode()).hexdigest()
    return {"merges": len(merges), "sha256": digest[:16]}


if __name__ == "__main__":
    main()
