"""BLAKE2b-128 of many documents at once, the ids of the documents table.

Eight messages are hashed side by side, one in each lane of a vector of eight 64-bit words; a lane
that is done takes the next message.  The compression function (RFC 7693, section 3.2) is given to
LLVM as vector code, so that it stays in registers: about three times the speed of `hashlib`, whose
digests it equals.  The price: a message that is much longer than the others would be hashed alone,
in one lane of eight, so long ones go to `hashlib` after all.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from corpus.compiled import kernel, part
from corpus.reading.vectors import vector_code

LANES, BLOCK = 8, 128
HEX_DIGITS = 32
LONG = 1 << 17
"""Bytes of a message from which `hashlib` is faster than one lane."""

_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)

_IV = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)
_START = np.array([_IV[0] ^ 0x01010000 ^ 16, *_IV[1:]], np.uint64)
"""The state for a digest of 16 bytes without a key."""
_SIGMA = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_MIXED = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def _rotate(builder: Any, word: Any, bits: int) -> Any:
    right = ir.Constant(_VECTOR, [bits] * LANES)
    left = ir.Constant(_VECTOR, [64 - bits] * LANES)
    return builder.or_(builder.lshr(word, right), builder.shl(word, left))


def _mix(builder: Any, v: list[Any], places: tuple[int, ...], x: Any, y: Any) -> None:
    """The function G of the RFC."""
    a, b, c, d = places
    for word, first, second in ((x, 32, 24), (y, 16, 63)):
        v[a] = builder.add(builder.add(v[a], v[b]), word)
        v[d] = _rotate(builder, builder.xor(v[d], v[a]), first)
        v[c] = builder.add(v[c], v[d])
        v[b] = _rotate(builder, builder.xor(v[b], v[c]), second)


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Eight vectors of a message's words become eight vectors of the messages' same word."""
    for step in (1, 2, 4):
        rows = [_interleave(builder, rows, row, step) for row in range(LANES)]
    return rows


def _interleave(builder: Any, rows: list[Any], row: int, step: int) -> Any:
    """One row after squares of `step` words have changed places across the diagonal."""
    one, other = rows[row & ~step], rows[row | step]
    shift = step if row & step else 0
    places = [(i & ~step) + shift + (LANES if i & step else 0) for i in range(LANES)]
    return builder.shuffle_vector(
        one, other, ir.Constant(ir.VectorType(ir.IntType(32), LANES), places)
    )


def _load_message(builder: Any, addresses: Any) -> list[Any]:
    words: list[Any] = []
    for half in range(2):
        rows = []
        for lane in range(LANES):
            index = ir.Constant(_WORD, lane)
            address = builder.load(builder.gep(addresses, [index]))
            place = builder.add(address, ir.Constant(_WORD, 64 * half))
            rows.append(builder.load(builder.inttoptr(place, _VECTOR.as_pointer()), align=1))
        words += _transpose(builder, rows)
    return words


