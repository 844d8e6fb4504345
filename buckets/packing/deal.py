"""Sequences of a bucket dealt out so that its bins stay even all along, compiled.

Every bin has a window of places for each of its sequences: Tijdeman's "chairman assignment"
(Discrete Mathematics 32, 1980).  With G bins, e = 1/(2G - 2) and n of N sequences in a bin, its
sequence number j may come at place t where

    (j - 1 + e) N/n <= t <= floor((j - e) N/n) + 1

and whoever's window is open and ends first comes next.  He proves that this never fails, so that
among the first t sequences there are t n/N of the bin, off by at most 1 - e.  A run of r adds
r (1 - n/N) to that difference, hence r <= (2 - 2e) / (1 - n/N) < 2 / (1 - n/N).

Which sequence of the bin takes the place is free: the next in its queue that is ready.  One that
ends a document longer than a sequence is ready when that document's full sequences are out.  A bin
that has nothing ready waits, others go ahead, and it is the first to go on.  Full sequences never
wait, so something is always ready; how far a bin then strays is measured.

The price: a sorted queue of sequences, and a look at every bin for each of them: 1 ns each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from buckets.packing.compiled import kernel, part

_i32, _NONE = np.int32, np.int32(-1)
_FAR = np.int64(1) << np.int64(62)


@kernel
def exchange_keys(key_N: Any, closer_F: Any) -> Any:  # pyright: ignore
    """Hand the largest key of each family, a closing sequence and the full ones that it ends, to
    the closing one; over all sequences the keys stay as evenly spread as before."""
    for full in range(len(closer_F)):
        closer = closer_F[full]
        if closer >= 0 and key_N[full] > key_N[closer]:
            key_N[full], key_N[closer] = key_N[closer], key_N[full]


@kernel
def sort_into_bins(order_N: Any, bin_N: Any, size_G: Any) -> Any:  # pyright: ignore
    """The sequences, in the order given, bin by bin."""
    begin_G = np.cumsum(size_G) - size_G
    queue_N = np.empty(len(order_N), _i32)
    for number in order_N:
        queue_N[begin_G[bin_N[number]]] = number
        begin_G[bin_N[number]] += 1
    return queue_N


@kernel
def deal(queue_N: Any, bin_N: Any, size_G: Any, head_F: Any, closer_F: Any) -> Any:  # pyright: ignore
    """An order of the sequences.

    Args:
        queue_N: int32, the sequences bin by bin, in the order in which each bin uses them.
        bin_N: int32.
        size_G: int64, sequences of each bin.
        head_F: int32, for each full sequence the first one of the same part; the F full sequences
            are the first of all, those of one part side by side and rising.
        closer_F: int32, the sequence with that part's rest; -1 where there is none.

    Returns:
        int32[N], the sequences in order.
    """
    total = len(queue_N)
    scale = max(2 * (np.count_nonzero(size_G) - 1), 2)
    pending_N = np.zeros(total, _i32)
    for closer in closer_F:
        if closer >= 0:
            pending_N[closer] += 1
    lines = _make_lines(queue_N, size_G)
    begun_F = np.zeros(len(head_F), _i32)
    open_G, close_G = np.full(len(size_G), _FAR), np.full(len(size_G), _FAR)
    done_G, late_G = np.zeros(len(size_G), np.int64), size_G == 0
    for group in range(len(size_G)):
        _set_window(open_G, close_G, group, 0, size_G[group], total, scale)
    order_N = np.empty(total, _i32)
    for place in range(total):
        number = group = _NONE
        while number < 0:
            group = _choose_bin(open_G, close_G, late_G, place + 1)
            number = _draw(lines, group, queue_N, pending_N)
            late_G[group] = number < 0
        if number < len(head_F):
            head = head_F[number]
            number = _i32(head + begun_F[head])
            begun_F[head] += 1
            if closer_F[number] >= 0:
                pending_N[closer_F[number]] -= 1
                _let_on(lines, closer_F[number], bin_N, pending_N, late_G)
        order_N[place] = number
        done_G[group] += 1
        _set_window(open_G, close_G, group, done_G[group], size_G[group], total, scale)
        late_G[group] = done_G[group] == size_G[group]
    return order_N


@kernel
def _make_lines(queue_N: Any, size_G: Any) -> Any:  # pyright: ignore
    """Where each bin's queue goes on and ends, and its line of sequences that had to wait.

    Returns:
        place_G, end_G: places in the queue.
        first_G, last_G: the line's ends, -1 where it is empty.
        after_N: who comes next in the line; -2 for a sequence that was not passed over.
    """
    end_G = np.cumsum(size_G)
    first_G, last_G = np.full(len(size_G), _NONE), np.full(len(size_G), _NONE)
    return end_G - size_G, end_G, first_G, last_G, np.full(len(queue_N), _i32(-2))


@part
def _set_window(  # pyright: ignore
    open_G: Any, close_G: Any, group: Any, done: Any, size: Any, total: Any, scale: Any
) -> None:
    """The window of a bin's next sequence: see the module; e is 1/scale."""
    if done < size:
        open_G[group] = ((done * scale + 1) * total + scale * size - 1) // (scale * size)
        close_G[group] = ((done + 1) * scale - 1) * total // (scale * size) + 1


@part
def _choose_bin(open_G: Any, close_G: Any, late_G: Any, place: Any) -> Any:  # pyright: ignore
    """Of the open windows the one that ends first; if all those wait, the one that opens next."""
    best, nearest, least, soonest = _NONE, _NONE, _FAR, _FAR
    for group in range(len(open_G)):
        if late_G[group]:
            continue
        if open_G[group] <= place:
            if close_G[group] < least:
                best, least = _i32(group), close_G[group]
        elif open_G[group] < soonest:
            nearest, soonest = _i32(group), open_G[group]
    return best if best >= 0 else nearest


@part
def _draw(lines: Any, group: Any, queue_N: Any, pending_N: Any) -> Any:  # pyright: ignore
    """A bin's next sequence: one that had to wait, or the first ready one; -1 if none is."""
    place_G, end_G, first_G, last_G, after_N = lines
    number = first_G[group]
    if number >= 0:
        first_G[group] = after_N[number]
        if first_G[group] < 0:
            last_G[group] = _NONE
        return number
    while place_G[group] < end_G[group]:
        number = queue_N[place_G[group]]
        place_G[group] += 1
        if not pending_N[number]:
            return number
        after_N[number] = _NONE
    return _NONE


@part
def _let_on(lines: Any, closer: Any, bin_N: Any, pending_N: Any, late_G: Any) -> None:  # pyright: ignore
    """Put a closing sequence that was passed over into its bin's line, once it is ready."""
    _, _, first_G, last_G, after_N = lines
    if pending_N[closer] or after_N[closer] == _i32(-2):
        return
    group = bin_N[closer]
    late_G[group] = False
    if last_G[group] < 0:
        first_G[group] = closer
    else:
        after_N[last_G[group]] = closer
    last_G[group] = closer


@kernel
def measure_runs(bin_N: Any, size_G: Any) -> Any:  # pyright: ignore
    """How even an order is.

    Args:
        bin_N: int32, the bin of each sequence, in order.
        size_G: int64, sequences of each bin.

    Returns:
        run_G: int64, the longest run of each bin.
        spread_G: int64, N times the difference between the most and the least that a bin was
            ahead of its share of the sequences so far.
    """
    total, run, before = len(bin_N), 0, _NONE
    run_G, done_G, most_G, least_G = np.zeros((4, len(size_G)), np.int64)
    for place in range(total):
        group = bin_N[place]
        run = run + 1 if group == before else 1
        before = group
        run_G[group] = max(run_G[group], run)
        least_G[group] = min(least_G[group], total * done_G[group] - place * size_G[group])
        done_G[group] += 1
        most_G[group] = max(most_G[group], total * done_G[group] - (place + 1) * size_G[group])
    return run_G, most_G - least_G
