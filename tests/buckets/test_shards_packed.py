"""A bucket written by blocks is the one that a plain loop and Megatron's builder write."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from buckets.packing import Packing
from buckets.shards import (
    LEARN,
    OPENS,
    PADDING,
    Run,
    ShardReader,
    ShardSummary,
    ShardWriter,
    bin_path,
    choose_dtype,
    idx_path,
    packed,
    write_packed,
)

SMALL, LARGE = 32_000, 69_104
PAD = 2


@dataclass(frozen=True)
class Bucket:
    """Parts that lie anywhere in a store, some longer than a sequence, and where they go."""

    packing: Packing
    place_U: NDArray[np.int64]
    prompt_U: NDArray[np.int32]
    tokens: NDArray[np.integer]
    num_pieces: int

    def write(self, prefix: Path) -> ShardSummary:
        parts = (self.place_U, self.prompt_U, self.tokens)
        return write_packed(prefix, self.packing, *parts, num_pieces=self.num_pieces, padding=PAD)

    def list_sequences(self) -> list[list[Run]]:
        """The runs by a loop over pieces."""
        sequences: list[list[Run]] = [[] for _ in range(self.packing.num_sequences)]
        filled = [0] * len(sequences)
        pieces = zip(
            self.packing.document_Q.tolist(),
            self.packing.start_Q.tolist(),
            self.packing.length_Q.tolist(),
            self.packing.sequence_Q.tolist(),
            strict=True,
        )
        for part, start, length, sequence in pieces:
            place = int(self.place_U[part]) + start
            ids = self.tokens[place : place + length]
            opening = min(max(int(self.prompt_U[part]) - start, 1), length)
            sequences[sequence].append((ids[:opening], OPENS))
            if length > opening:
                sequences[sequence].append((ids[opening:], LEARN))
            filled[sequence] += length
        for runs, used in zip(sequences, filled, strict=True):
            if used < self.packing.sequence_length:
                room = self.packing.sequence_length - used
                runs.append((np.full(room, PAD), PADDING))
        return sequences


def make_packing(size: int, num_sequences: int, *pieces_Q: NDArray[np.integer]) -> Packing:
    """Of document_Q, start_Q, length_Q, sequence_Q and offset_Q; bins do not matter here."""
    document_Q, *others = pieces_Q
    start_Q, length_Q, sequence_Q, offset_Q = (values.astype(np.int32) for values in others)
    return Packing(
        size,
        num_sequences,
        document_Q.astype(np.int64),
        start_Q,
        length_Q,
        sequence_Q,
        offset_Q,
        bin_N=np.zeros(num_sequences, np.int32),
        longest_run=1,
        longest_run_bin=0,
        run_bound=1,
    )


def make_bucket(seed: int, num_pieces: int, size: int = 16, num_parts: int = 30) -> Bucket:
    """Random parts; each is cut at sequences, its rest goes wherever there is room."""
    chance = np.random.default_rng(seed)
    length_U = chance.integers(1, 3 * size, num_parts)
    order = chance.permutation(num_parts)
    gaps = chance.integers(0, 3, num_parts)
    place_U = np.zeros(num_parts, np.int64)
    place_U[order] = np.cumsum(length_U[order] + gaps[order]) - length_U[order]
    tokens = chance.integers(0, num_pieces, int((length_U + gaps).sum()) + 5)
    prompt_U = chance.integers(-size, size, num_parts).astype(np.int32)
    rows: list[tuple[int, int, int, int, int]] = []
    room: list[int] = []
    for part, total in enumerate(length_U.tolist()):
        for start in range(0, total, size):
            length = min(size, total - start)
            fits = [i for i, left in enumerate(room) if left >= length]
            sequence = fits[0] if fits else len(room)
            room += [] if fits else [size]
            rows.append((sequence, size - room[sequence], part, start, length))
            room[sequence] -= length
    sequence_Q, offset_Q, document_Q, start_Q, length_Q = np.array(sorted(rows)).T
    pieces_Q = (document_Q, start_Q, length_Q, sequence_Q, offset_Q)
    packing = make_packing(size, len(room), *pieces_Q)
    return Bucket(packing, place_U, prompt_U, tokens.astype(choose_dtype(num_pieces)), num_pieces)


def write_slowly(prefix: Path, bucket: Bucket) -> None:
    with ShardWriter(prefix, bucket.num_pieces) as writer:
        for runs in bucket.list_sequences():
            writer.write_sequence(runs)


def write_with_megatron(prefix: Path, bucket: Bucket) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    dtype = indexed.DType.optimal_dtype(bucket.num_pieces)
    builder = indexed.IndexedDatasetBuilder(str(bin_path(prefix)), dtype, multimodal=True)
    for runs in bucket.list_sequences():
        tokens = np.concatenate([ids for ids, _ in runs])
        builder.add_document(tokens, [len(ids) for ids, _ in runs], [mode for _, mode in runs])
    builder.finalize(str(idx_path(prefix)))


def read_bytes(prefix: Path) -> tuple[bytes, bytes]:
    return bin_path(prefix).read_bytes(), idx_path(prefix).read_bytes()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_pieces=st.sampled_from([SMALL, LARGE]),
    size=st.integers(1, 40),
    num_parts=st.integers(1, 40),
    rows=st.integers(1, 5),
)
def test_bytes_are_megatrons_and_the_plain_writers(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    num_pieces: int,
    size: int,
    num_parts: int,
    rows: int,
) -> None:
    """With blocks of any number of sequences, and the hashes are those of the files."""
    folder = tmp_path_factory.mktemp("packed")
    bucket = make_bucket(seed, num_pieces, size, num_parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "_BLOCK_BYTES", rows * size * bucket.tokens.dtype.itemsize)
        summary = bucket.write(folder / "ours")
    write_slowly(folder / "slow", bucket)
    write_with_megatron(folder / "theirs", bucket)
    ours = read_bytes(folder / "ours")
    assert ours == read_bytes(folder / "slow") == read_bytes(folder / "theirs")
    hashes = tuple(hashlib.sha256(data).hexdigest() for data in ours)
    assert (summary.bin_sha256, summary.idx_sha256) == hashes
    assert summary.num_sequences == bucket.packing.num_sequences
    assert summary.num_tokens == bucket.packing.length_Q.sum()


@pytest.mark.parametrize("num_pieces", [SMALL, LARGE])
def test_both_readers_read_the_same(tmp_path: Path, num_pieces: int) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    bucket = make_bucket(7, num_pieces, 64, 200)
    summary = bucket.write(tmp_path / "b")
    reader = ShardReader(tmp_path / "b")
    theirs = indexed.IndexedDataset(str(tmp_path / "b"), multimodal=True)
    firsts = theirs.document_indices
    assert len(firsts) == reader.num_sequences + 1 == summary.num_sequences + 1
    assert reader.num_tokens == summary.num_tokens
    for index, (first, last) in enumerate(pairwise(firsts.tolist())):
        runs = reader.read_runs(index)
        assert len(runs) == last - first
        for (ids, mode), number in zip(runs, range(first, last), strict=True):
            their_ids, their_mode = theirs[number]
            assert np.array_equal(ids, their_ids) and mode == their_mode
    del theirs


def test_prompt_and_first_tokens_bear_no_loss(tmp_path: Path) -> None:
    """A planted bucket: BOS, two tokens of prompt, five of text, EOS; then the rest of another."""
    rows = ([1, 0], [0, 4], [7, 4], [0, 0], [0, 7])
    packing = make_packing(12, 1, *(np.array(row) for row in rows))
    tokens = np.arange(100, 140, dtype=np.uint16)
    bucket = Bucket(packing, np.array([20, 1]), np.array([-9, 3], np.int32), tokens, SMALL)
    bucket.write(tmp_path / "b")
    found = ShardReader(tmp_path / "b").read(0)
    assert found.tokens.tolist() == [*range(101, 108), *range(124, 128), PAD]
    assert np.flatnonzero(found.opens).tolist() == [0, 7]
    assert np.flatnonzero(found.learn).tolist() == [3, 4, 5, 6, 8, 9, 10]
    assert np.flatnonzero(found.padding).tolist() == [11]


def test_store_gives_pages_back_after_each_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = make_bucket(3, SMALL)
    monkeypatch.setattr(packed, "_BLOCK_BYTES", 2 * 16 * 2)
    calls: list[int] = []
    parts = (bucket.place_U, bucket.prompt_U, bucket.tokens)
    write_packed(
        tmp_path / "b",
        bucket.packing,
        *parts,
        num_pieces=SMALL,
        padding=PAD,
        release=lambda: calls.append(1),
    )
    assert len(calls) == -(-bucket.packing.num_sequences // 2)


def change(packing: Packing, **arrays: NDArray[np.integer]) -> Packing:
    return Packing(**{**vars(packing), **arrays})


@pytest.mark.parametrize("bad", [SMALL, 65_535])
def test_ids_outside_of_the_vocabulary_are_refused(tmp_path: Path, bad: int) -> None:
    bucket = make_bucket(11, SMALL)
    bucket.tokens[bucket.place_U[5]] = bad
    with pytest.raises(ValueError, match="vocabulary"):
        bucket.write(tmp_path / "b")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [LARGE, -1])
def test_large_ids_outside_of_the_vocabulary_are_refused(tmp_path: Path, bad: int) -> None:
    bucket = make_bucket(11, LARGE)
    bucket.tokens[bucket.place_U[5]] = bad
    with pytest.raises(ValueError, match="vocabulary"):
        bucket.write(tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A store of another type, parts behind its end, pieces that overlap or are not there."""
    good = make_bucket(5, SMALL)
    packing = good.packing
    offset_Q = packing.offset_Q.copy()
    offset_Q[-1] += 1
    long_Q = packing.length_Q.copy()
    long_Q[0] = 17
    away_U = good.place_U.copy()
    away_U[3] = len(good.tokens)
    below_U = good.place_U.copy()
    below_U[3] = -1
    wrong = [
        (packing, good.place_U, good.tokens.astype(np.int32), "vocabulary"),
        (packing, away_U, good.tokens, "outside of the token store"),
        (packing, below_U, good.tokens, "outside of the token store"),
        (change(packing, offset_Q=offset_Q), good.place_U, good.tokens, "gap"),
        (change(packing, length_Q=long_Q), good.place_U, good.tokens, "beyond"),
        (change(packing, sequence_Q=packing.sequence_Q + 1), good.place_U, good.tokens, "gap"),
        (change(packing, document_Q=packing.document_Q + 1), good.place_U, good.tokens, "parts"),
    ]
    for number, (each, place_U, tokens, words) in enumerate(wrong):
        bucket = Bucket(each, place_U, good.prompt_U, tokens, SMALL)
        with pytest.raises(ValueError, match=words):
            bucket.write(tmp_path / str(number))
    assert not list(tmp_path.iterdir())


