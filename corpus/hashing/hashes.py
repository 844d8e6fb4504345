"""SHA-1 and xxHash32 of many short pieces of a buffer, 16 at a time.

What `datasketch` uses by default (the first four bytes of SHA-1, lowest first) and what it is often
given instead.  FIPS 180-4 and https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, on
vectors (`lanes`).  A message of several blocks makes the other 15 lanes wait for it, which is rare:
five words fit one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from corpus.compiled import part
from corpus.hashing.bits import instruction, load, locate, read_u32, store
from corpus.hashing.lanes import BLOCK_BYTES, LANES, fill, load_words, spread

PADDING = BLOCK_BYTES
"""Bytes that may be read after the last piece."""

SCRATCH = LANES * (16 + 5)

u32, u64 = np.uint32, np.uint64

_INITIAL = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
_ROUNDS = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)
_PRIMES = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1)
_P1, _P2, _P3, _P4, _P5 = (u32(prime) for prime in _PRIMES)
_ROW, _BYTES = ir.VectorType(ir.IntType(32), LANES), ir.VectorType(ir.IntType(8), BLOCK_BYTES)


@part
def hash_pieces(
    data: Any, starts: Any, lengths: Any, num: Any, sha1: Any, out: Any, scratch: Any
) -> None:
    """out[i]: SHA-1's first word, or xxHash32, of the bytes data[starts[i]:][:lengths[i]].

    `starts`, `lengths` and `out` (uint32) go on to a multiple of 16, `data` for `PADDING` bytes;
    `scratch` has room for `SCRATCH` uint32.
    """
    words, state = scratch[: LANES * 16], scratch[LANES * 16 :]
    for first in range(num, (num + LANES - 1) // LANES * LANES):
        starts[first], lengths[first] = 0, 0
    for first in range(0, num, LANES):
        longest = u32(0)
        for lane in range(LANES):
            longest = max(longest, lengths[first + lane])
        begins, sizes, mine = starts[first:], lengths[first:], out[first:]
        if sha1:
            for block in range((np.int64(longest) + 8) // BLOCK_BYTES + 1):
                load_words(data, begins, sizes, block, 0x80, words)
                _add_block(words, sizes, block, state, mine)
            continue
        load_words(data, begins, sizes, 0, 0, words)
        _finish_xxh32(words, sizes, mine)
        for lane in range(LANES if longest >= u32(BLOCK_BYTES) else 0):
            if sizes[lane] >= u32(BLOCK_BYTES):
                mine[lane] = _hash_long_xxh32(data, u64(begins[lane]), u64(sizes[lane]), words)


@part
def _mix_word(state: Any, word: Any, before: Any, turn: Any, after: Any) -> Any:
    state = u32(state + u32(word * before))
    return u32(u32(u32(state << turn) | u32(state >> u32(u32(32) - turn))) * after)


@part
def _hash_long_xxh32(data: Any, at: Any, length: Any, state: Any) -> Any:
    """xxHash32 of 16 bytes or more."""
    state[0], state[1], state[2], state[3] = u32(_P1 + _P2), _P2, u32(0), u32(u32(0) - _P1)
    end = u64(at + length)
    while at + u64(16) <= end:
        for lane in range(4):
            word = read_u32(data, at)
            state[lane] = _mix_word(state[lane], word, _P2, u32(13), _P1)
            at += u64(4)
    x = u32(length)
    for lane, turn in enumerate((1, 7, 12, 18)):
        x = u32(x + u32(u32(state[lane] << u32(turn)) | u32(state[lane] >> u32(32 - turn))))
    while at + u64(4) <= end:
        x = _mix_word(x, read_u32(data, at), _P3, u32(17), _P4)
        at += u64(4)
    while at < end:
        x = _mix_word(x, u32(data[at]), _P5, u32(11), _P1)
        at += u64(1)
    x = u32(u32(x ^ (x >> u32(15))) * _P2)
    x = u32(u32(x ^ (x >> u32(13))) * _P3)
    return u32(x ^ (x >> u32(16)))


def _read_row(context: Any, builder: Any, kind: Any, array: Any, number: int) -> Any:
    place = ir.Constant(ir.IntType(64), LANES * number)
    return load(builder, locate(context, builder, kind, array, place), _ROW, 4)


def _turn(builder: Any, row: Any, count: int) -> Any:
    left, right = builder.shl(row, fill(count)), builder.lshr(row, fill(32 - count))
    return builder.or_(left, right)


def _swap_row(builder: Any, row: Any) -> Any:
    order = [4 * (place // 4) + 3 - place % 4 for place in range(BLOCK_BYTES)]
    mask = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK_BYTES), order)
    swapped = builder.bitcast(row, _BYTES)
    return builder.bitcast(builder.shuffle_vector(swapped, swapped, mask), _ROW)


@instruction
def _add_block(
    typing_context: Any, words: Any, lengths: Any, block: Any, state: Any, out: Any
) -> Any:
    """_add_block(words, lengths, block, state, out): go on with SHA-1 of 16 messages.

    Lanes whose message has ended keep their state; block 0 starts anew.  `out` gets the first word
    of the state, its first byte lowest.
    """

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        length = _read_row(context, builder, lengths, given[1], 0)
        number = spread(builder, builder.trunc(given[2], ir.IntType(32)), LANES)
        final = builder.lshr(builder.add(length, fill(8)), fill(6))
        rows = [_read_row(context, builder, words, given[0], word) for word in range(16)]
        schedule = [_swap_row(builder, row) for row in rows]
        closes = builder.icmp_unsigned("==", final, number)
        for word, bits in (
            (14, builder.lshr(length, fill(29))),
            (15, builder.shl(length, fill(3))),
        ):
            schedule[word] = builder.select(closes, bits, schedule[word])
        old = _start_state(context, builder, state, given[3], number)
        goes_on = builder.icmp_unsigned(">=", final, number)
        for word, fresh in enumerate(_run_rounds(builder, old, schedule)):
            new = builder.select(goes_on, builder.add(old[word], fresh), old[word])
            place = ir.Constant(ir.IntType(64), LANES * word)
            store(builder, new, locate(context, builder, state, given[3], place), 4)
            if word == 0:
                first = locate(context, builder, out, given[4])
                store(builder, _swap_row(builder, new), first, 4)
        return context.get_dummy_value()

    return types.none(words, lengths, block, state, out), generate


def _start_state(context: Any, builder: Any, kind: Any, state: Any, block: Any) -> list[Any]:
    is_first = builder.icmp_unsigned("==", block, fill(0))
    rows = [_read_row(context, builder, kind, state, word) for word in range(5)]
    return [
        builder.select(is_first, fill(start), row)
        for start, row in zip(_INITIAL, rows, strict=True)
    ]


def _run_rounds(builder: Any, rows: list[Any], schedule: list[Any]) -> list[Any]:
    for number in range(80):
        if number >= 16:
            mixed = schedule[number - 16]
            for back in (3, 8, 14):
                mixed = builder.xor(mixed, schedule[number - back])
            schedule.append(_turn(builder, mixed, 1))
        rows = _run_round(builder, rows, schedule[number], number // 20)
    return rows


def _run_round(builder: Any, rows: list[Any], word: Any, quarter: int) -> list[Any]:
    a, b, c, d, e = rows
    if quarter == 0:
        chosen = builder.xor(d, builder.and_(b, builder.xor(c, d)))
    elif quarter == 2:
        chosen = builder.or_(builder.and_(b, c), builder.and_(d, builder.or_(b, c)))
    else:
        chosen = builder.xor(builder.xor(b, c), d)
    known = builder.add(builder.add(e, fill(_ROUNDS[quarter])), word)
    new = builder.add(builder.add(_turn(builder, a, 5), chosen), known)
    return [new, a, _turn(builder, b, 30), c, d]


@instruction
def _finish_xxh32(typing_context: Any, words: Any, lengths: Any, out: Any) -> Any:
    """_finish_xxh32(words, lengths, out): xxHash32 of 16 messages shorter than a block."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        rows = [_read_row(context, builder, words, given[0], number) for number in range(16)]
        length = _read_row(context, builder, lengths, given[1], 0)
        x, rest = _start_row(builder, rows, length)
        x = _add_rest(builder, x, rest, length)
        for turn, prime in ((15, _PRIMES[1]), (13, _PRIMES[2])):
            x = builder.mul(builder.xor(x, builder.lshr(x, fill(turn))), fill(prime))
        x = builder.xor(x, builder.lshr(x, fill(16)))
        store(builder, x, locate(context, builder, out, given[2]), 4)
        return context.get_dummy_value()

    return types.none(words, lengths, out), generate


