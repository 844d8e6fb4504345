"""How close the permutations come to the limit of the processor's multipliers.

    python benchmarks/permutation_limit.py

The limit is what a loop reaches that does nothing but multiply, add and take the minimum, on
vectors that stay in registers; the shape of the loop (lanes of a vector, vectors at once) that is
fastest on this machine counts.  Ours is the kernel of `corpus.minhash`, at several lengths of text.
Both in turns, in one process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types

from corpus.hashing.bits import instruction, load, locate, store
from corpus.hashing.kernels import lower_signature
from corpus.hashing.signatures import make_permutations

NUM_VALUES, NUM_PERM = 1024, 128
SHAPES = [(8, 4), (8, 8), (8, 10), (16, 4), (16, 8), (16, 10)]
LENGTHS = (1024, 250, 60, 10)
WORK = 4_000_000_000
"""Multiplications of a turn."""


def make_limit(lanes: int, vectors: int) -> Callable[..., None]:
    """A loop over values in the first-level cache, `vectors` permutations at a time."""
    kind = ir.VectorType(ir.IntType(32), lanes)

    @instruction
    def reduce(typing_context: Any, values: Any, factors: Any, terms: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            def point(number: int, place: Any) -> Any:
                return locate(context, builder, signature.args[number], given[number], place)

            def constant(place: int) -> Any:
                return ir.Constant(ir.IntType(64), place)

            homes = [[point(n, constant(lanes * v)) for v in range(vectors)] for n in (1, 2, 3)]
            a, b, least = ([load(builder, home, kind, 4) for home in row] for row in homes)
            slots = [cgutils.alloca_once_value(builder, each) for each in least]
            with cgutils.for_range(builder, constant(NUM_VALUES // lanes)) as loop:
                place = builder.mul(loop.index, constant(lanes))
                value = load(builder, point(0, place), kind, 4)
                for vector, slot in enumerate(slots):
                    new = builder.add(builder.mul(value, a[vector]), b[vector])
                    old = builder.load(slot)
                    smaller = builder.icmp_unsigned("<", new, old)
                    builder.store(builder.select(smaller, new, old), slot)
            for slot, home in zip(slots, homes[2], strict=True):
                store(builder, builder.load(slot), home, 4)
            return context.get_dummy_value()

        return types.none(values, factors, terms, out), generate

    @njit(error_model="numpy")
    def repeat(values: Any, factors: Any, terms: Any, out: Any, times: Any) -> None:
        for _ in range(times):
            reduce(values, factors, terms, out)

    return repeat


@njit(error_model="numpy")
def repeat_ours(values: Any, num: Any, factors: Any, terms: Any, out: Any, times: Any) -> None:
    for _ in range(times):
        lower_signature(values, num, factors, terms, out)


def make_turns() -> dict[str, tuple[Callable[[int], None], int]]:
    """What is measured: a function of a number of times, and its multiplications each time."""
    random = np.random.default_rng(1)
    values = random.integers(0, 1 << 32, NUM_VALUES, dtype=np.uint32)
    factors, terms = make_permutations(256, 1)
    turns: dict[str, tuple[Callable[[int], None], int]] = {}
    for lanes, vectors in SHAPES:
        limit, out = make_limit(lanes, vectors), np.full(256, 0xFFFFFFFF, np.uint32)
        turns[f"limit, {vectors} vectors of {lanes}"] = (
            lambda times, limit=limit, out=out: limit(values, factors, terms, out, times),
            NUM_VALUES * vectors,
        )
    mine = factors[:NUM_PERM].copy(), terms[:NUM_PERM].copy()
    for num in LENGTHS:
        out = np.full(NUM_PERM, 0xFFFFFFFF, np.uint32)
        turns[f"ours, texts of {num} shingles"] = (
            lambda times, num=num, out=out: repeat_ours(values, num, *mine, out, times),
            num * NUM_PERM,
        )
    return turns


def measure(rounds: int) -> dict[str, list[float]]:
    """Multiplications a second of every turn, by round."""
    turns = make_turns()
    rates: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, (run, work) in turns.items():
            times = WORK // work if number else 10
            started = time.process_time()
            run(times)
            if number:
                rates[name].append(times * work / (time.process_time() - started))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin_to_one_core()
    rates = measure(options.rounds)
    medians = {name: harness.median(each) for name, each in rates.items()}
    best = max((name for name in medians if name.startswith("limit")), key=medians.__getitem__)
    rows = [
        [
            name,
            f"{medians[name] / 1e9:.1f}",
            f"{medians[name] / NUM_PERM / 1e6:.0f}",
            f"{harness.median(a / b for a, b in zip(each, rates[best], strict=True)):.1%}",
        ]
        for name, each in rates.items()
    ]
    head = ["", "10^9 permutations/s", f"10^6 shingles/s at {NUM_PERM}", "of the best limit"]
    title = "Permutations beside the limit of the multipliers"
    harness.write_section(options.results, "permutations", title, harness.make_table(head, rows))


if __name__ == "__main__":
    main()