@vector_code
def _compress(typing: Any, state: Any, counts: Any, last: Any, addresses: Any) -> Any:
    """Take one block of each lane into the state.

    state: (8, LANES); counts: bytes so far, this block included; last: all ones where the block
    ends its message; addresses: of the blocks; all uint64.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = zip(signature.args, args, strict=True)
        data = [context.make_array(kind)(context, builder, value).data for kind, value in pairs]
        state, counts, last = (builder.bitcast(each, _VECTOR.as_pointer()) for each in data[:3])
        rows = [builder.gep(state, [ir.Constant(_WORD, row)]) for row in range(8)]
        before = [builder.load(row, align=8) for row in rows]
        v = [*before, *(ir.Constant(_VECTOR, [word] * LANES) for word in _IV)]
        v[12] = builder.xor(v[12], builder.load(counts, align=8))
        v[14] = builder.xor(v[14], builder.load(last, align=8))
        message = _load_message(builder, data[3])
        for number in range(12):
            order = _SIGMA[number % 10]
            for step, places in enumerate(_MIXED):
                x, y = message[order[2 * step]], message[order[2 * step + 1]]
                _mix(builder, v, places, x, y)
        for row in range(8):
            after = builder.xor(before[row], builder.xor(v[row], v[row + 8]))
            builder.store(after, rows[row], align=8)
        return context.get_dummy_value()

    return types.void(state, counts, last, addresses), generate


@part
def _copy_block(prompts: Any, texts: Any, bounds: Any, at: Any, room: Any, lane: Any) -> None:
    """128 bytes of prompt, NUL, text from `at` on, zeros behind the end."""
    prompt, middle, text, length = bounds
    for i in range(BLOCK):
        room[lane, i] = 0
    for i in range(at, min(at + BLOCK, middle)):
        room[lane, i - at] = prompts[prompt + i]
    for i in range(max(at, middle + 1), min(at + BLOCK, length)):
        room[lane, i - at] = texts[text + i - middle - 1]


@part
def _open_block(
    lane: Any, at: Any, prompts: Any, texts: Any, bounds: Any, lanes: Any, room: Any
) -> Any:
    """Set a lane to the block at `at`; returns how many after it can be read where they lie.

    bounds: of the message: start of its prompt, length of the prompt, start of its text, length.
    """
    counts, last, addresses = lanes
    _, middle, text, length = bounds
    counts[lane] = min(at + BLOCK, length)
    last[lane] = ~np.uint64(0) if at + BLOCK >= length else np.uint64(0)
    if at <= middle or last[lane]:
        _copy_block(prompts, texts, bounds, at, room, lane)
        addresses[lane] = room.ctypes.data + lane * BLOCK
        return 0
    addresses[lane] = texts.ctypes.data + text + at - middle - 1
    return (length - at - 1) // BLOCK - 1


@part
def _start_lane(state: Any, lane: Any) -> None:
    for word in range(8):
        state[word, lane] = _START[word]


@part
def _write_digest(state: Any, lane: Any, out: Any, row: Any) -> None:
    for word in range(2):
        value = state[word, lane]
        for byte in range(8):
            out[row, 16 * word + 2 * byte] = _DIGITS[(value >> np.uint64(4)) & np.uint64(15)]
            out[row, 16 * word + 2 * byte + 1] = _DIGITS[value & np.uint64(15)]
            value >>= np.uint64(8)


@part
def _close_lanes(state: Any, last: Any, mine: Any, out: Any) -> Any:
    """Write the digests of the lanes that are done and start them anew; returns how many."""
    closed = 0
    for lane in range(LANES):
        if last[lane] and mine[lane] >= 0:
            _write_digest(state, lane, out, mine[lane])
            _start_lane(state, lane)
            mine[lane] = -1
            closed += 1
    return closed


@kernel
def _hash_rows(prompts: Any, firsts: Any, texts: Any, starts: Any, rows: Any, out: Any) -> None:
    """out[row]: the digest of each of the rows."""
    state, room = np.empty((8, LANES), np.uint64), np.zeros((LANES, BLOCK), np.uint8)
    counts, last = np.zeros(LANES, np.uint64), np.zeros(LANES, np.uint64)
    addresses, ready = np.empty(LANES, np.uint64), np.zeros(LANES, np.int64)
    mine, lanes = np.full(LANES, -1, np.int64), (counts, last, addresses)
    step, taken, done = np.uint64(BLOCK), 0, 0
    for lane in range(LANES):
        addresses[lane] = room.ctypes.data
        _start_lane(state, lane)
    while done < rows.shape[0]:
        for lane in range(LANES):
            if ready[lane]:
                ready[lane] -= 1
                counts[lane] += step
                addresses[lane] += step
                continue
            at = np.int64(counts[lane])
            if mine[lane] < 0:
                if taken == rows.shape[0]:
                    continue
                mine[lane], at, taken = rows[taken], 0, taken + 1
            row = mine[lane]
            prompt, text = np.int64(firsts[row]), np.int64(starts[row])
            middle = firsts[row + 1] - prompt
            bounds = (prompt, middle, text, middle + 1 + starts[row + 1] - text)
            ready[lane] = _open_block(lane, at, prompts, texts, bounds, lanes, room)
        _compress(state, counts, last, addresses)
        done += _close_lanes(state, last, mine, out)


def hash_documents(
    prompts: NDArray[np.uint8],
    prompt_ends: NDArray[np.int32],
    texts: NDArray[np.uint8],
    text_ends: NDArray[np.int32],
) -> NDArray[np.uint8]:
    """The ids of documents: `corpus.reading.records.hash_document` for every row.

    Args:
        prompts, texts: UTF-8 of all rows, one after the other.
        prompt_ends, text_ends: (rows + 1,) offsets into them, as in an Arrow string array.

    Returns:
        (rows, 32) hexadecimal digits.
    """
    lengths = np.diff(prompt_ends) + np.diff(text_ends)
    out = np.empty((len(lengths), HEX_DIGITS), np.uint8)
    order = np.argsort(-lengths, kind="stable")
    num_long = int(np.searchsorted(-lengths[order], -LONG))
    for row in order[:num_long]:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(prompts[prompt_ends[row] : prompt_ends[row + 1]].data)
        digest.update(b"\0")
        digest.update(texts[text_ends[row] : text_ends[row + 1]].data)
        out[row] = np.frombuffer(digest.hexdigest().encode(), np.uint8)
    _hash_rows(prompts, prompt_ends, texts, text_ends, order[num_long:], out)
    return out