def _mix_row(builder: Any, row: Any, word: Any, before: int, turn: int, after: int) -> Any:
    row = builder.add(row, builder.mul(word, fill(before)))
    return builder.mul(_turn(builder, row, turn), fill(after))


def _start_row(builder: Any, rows: list[Any], length: Any) -> tuple[Any, list[Any]]:
    """The state after all stripes of 16 bytes, and the four words from there on."""
    p1, p2, p5 = _PRIMES[0], _PRIMES[1], _PRIMES[4]
    states = [fill(each & 0xFFFFFFFF) for each in (p1 + p2, p2, 0, -p1)]
    rest = rows[:4]
    for stripe in (1, 2, 3):
        reached = builder.icmp_unsigned(">=", length, fill(16 * stripe))
        for lane in range(4):
            mixed = _mix_row(builder, states[lane], rows[4 * stripe - 4 + lane], p2, 13, p1)
            states[lane] = builder.select(reached, mixed, states[lane])
            rest[lane] = builder.select(reached, rows[4 * stripe + lane], rest[lane])
    turned = [_turn(builder, *each) for each in zip(states, (1, 7, 12, 18), strict=True)]
    total = builder.add(builder.add(*turned[:2]), builder.add(*turned[2:]))
    striped = builder.icmp_unsigned(">=", length, fill(16))
    return builder.add(builder.select(striped, total, fill(p5)), length), rest


def _add_rest(builder: Any, x: Any, rest: list[Any], length: Any) -> Any:
    """The last words and bytes."""
    p1, _, p3, p4, p5 = _PRIMES
    last, left = rest[0], builder.and_(length, fill(15))
    for number in (1, 2, 3):
        reached = builder.icmp_unsigned(">=", left, fill(4 * number))
        x = builder.select(reached, _mix_row(builder, x, rest[number - 1], p3, 17, p4), x)
        last = builder.select(reached, rest[number], last)
    left = builder.and_(length, fill(3))
    for number in range(3):
        byte = builder.and_(builder.lshr(last, fill(8 * number)), fill(0xFF))
        reached = builder.icmp_unsigned(">", left, fill(number))
        x = builder.select(reached, _mix_row(builder, x, byte, p5, 11, p1), x)
    return x
