"""Sixty-four bytes at a time inside compiled loops: find, copy and count bytes.

Numba has no vector types and LLVM does not vectorise a loop that stops early, so these few
operations are given to LLVM as they are.  LLVM cuts the vectors to what the machine has (AVX-512,
AVX2, SSE2, NEON), so nothing depends on the processor but the speed.  The price: some bytes past
the end are read (`copy_64` writes them too), so every buffer ends with `PADDING` more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

vector_code: Any = intrinsic
WIDTH = 64
PADDING = 2 * WIDTH
"""Bytes that a buffer must have after its end."""

_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_BYTES = ir.VectorType(_BYTE, WIDTH)


def load_64(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """The 64 bytes of an array from an index on, as a vector."""
    return builder.load(_point(context, builder, kind, array, at), align=1)


def _point(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _BYTES.as_pointer())


def _splat(byte: int) -> Any:
    return ir.Constant(_BYTES, [byte] * WIDTH)


def _compare(builder: Any, sign: str, chunk: Any, byte: int) -> Any:
    return builder.icmp_unsigned(sign, chunk, _splat(byte))


def _any_of(builder: Any, *masks: Any) -> Any:
    return reduce(builder.or_, masks)


def _is_one_of(characters: bytes) -> Callable[[Any, Any], Any]:
    def test(builder: Any, chunk: Any) -> Any:
        return _any_of(builder, *(_compare(builder, "==", chunk, each) for each in characters))

    return test


def _is_text_end(builder: Any, chunk: Any) -> Any:
    quote = _compare(builder, "==", chunk, ord('"'))
    return builder.or_(quote, _compare(builder, "<", chunk, 0x20))


def _is_letter(builder: Any, chunk: Any) -> Any:
    lower = builder.or_(chunk, _splat(0x20))
    return _compare(builder, "<", builder.sub(lower, _splat(ord("a"))), 26)


def _is_wide(builder: Any, chunk: Any) -> Any:
    return _compare(builder, ">=", chunk, 0x80)


def _make_finder(test: Callable[[Any, Any], Any]) -> Any:
    """A function (data, at) -> 64 bits, the lowest for data[at]: 1 where the test holds."""

    @vector_code
    def find(typing: Any, data: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            chunk = load_64(context, builder, signature.args[0], args[0], args[1])
            return builder.bitcast(test(builder, chunk), _WORD)

        return types.uint64(data, types.int64), generate

    return find


find_newlines = _make_finder(_is_one_of(b"\n"))
find_text_end = _make_finder(_is_text_end)
"""Quotes and control characters: where a JSON string ends, unless the quote is escaped."""
find_backslashes = _make_finder(_is_one_of(b"\\"))
find_escapable = _make_finder(_is_one_of(b'"\\/bfnrtu'))
"""What may follow a backslash."""
find_u = _make_finder(_is_one_of(b"u"))
find_letters = _make_finder(_is_letter)
"""ASCII letters."""
find_wide = _make_finder(_is_wide)
"""Bytes of characters that are not ASCII."""


def _cannot_follow(builder: Any, byte: Any, one: Any, two: Any, three: Any) -> Any:
    """Where a byte cannot follow the three before it in UTF-8 (`one` is the nearest)."""
    continues = _compare(builder, "==", builder.and_(byte, _splat(0xC0)), 0x80)
    leads = ((one, 0xC0), (two, 0xE0), (three, 0xF0))
    must = _any_of(builder, *(_compare(builder, ">=", lead, low) for lead, low in leads))
    never = [_compare(builder, "==", byte, value) for value in (0xC0, 0xC1)]
    wrong = [(0xE0, "<", 0xA0), (0xED, ">=", 0xA0), (0xF0, "<", 0x90), (0xF4, ">=", 0x90)]
    pairs = [
        builder.and_(_compare(builder, "==", one, lead), _compare(builder, sign, byte, bound))
        for lead, sign, bound in wrong
    ]
    beyond = _compare(builder, ">=", byte, 0xF5)
    return _any_of(builder, builder.xor(continues, must), *never, beyond, *pairs)


@vector_code
def find_bad_utf8(typing: Any, data: Any, at: Any) -> Any:
    """64 bits: 1 where a byte cannot follow the three before it; `at` must be at least 3."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, (array, place) = signature.args[0], args
        steps = [builder.sub(place, ir.Constant(_WORD, back)) for back in range(4)]
        chunks = [load_64(context, builder, kind, array, step) for step in steps]
        return builder.bitcast(_cannot_follow(builder, *chunks), _WORD)

    return types.uint64(data, types.int64), generate


@vector_code
def copy_64(typing: Any, out: Any, to: Any, data: Any, at: Any) -> Any:
    """Copy 64 bytes: out[to:] = data[at:]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        chunk = load_64(context, builder, signature.args[2], args[2], args[3])
        place = _point(context, builder, signature.args[0], args[0], args[1])
        builder.store(chunk, place, align=1)
        return context.get_dummy_value()

    return types.void(out, types.int64, data, types.int64), generate


@vector_code
def count_trailing_zeros(typing: Any, bits: Any) -> Any:
    """The index of the lowest 1 (64 where there is none)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@vector_code
def count_ones(typing: Any, bits: Any) -> Any:
    """How many bits are 1."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate
