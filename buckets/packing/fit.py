"""Best fit, longest first: pieces shorter than a sequence into sequences, compiled.

A piece goes where the least room is left over (best-fit decreasing).  Sequences with the same room
form a stack; which rooms have a stack is a bitmap, and which of its words are not zero is a second
one, so that the smallest room that fits is found with two or three look-ups whatever the number of
sequences: some 10 ns a piece.

The price: an int32 for each length and each sequence, and two bits for each length.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from buckets.packing.compiled import kernel, part
from corpus.reading.vectors import count_trailing_zeros

_i32, _u64 = np.int32, np.uint64
_NONE, _1, _6, _63 = _i32(-1), _u64(1), _u64(6), _u64(63)


@kernel
def sort_rests(length_U: Any, sequence_length: Any) -> Any:  # pyright: ignore
    """Parts with a rest beside their full sequences, the longest rest first (a counting sort).

    Returns:
        part_R: int32, indices of the parts; equal rests in the order given.
        rest_R: int32, tokens.
    """
    begin_L = np.zeros(sequence_length + 1, np.int64)
    for length in length_U:
        begin_L[length % sequence_length] += 1
    begin_L[0] = 0
    total = 0
    for rest in range(sequence_length - 1, 0, -1):
        begin_L[rest], total = total, total + begin_L[rest]
    part_R, rest_R = np.empty(total, _i32), np.empty(total, _i32)
    for place in range(len(length_U)):
        rest = length_U[place] % sequence_length
        if rest:
            part_R[begin_L[rest]] = place
            rest_R[begin_L[rest]] = rest
            begin_L[rest] += 1
    return part_R, rest_R


@kernel
def best_fit(length_R: Any, capacity: Any) -> Any:  # pyright: ignore
    """Put pieces, in the order given, each where the least room is left over.

    Of several such sequences the one that was used last is taken.

    Args:
        length_R: int32, each from 1 to `capacity`.

    Returns:
        sequence_R, offset_R: int32, where each went.
        count: sequences opened.
    """
    sequence_R, offset_R = np.empty(len(length_R), _i32), np.empty(len(length_R), _i32)
    below_N = np.empty(len(length_R), _i32)
    top_L = np.full(capacity + 1, _NONE)
    words = np.zeros((capacity >> 6) + 1, _u64)
    summary = np.zeros((len(words) >> 6) + 1, _u64)
    count = 0
    for number in range(len(length_R)):
        length = length_R[number]
        room = _find_room(words, summary, length)
        if room < 0:
            room, sequence, count = capacity, _i32(count), count + 1
        else:
            sequence = top_L[room]
            top_L[room] = below_N[sequence]
            if top_L[room] < 0:
                _clear(words, summary, room)
        sequence_R[number], offset_R[number] = sequence, capacity - room
        left = room - length
        if left > 0:
            if top_L[left] < 0:
                _mark(words, summary, left)
            below_N[sequence], top_L[left] = top_L[left], sequence
    return sequence_R, offset_R, count


@part
def _find_room(words: Any, summary: Any, length: Any) -> Any:  # pyright: ignore
    """The smallest marked room of at least `length`; -1 if there is none."""
    word = _u64(length) >> _6
    bits = words[word] >> (_u64(length) & _63)
    if bits:
        return np.int64(length) + count_trailing_zeros(bits)
    block = (word + _1) >> _6
    bits = (summary[block] >> ((word + _1) & _63)) << ((word + _1) & _63)
    while not bits:
        block += _1
        if block == _u64(len(summary)):
            return np.int64(-1)
        bits = summary[block]
    word = (block << _6) | _u64(count_trailing_zeros(bits))
    return np.int64(word << _6) | count_trailing_zeros(words[word])


@part
def _mark(words: Any, summary: Any, room: Any) -> Any:  # pyright: ignore
    word = _u64(room) >> _6
    words[word] |= _1 << (_u64(room) & _63)
    summary[word >> _6] |= _1 << (word & _63)


@part
def _clear(words: Any, summary: Any, room: Any) -> Any:  # pyright: ignore
    word = _u64(room) >> _6
    words[word] &= ~(_1 << (_u64(room) & _63))
    if not words[word]:
        summary[word >> _6] &= ~(_1 << (word & _63))


@kernel
def group_pieces(sequence_R: Any, num_sequences: Any) -> Any:  # pyright: ignore
    """The pieces of each sequence, in the order in which they were placed.

    Returns:
        first_M: int32[num_sequences + 1]; sequence m holds pieces_R[first_M[m]:first_M[m + 1]].
        pieces_R: int32.
    """
    first_M = np.zeros(num_sequences + 2, _i32)
    for sequence in sequence_R:
        first_M[sequence + 2] += 1
    for sequence in range(2, num_sequences + 2):
        first_M[sequence] += first_M[sequence - 1]
    pieces_R = np.empty(len(sequence_R), _i32)
    for number in range(len(sequence_R)):
        sequence = sequence_R[number]
        pieces_R[first_M[sequence + 1]] = number
        first_M[sequence + 1] += 1
    return first_M[:-1], pieces_R
