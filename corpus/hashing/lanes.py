"""Vectors of 16 and 32 lanes: permutations, and hashes of 16 shingles at a time.

Permutations: a lane is a permutation.  Its factor, its term and its minimum stay in registers while
all shingles of a text go by, each once for every 32 lanes: multiply, add, minimum for a lane and
shingle and nothing else, at any length of text.

Hashes: a lane is a shingle.  16 rows of 64 bytes are turned into words of 16 lanes, and SHA-1 and
xxHash32 are then what their definitions say, on vectors.  Written for LLVM as `bits` is, because
numba's own vectoriser takes ten times as long (it keeps the state of SHA-1 in memory).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from corpus.hashing.bits import instruction, load, locate, store

LANES = 16
BLOCK_BYTES = 64

_BYTE, _HALF, _WORD = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTES = ir.VectorType(_BYTE, BLOCK_BYTES)
_ROW = ir.VectorType(_HALF, LANES)
_MERSENNE = (1 << 61) - 1


def fill(value: int, kind: Any = _ROW) -> Any:
    """A constant vector."""
    return ir.Constant(kind, [value] * kind.count)


def _shuffle(builder: Any, one: Any, other: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_HALF, len(places)), places)
    return builder.shuffle_vector(one, other, mask)


def spread(builder: Any, value: Any, count: int) -> Any:
    """The same value in every lane."""
    kind = ir.VectorType(value.type, count)
    empty = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(_HALF, 0))
    return _shuffle(builder, one, empty, [0] * count)


def _affine32(builder: Any, factor: Any, value: Any, term: Any) -> Any:
    return builder.add(builder.mul(factor, value), term)


def _legacy(builder: Any, factor: Any, value: Any, term: Any) -> Any:
    """Lower half of (factor * value + term modulo 2^64) modulo 2^61 - 1."""
    kind = factor.type
    mixed = builder.add(builder.mul(factor, builder.zext(value, kind)), term)
    top = fill(61, kind)
    folded = builder.and_(mixed, fill(_MERSENNE, kind))
    folded = builder.add(folded, builder.lshr(mixed, top))
    # Taking away 2^61 - 1 adds one to the lower half.
    over = builder.lshr(builder.add(folded, fill(1, kind)), top)
    return builder.trunc(builder.add(folded, over), ir.VectorType(_HALF, kind.count))


def _make_lowering(lanes: int) -> Any:
    def lower(
        typing_context: Any, hashes: Any, num: Any, factors: Any, terms: Any, out: Any, at: Any
    ) -> Any:
        wide = factors.dtype == types.uint64
        kind = ir.VectorType(_WORD if wide else _HALF, lanes)
        permute, align = (_legacy, 8) if wide else (_affine32, 4)

        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            def point(number: int, place: Any) -> Any:
                return locate(context, builder, signature.args[number], given[number], place)

            factor, term = (load(builder, point(n, given[5]), kind, align) for n in (2, 3))
            home = point(4, given[5])
            least = load(builder, home, ir.VectorType(_HALF, lanes), 4)
            slot = cgutils.alloca_once_value(builder, least)
            with cgutils.for_range(builder, given[1]) as loop:
                value = spread(builder, builder.load(point(0, loop.index)), lanes)
                value, least = permute(builder, factor, value, term), builder.load(slot)
                smaller = builder.icmp_unsigned("<", value, least)
                builder.store(builder.select(smaller, value, least), slot)
            store(builder, builder.load(slot), home, 4)
            return context.get_dummy_value()

        return types.none(hashes, num, factors, terms, out, at), generate

    return instruction(lower)


lower_32 = _make_lowering(32)
"""lower_32(hashes, num, factors, terms, signature, at): lower values at ... at + 31 of a signature.

The factors' type decides: uint32 is affine32, a * h + b modulo 2^32; uint64 is legacy.
"""

lower_16 = _make_lowering(16)
"""The same for 16 values."""


@instruction
def load_words(
    typing_context: Any,
    data: Any,
    starts: Any,
    lengths: Any,
    block: Any,
    ending: Any,
    words: Any,
) -> Any:
    """load_words(data, starts, lengths, block, ending, words): a block of each of 16 messages.

    words[16 * t + lane] becomes the t-th little-endian word of bytes 64 * block ... of the message
    data[starts[lane]:][:lengths[lane]], where the byte `ending` and zeros follow its end.
    """

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        def point(number: int, place: Any = None) -> Any:
            return locate(context, builder, signature.args[number], given[number], place)

        last = spread(builder, builder.trunc(given[4], _BYTE), BLOCK_BYTES)
        skipped = builder.shl(builder.trunc(given[3], _HALF), ir.Constant(_HALF, 6))
        rows = []
        for lane in (ir.Constant(_WORD, lane) for lane in range(LANES)):
            start, length = builder.load(point(1, lane)), builder.load(point(2, lane))
            start, left = _clamp(builder, start, length, skipped)
            row = load(builder, point(0, builder.zext(start, _WORD)), _BYTES)
            rows.append(builder.bitcast(_cut(builder, row, left, last), _ROW))
        for number, row in enumerate(_transpose(builder, rows)):
            store(builder, row, point(5, ir.Constant(_WORD, LANES * number)), 4)
        return context.get_dummy_value()

    return types.none(data, starts, lengths, block, ending, words), generate


def _clamp(builder: Any, start: Any, length: Any, skipped: Any) -> tuple[Any, Any]:
    """Where a block is read and how many bytes of it count; of a message that has ended: -1."""
    most = ir.Constant(_HALF, BLOCK_BYTES)
    left = builder.sub(length, skipped)
    full = builder.icmp_unsigned(">", left, most)
    ended = builder.icmp_unsigned("<", length, skipped)
    moved = builder.select(ended, start, builder.add(start, skipped))
    left = builder.select(full, most, left)
    return moved, builder.select(ended, ir.Constant(_HALF, -1), left)


def _cut(builder: Any, row: Any, left: Any, last: Any) -> Any:
    """The first bytes of a row, the byte `last`, and zeros."""
    places = ir.Constant(_BYTES, list(range(BLOCK_BYTES)))
    left = spread(builder, builder.trunc(left, _BYTE), BLOCK_BYTES)
    rest = builder.select(builder.icmp_signed("==", places, left), last, fill(0, _BYTES))
    return builder.select(builder.icmp_signed("<", places, left), row, rest)


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """16 rows become 16 columns: squares of 1, 2, 4 and 8 swap across the diagonal."""
    for step in (1, 2, 4, 8):
        lanes = range(LANES)
        upper = [LANES + lane - step if lane & step else lane for lane in lanes]
        lower = [LANES + lane if lane & step else lane + step for lane in lanes]
        rows = [
            _shuffle(builder, rows[row & ~step], rows[row | step], lower if row & step else upper)
            for row in lanes
        ]
    return rows