def test_writer_killed_anywhere_leaves_nothing_under_a_shards_name(tmp_path: Path) -> None:
    """Killed for good, before any cleaning up; the next one writes over what is left."""
    bucket = make_bucket(9, SMALL)
    pid = os.fork()
    if not pid:
        packed.ShardFiles.append = lambda self, tokens: os._exit(7)  # type: ignore[method-assign]
        bucket.write(tmp_path / "b")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert [path.name for path in tmp_path.iterdir()] == [".b.bin.partial"]
    bucket.write(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.bin", "b.idx"]


def test_index_of_many_chunks_is_checked_throughout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of three runs: no border hides a flipped byte of the index."""
    bucket = make_bucket(13, SMALL, 16, 9)
    bucket.write(tmp_path / "b")
    monkeypatch.setattr("buckets.shards.reader._CHUNK", 3)
    monkeypatch.setattr("buckets.shards.files._CHUNK", 3)
    first = read_bytes(tmp_path / "b")
    bucket.write(tmp_path / "b")
    assert read_bytes(tmp_path / "b") == first
    assert ShardReader(tmp_path / "b").num_tokens == bucket.packing.length_Q.sum()
    whole = first[1]
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        idx_path(tmp_path / "b").write_bytes(bytes(damaged))
        with pytest.raises(Exception, match="whole shard"):
            ShardReader(tmp_path / "b")


def test_index_of_another_bucket_is_an_error(tmp_path: Path) -> None:
    one, other = make_bucket(1, SMALL), make_bucket(2, SMALL)
    one.write(tmp_path / "one")
    other.write(tmp_path / "other")
    idx_path(tmp_path / "other").replace(idx_path(tmp_path / "one"))
    with pytest.raises(Exception, match=r"one length|the index says"):
        ShardReader(tmp_path / "one")
