"""Documents into sequences: ours beside four other ways, on real text.

    python benchmarks/packing.py --model tokenizer.model --files zh/*.jsonl.zst en/*.jsonl.zst

All get the same token counts (BOS, text, EOS), in an order by chance.  Each contender is a process
of its own on one core; they take turns.  Counted are documents that lie in more than one sequence
or lost their end, those of them that would have fitted into one, tokens lost, and padding.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import harness
from encoder import read_texts
from harness import Worker

LABELS = {
    "ours": "ours: best fit and even order",
    "ding": "best fit, segment tree, plain Python (Ding et al.'s algorithm; no order)",
    "chop": "concatenate and chop",
    "truncate": "cut off at a sequence's length, then in order as they fit",
    "pad": "one document a sequence, longer ones continued",
}


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), [Path(f) for f in sys.argv[5:]])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="SentencePiece .model")
    parser.add_argument("--files", type=Path, nargs="+", required=True, help="JSON lines (.zst)")
    parser.add_argument("--sequence-length", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, help="the file to write a section of")
    options = parser.parse_args()
    harness.pin_to_one_core()
    report(options, *measure(options))


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, list[harness.Cost]]]:
    """What each contender tells of its packing, and its costs."""
    shared = [str(options.model), str(options.sequence_length), *map(str, options.files)]
    workers = [
        Worker(name, [sys.executable, __file__, "--serve", name, *shared]) for name in LABELS
    ]
    for worker in workers:
        worker.start()
    costs = harness.interleave({worker.name: worker.run for worker in workers}, options.rounds)
    for worker in workers:
        worker.stop()
    return {worker.name: worker.told for worker in workers}, costs


def report(
    options: argparse.Namespace, told: dict[str, Any], costs: dict[str, list[harness.Cost]]
) -> None:
    rows = []
    for name, label in LABELS.items():
        about = told[name]
        counts = [f"{about[key]:,}" for key in ("broken", "needless", "lost", "sequences")]
        seconds = median(cost.cpu for cost in costs[name])
        rows.append([label, *counts, f"{about['padding']:.3%}", f"{seconds:.3g}"])
    head = ["", "broken", "of them would fit", "tokens lost", "sequences", "padding", "CPU s"]
    about = told["ours"]
    size = f"{about['documents']:,} documents, {about['tokens']:,} tokens"
    body = f"{size}, sequences of {options.sequence_length:,}.\n\n{harness.make_table(head, rows)}"
    if options.results:
        harness.write_section(options.results, "packing", "Documents into sequences", body)
    else:
        print(body)


def serve(name: str, model: Path, sequence_length: int, files: Sequence[Path]) -> None:
    """One contender: count the tokens, pack once for the figures, then in turns."""
    import numpy as np

    from tokenizer import Encoder

    encoder = Encoder(model)
    counts = [encoder.count(list(read_texts(file))) + 2 for file in files]
    length_D = np.random.default_rng(0).permutation(np.concatenate(counts)).astype(np.int32)
    pack = PACKERS[name]
    broken_D, lost, sequences = pack(length_D, sequence_length)
    tokens = int(length_D.sum(dtype=np.int64))
    about = {
        "documents": len(length_D),
        "tokens": tokens,
        "broken": int(broken_D.sum()),
        "needless": int((broken_D & (length_D <= sequence_length)).sum()),
        "lost": lost,
        "sequences": sequences,
        "padding": 1 - (tokens - lost) / (sequences * sequence_length),
    }

    def work() -> dict[str, Any]:
        pack(length_D, sequence_length)
        return {}

    harness.serve(work, about)


def pack_ours(length_D: Any, size: int) -> tuple[Any, int, int]:
    import numpy as np

    from buckets.packing import pack_bucket

    packing = pack_bucket(length_D, np.zeros_like(length_D), size, 0)
    pieces_D = np.bincount(packing.document_Q, minlength=len(length_D))
    return pieces_D > 1, 0, packing.num_sequences


def pack_ding(length_D: Any, size: int) -> tuple[Any, int, int]:
    """Full chunks stand alone; the others, longest first, go where a segment tree over the rooms
    finds the least that is enough."""
    lengths = length_D.tolist()
    full = sum(length // size for length in lengths)
    rests = sorted((length % size for length in lengths if length % size), reverse=True)
    leaves = 1 << size.bit_length()
    tree, stacks, count = [0] * (2 * leaves), [0] * (size + 1), 0
    for rest in rests:
        room = find_room(tree, leaves, rest)
        if room:
            stacks[room] -= 1
            if not stacks[room]:
                mark_room(tree, leaves, room, 0)
        else:
            room, count = size, count + 1
        left = room - rest
        stacks[left] += 1
        if left and stacks[left] == 1:
            mark_room(tree, leaves, left, left)
    return length_D > size, 0, full + count


def find_room(tree: list[int], leaves: int, least: int) -> int:
    """The smallest room of at least `least`; each node holds the largest room below it."""
    node = leaves + least
    if tree[node]:
        return tree[node]
    while node > 1:
        if node % 2 == 0 and tree[node + 1]:
            node += 1
            while node < leaves:
                node = 2 * node if tree[2 * node] else 2 * node + 1
            return tree[node]
        node //= 2
    return 0


def mark_room(tree: list[int], leaves: int, room: int, value: int) -> None:
    node = leaves + room
    tree[node] = value
    while node > 1:
        node //= 2
        tree[node] = max(tree[2 * node], tree[2 * node + 1])


def chop(length_D: Any, size: int) -> tuple[Any, int, int]:
    import numpy as np

    end_D = np.cumsum(length_D, dtype=np.int64)
    broken_D = (end_D - length_D) // size != (end_D - 1) // size
    return broken_D, 0, -(-int(end_D[-1]) // size)


def truncate(length_D: Any, size: int) -> tuple[Any, int, int]:
    import numpy as np

    sequences, room = 0, 0
    for length in np.minimum(length_D, size).tolist():
        if length > room:
            sequences, room = sequences + 1, size
        room -= length
    return length_D > size, int((length_D.clip(size) - size).sum(dtype=np.int64)), sequences


def pad(length_D: Any, size: int) -> tuple[Any, int, int]:
    return length_D > size, 0, int((-(-length_D // size)).sum())


PACKERS: dict[str, Callable[[Any, int], tuple[Any, int, int]]] = {
    "ours": pack_ours,
    "ding": pack_ding,
    "chop": chop,
    "truncate": truncate,
    "pad": pad,
}


if __name__ == "__main__":
    main()
