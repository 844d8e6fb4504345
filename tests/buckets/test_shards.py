"""Shards are Megatron's files, byte for byte, and a damaged one is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.shards import (
    LEARN,
    OPENS,
    PADDING,
    Run,
    ShardReader,
    ShardWriter,
    bin_path,
    choose_dtype,
    idx_path,
)
from tongwen.errors import TongwenError

SMALL, LARGE = 32_000, 69_104


def make_sequences(seed: int, num_pieces: int, length: int = 24, count: int = 5) -> list[list[Run]]:
    """Random packed sequences: runs of random lengths and modes that add up to `length`."""
    chance = np.random.default_rng(seed)
    sequences: list[list[Run]] = []
    for _ in range(count):
        cuts = np.sort(chance.choice(np.arange(1, length), chance.integers(0, 6), replace=False))
        sizes = np.diff([0, *cuts, length])
        modes = chance.choice([0, LEARN, OPENS, LEARN | OPENS, PADDING], len(sizes))
        ids = [chance.integers(0, num_pieces, size).astype(np.int32) for size in sizes]
        sequences.append([(run, int(mode)) for run, mode in zip(ids, modes, strict=True)])
    return sequences


def write_shard(prefix: Path, sequences: list[list[Run]], num_pieces: int) -> None:
    with ShardWriter(prefix, num_pieces) as writer:
        for runs in sequences:
            writer.write_sequence(runs)


def write_with_megatron(prefix: Path, sequences: list[list[Run]], num_pieces: int) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    dtype = indexed.DType.optimal_dtype(num_pieces)
    builder = indexed.IndexedDatasetBuilder(str(bin_path(prefix)), dtype, multimodal=True)
    for runs in sequences:
        tokens = np.concatenate([ids for ids, _ in runs])
        builder.add_document(tokens, [len(ids) for ids, _ in runs], [mode for _, mode in runs])
    builder.finalize(str(idx_path(prefix)))


@pytest.mark.parametrize("num_pieces", [SMALL, LARGE])
def test_bytes_are_megatrons(tmp_path: Path, num_pieces: int) -> None:
    sequences = make_sequences(1, num_pieces)
    write_shard(tmp_path / "ours", sequences, num_pieces)
    write_with_megatron(tmp_path / "theirs", sequences, num_pieces)
    for path in (bin_path, idx_path):
        assert path(tmp_path / "ours").read_bytes() == path(tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("num_pieces", [SMALL, LARGE])
def test_megatron_reads_ours(tmp_path: Path, num_pieces: int) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    sequences = make_sequences(2, num_pieces)
    write_shard(tmp_path / "ours", sequences, num_pieces)
    dataset = indexed.IndexedDataset(str(tmp_path / "ours"), multimodal=True)
    expected = [run for runs in sequences for run in runs]
    assert len(dataset) == len(expected)
    for (tokens, mode), (ids, wanted) in zip(dataset, expected, strict=False):
        assert np.array_equal(tokens, ids) and mode == wanted
    firsts = np.cumsum([0, *(len(runs) for runs in sequences)])
    assert np.array_equal(dataset.document_indices, firsts)
    del dataset


@pytest.mark.parametrize("num_pieces", [SMALL, LARGE])
def test_we_read_megatrons(tmp_path: Path, num_pieces: int) -> None:
    sequences = make_sequences(3, num_pieces)
    write_with_megatron(tmp_path / "theirs", sequences, num_pieces)
    reader = ShardReader(tmp_path / "theirs")
    assert (reader.num_sequences, reader.sequence_length) == (len(sequences), 24)
    for index, runs in enumerate(sequences):
        for (ids, mode), (wanted, right) in zip(reader.read_runs(index), runs, strict=True):
            assert np.array_equal(ids, wanted) and mode == right


def test_dtype_rule_is_megatrons() -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    for num_pieces in (1, SMALL, 65_499, 65_500, 65_536, LARGE):
        assert choose_dtype(num_pieces) == np.dtype(indexed.DType.optimal_dtype(num_pieces))


def test_largest_id_survives(tmp_path: Path) -> None:
    """As uint16, 69,103 would come back as 3,567."""
    write_shard(tmp_path / "x", [[(np.array([LARGE - 1, 0]), LEARN)]], LARGE)
    assert ShardReader(tmp_path / "x").read(0).tokens.tolist() == [LARGE - 1, 0]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 7), length=st.integers(8, 60))
def test_masks_follow_from_modes(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, length: int
) -> None:
    prefix = tmp_path_factory.mktemp("shard") / "a.b"
    sequences = make_sequences(seed, SMALL, length, count)
    write_shard(prefix, sequences, SMALL)
    reader = ShardReader(prefix)
    for index, runs in enumerate(sequences):
        packed = reader.read(index)
        at = 0
        for ids, mode in runs:
            here = slice(at, at + len(ids))
            assert np.array_equal(packed.tokens[here], ids)
            assert packed.learn[here].all() == packed.learn[here].any() == bool(mode & LEARN)
            assert packed.padding[here].all() == packed.padding[here].any() == bool(mode & PADDING)
            opened = [bool(mode & OPENS)] + [False] * (len(ids) - 1)
            assert packed.opens[here].tolist() == opened
            at += len(ids)
    documents = sum(len(ids) for runs in sequences for ids, mode in runs if not mode & PADDING)
    assert reader.num_tokens == documents


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([(np.array([SMALL]), 1)], "vocabulary"),
        ([(np.array([-1]), 1)], "vocabulary"),
        ([(np.array([1]), 8)], "mode"),
        ([(np.array([1]), 1), (np.array([], np.int32), 1)], "empty"),
    ],
)
def test_writer_refuses(tmp_path: Path, runs: list[Run], words: str) -> None:
    with ShardWriter(tmp_path / "x", SMALL) as writer:
        with pytest.raises(ValueError, match=words):
            writer.write_sequence(runs)
        writer.write_sequence([(np.array([5]), 1)])
        with pytest.raises(ValueError, match="2 tokens, not 1"):
            writer.write_sequence([(np.array([5, 6]), 1)])


def test_killed_writer_leaves_no_index(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path / "x", SMALL) as writer:
        writer.write_sequence([(np.array([5]), 1)])
        raise RuntimeError("killed")
    with pytest.raises(TongwenError, match="missing"):
        ShardReader(tmp_path / "x")


@pytest.mark.parametrize("suffix", [".bin", ".idx"])
def test_any_cut_is_an_error(tmp_path: Path, suffix: str) -> None:
    prefix = tmp_path / "x"
    write_shard(prefix, make_sequences(4, SMALL, 12, 2), SMALL)
    path = tmp_path / f"x{suffix}"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(TongwenError):
            ShardReader(prefix)
    path.write_bytes(whole + b"\0")
    with pytest.raises(TongwenError):
        ShardReader(prefix)


def test_damaged_index_is_an_error(tmp_path: Path) -> None:
    """No flipped byte of the index goes unnoticed."""
    prefix = tmp_path / "x"
    write_shard(prefix, make_sequences(5, SMALL, 12, 2), SMALL)
    whole = idx_path(prefix).read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        idx_path(prefix).write_bytes(bytes(damaged))
        with pytest.raises(TongwenError):
            ShardReader(prefix)


def test_index_without_modes_is_an_error(tmp_path: Path) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    builder = indexed.IndexedDatasetBuilder(str(tmp_path / "x.bin"), np.uint16)
    builder.add_document(np.array([1, 2, 3]), [3])
    builder.finalize(str(tmp_path / "x.idx"))
    with pytest.raises(TongwenError, match="multimodal"):
        ShardReader(tmp_path / "x")
