"""Machine instructions that numba has no name for: unaligned words, byte masks, wide products.

A loop that looks at text byte by byte takes four cycles for each.  These look at 64 bytes at once:
one bit for each byte that belongs to a word, and the ends of words are then found by arithmetic on
bits, as simdjson does with JSON (Langdale and Lemire 2019, https://arxiv.org/abs/1902.08318).  They
are written as LLVM's own vector operations, so that it makes of them what the machine has (AVX-512,
AVX2, NEON, ...).  The price: reads go past the text they are about, and the caller must see to it
that there is something to read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

_BYTE, _HALF, _WORD, _WIDE = (ir.IntType(width) for width in (8, 32, 64, 128))
_BLOCK = ir.VectorType(_BYTE, 64)


def instruction(generator: Callable[..., Any]) -> Any:
    """A function for kernels whose LLVM code is written by hand: numba's `intrinsic`."""
    return intrinsic(generator)


def locate(context: Any, builder: Any, kind: Any, array: Any, at: Any = None) -> Any:
    """LLVM's pointer to an element of an array, by default the first."""
    data = context.make_array(kind)(context, builder, array).data
    return data if at is None else builder.gep(data, [at])


def load(builder: Any, address: Any, kind: Any, align: int = 1) -> Any:
    """A value of another type than the pointer's."""
    return builder.load(builder.bitcast(address, kind.as_pointer()), align=align)


def store(builder: Any, value: Any, address: Any, align: int = 1) -> None:
    """Write a value of another type than the pointer's."""
    builder.store(value, builder.bitcast(address, value.type.as_pointer()), align=align)


def _make_reader(kind: Any, result: Any) -> Any:
    def read(typing_context: Any, data: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            return load(builder, locate(context, builder, data, *given), kind)

        return result(data, at), generate

    return instruction(read)


read_u64 = _make_reader(_WORD, types.uint64)
"""read_u64(data, at): eight bytes, the first one lowest."""

read_u32 = _make_reader(_HALF, types.uint32)
"""read_u32(data, at): four bytes."""


def _make_writer(kind: Any) -> Any:
    def write(typing_context: Any, data: Any, at: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            store(builder, given[2], locate(context, builder, data, *given[:2]))
            return context.get_dummy_value()

        return types.none(data, at, kind), generate

    return instruction(write)


write_u64 = _make_writer(types.uint64)
"""write_u64(data, at, value)."""

write_u32 = _make_writer(types.uint32)
"""write_u32(data, at, value)."""


@instruction
def mask_words(typing_context: Any, data: Any, at: Any) -> Any:
    """mask_words(data, at): for 64 bytes, bits of ASCII letters and digits; bits of not ASCII."""

    def splat(value: int) -> Any:
        return ir.Constant(_BLOCK, [value] * 64)

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        block = load(builder, locate(context, builder, data, *given), _BLOCK)
        letter = builder.sub(builder.or_(block, splat(0x20)), splat(ord("a")))
        digit = builder.sub(block, splat(ord("0")))
        letters = builder.icmp_unsigned("<", letter, splat(26))
        digits = builder.icmp_unsigned("<", digit, splat(10))
        others = builder.icmp_signed("<", block, splat(0))
        masks = [builder.bitcast(each, _WORD) for each in (builder.or_(letters, digits), others)]
        return context.make_tuple(builder, signature.return_type, masks)

    return types.UniTuple(types.uint64, 2)(data, at), generate


@instruction
def count_trailing_zeros(typing_context: Any, value: Any) -> Any:
    """count_trailing_zeros(value): place of the lowest bit; 64 where there is none."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.cttz(given[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@instruction
def multiply_fold(typing_context: Any, one: Any, other: Any) -> Any:
    """multiply_fold(one, other): both halves of the 128-bit product, combined by XOR."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        product = builder.mul(*(builder.zext(each, _WIDE) for each in given))
        upper = builder.trunc(builder.lshr(product, ir.Constant(_WIDE, 64)), _WORD)
        return builder.xor(upper, builder.trunc(product, _WORD))

    return types.uint64(types.uint64, types.uint64), generate
