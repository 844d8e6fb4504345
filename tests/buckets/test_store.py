"""The token store: what it holds, that a kill costs nothing, that memory stays flat, its order."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from itertools import chain, pairwise, repeat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from buckets.encoding import DocumentIndex, Picked, TokenStore, format_ids, store
from tests.buckets.conftest import Row, make_rows
from tokenizer import Encoder
from tongwen.errors import TongwenError
from tongwen.recipe import Curriculum

COLUMNS = ("id", "origin", "text", "prompt", "category", "language")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
ROWS = make_rows(5, {("zh", "news"): (150, 40), ("en", "qa"): (90, 12), ("en", "x"): (60, 9)})
CELLS = {"news": 0, "qa": 1, "x": 2}
MEMORY = "500MB"


def hash_key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def choose(batch: pa.RecordBatch, *, least: int = 0, below: int = 2**64) -> Picked:
    """The documents with a key in that range."""
    categories, names = (batch.column(name).to_pylist() for name in ("category", "id"))
    keys = [hash_key(name) for name in names]
    rows = [i for i, key in enumerate(keys) if least <= key < below]
    return Picked(
        np.array(rows, np.int64),
        np.array([CELLS[categories[i]] for i in rows], np.int32),
        np.array([keys[i] for i in rows], np.uint64),
    )


def choose_low(batch: pa.RecordBatch) -> Picked:
    return choose(batch, below=2**62)


def choose_rest(batch: pa.RecordBatch) -> Picked:
    return choose(batch, least=2**62)


def cut(rows: list[Row], size: int = 23) -> list[pa.RecordBatch]:
    return pa.Table.from_pylist(rows, schema=SCHEMA).to_batches(max_chunksize=size)


def build(folder: Path, encoder: Encoder, rows: list[Row] = ROWS, **more: int) -> TokenStore:
    made = TokenStore(folder, encoder.size, **more)
    made.encode_round("round-0", lambda: cut(rows), choose, encoder)
    return made


def read_all(index: DocumentIndex, made: TokenStore) -> list[tuple[str, str, list[int], int]]:
    """Id, origin, tokens and tokens of BOS and prompt, in the order of the index."""
    rows = index.rows
    spans = zip(rows["start"].tolist(), rows["length"].tolist(), strict=True)
    tokens = [made.tokens[start : start + length].tolist() for start, length in spans]
    ids = format_ids(rows["high"], rows["low"]).to_pylist()
    origins = made.read_origins(rows).to_pylist()
    return list(zip(ids, origins, tokens, rows["prompt"].tolist(), strict=True))


def read_bytes(folder: Path) -> dict[str, bytes]:
    names = ("tokens.bin", "entries.bin", "origins.bin")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def encoder(model_path: Path) -> Encoder:
    return Encoder(model_path)


def test_every_document_is_there_in_the_order_of_cell_and_key(
    tmp_path: Path, encoder: Encoder
) -> None:
    made = build(tmp_path / "s", encoder)
    index = made.sort(memory=MEMORY)
    expected = sorted(ROWS, key=lambda row: (CELLS[row["category"]], hash_key(row["id"])))
    found = read_all(index, made)
    assert [each[0] for each in found] == [row["id"] for row in expected]
    assert [each[1] for each in found] == [row["origin"] for row in expected]
    for row, (_, _, tokens, prompt) in zip(expected, found, strict=True):
        assert tokens[0] == encoder.bos and tokens[-1] == encoder.eos
        assert encoder.decode(tokens[prompt:-1]) == row["text"]
        assert encoder.decode(tokens[1:prompt]) == row["prompt"]
    sizes = [sum(row["category"] == name for row in ROWS) for name in CELLS]
    edges = np.cumsum([0, *sizes]).tolist()
    assert [index.bounds(cell) for cell in range(4)] == [
        *pairwise(edges),
        (len(ROWS), len(ROWS)),
    ]
    documents_C, tokens_C = made.count_cells(4)
    assert documents_C.tolist() == [*sizes, 0]
    lengths = [len(each[2]) for each in found]
    sums = [sum(lengths[a:b]) for a, b in pairwise(edges)]
    assert tokens_C.tolist() == [*sums, 0]


def test_neither_threads_nor_the_order_of_the_corpus_change_what_is_sorted(
    tmp_path: Path, encoder: Encoder
) -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    one = build(tmp_path / "1", encoder, workers=1)
    three = build(tmp_path / "3", encoder, workers=3)
    other = build(tmp_path / "other", encoder, shuffled)
    assert read_bytes(tmp_path / "1") == read_bytes(tmp_path / "3")
    first, second = one.sort(memory=MEMORY), other.sort(memory=MEMORY)
    assert first.path.read_bytes() == three.sort(memory=MEMORY).path.read_bytes()
    assert read_all(first, one) == read_all(second, other)
    for name in ("cell", "length", "key", "high", "low", "prompt", "origin_length", "used"):
        assert (first.rows[name] == second.rows[name]).all()


def test_rounds_add_up_and_a_finished_one_is_not_repeated(tmp_path: Path, encoder: Encoder) -> None:
    made = TokenStore(tmp_path / "s", encoder.size)
    made.encode_round("low", lambda: cut(ROWS), choose_low, encoder)
    part = made.sort(memory=MEMORY)
    assert 0 < len(part) < len(ROWS)
    made.encode_round("rest", lambda: cut(ROWS), choose_rest, encoder)

    def refuse() -> list[pa.RecordBatch]:
        raise AssertionError("read again")

    again = TokenStore(tmp_path / "s", encoder.size)
    again.encode_round("rest", refuse, choose, encoder)
    whole = build(tmp_path / "whole", encoder)
    assert again.count_cells(3)[1].tolist() == whole.count_cells(3)[1].tolist()
    found = read_all(again.sort(memory=MEMORY), again)
    assert found == read_all(whole.sort(memory=MEMORY), whole)


def test_an_empty_choice_gives_an_empty_index(tmp_path: Path, encoder: Encoder) -> None:
    made = TokenStore(tmp_path / "s", encoder.size)
    made.encode_round("none", lambda: cut(ROWS), lambda batch: choose(batch, below=0), encoder)
    index = made.sort(memory=MEMORY)
    assert len(index) == len(made.tokens) == 0
    assert index.bounds(0) == (0, 0)
    assert made.read_origins(index.rows).to_pylist() == []
    made.release()
    index.release()
    made.remove()
    assert not (tmp_path / "s").exists()


def test_after_an_error_a_round_goes_on_behind_its_last_commit(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_COMMIT_BYTES", 4000)
    encoded: list[str] = []

    def note(batch: pa.RecordBatch) -> Picked:
        encoded.extend(batch.column("id").to_pylist())
        return choose(batch)

    def fail() -> Iterator[pa.RecordBatch]:
        yield from cut(ROWS)[:9]
        raise OSError(28, "No space left on device")

    made = TokenStore(tmp_path / "s", encoder.size, workers=1)
    with pytest.raises(OSError, match="No space"):
        made.encode_round("round-0", fail, note, encoder)
    begun = int(made.count_cells(3)[0].sum())
    assert 0 < begun < len(ROWS)
    with (tmp_path / "s" / "tokens.bin").open("ab") as file:
        file.write(b"what a killed process left")
    encoded.clear()
    again = TokenStore(tmp_path / "s", encoder.size, workers=1)
    again.encode_round("round-0", lambda: cut(ROWS), note, encoder)
    assert len(encoded) == len(ROWS) - begun
    build(tmp_path / "whole", encoder)
    assert read_bytes(tmp_path / "s") == read_bytes(tmp_path / "whole")


def test_a_store_whose_files_lost_their_end_begins_anew(tmp_path: Path, encoder: Encoder) -> None:
    build(tmp_path / "s", encoder)
    whole = read_bytes(tmp_path / "s")
    os.truncate(tmp_path / "s" / "tokens.bin", 100)
    build(tmp_path / "s", encoder)
    assert read_bytes(tmp_path / "s") == whole


CHILD = """
    import sys
    from pathlib import Path
    sys.path[:0] = [{root!r}, {tests!r}]
    import test_store as case
    from buckets.encoding import store
    from tokenizer import Encoder
    store._COMMIT_BYTES = 3000
    folder, model = Path(sys.argv[1]), Path(sys.argv[2])
    print("ready", flush=True)
    case.build(folder, Encoder(model), case.ROWS * 6)
"""


def test_a_killed_round_ends_with_the_same_bytes(
    tmp_path: Path, model_path: Path, encoder: Encoder
) -> None:
    build(tmp_path / "whole", encoder, ROWS * 6)
    here = Path(__file__).parent
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(CHILD.format(root=str(here.parents[1]), tests=str(here))))
    chance, killed = random.Random(7), set()
    for number in range(12):
        state = tmp_path / "s" / "state.json"
        before = state.read_bytes() if state.exists() else b""
        child = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "s"), str(model_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert child.stdout is not None and child.stdout.readline()
        while child.poll() is None and (not state.exists() or state.read_bytes() == before):
            time.sleep(0.001)
        time.sleep(chance.random() * 0.01)
        if number < 8 and child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait(60)
        child.stdout.close()
        killed.add(child.returncode)
        if child.returncode == 0:
            break
    assert killed == {0, -signal.SIGKILL}
    assert read_bytes(tmp_path / "s") == read_bytes(tmp_path / "whole")


def measure_own_memory() -> int:
    """Resident bytes that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) << 10


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_text(tmp_path: Path, encoder: Encoder) -> None:
    batch = pa.Table.from_pylist(ROWS * 20, schema=SCHEMA).combine_chunks().to_batches()[0]
    peaks = []
    for count in (4, 40):
        seen = [0]

        def pick(batch: pa.RecordBatch, seen: list[int] = seen) -> Picked:
            seen.append(measure_own_memory())
            n = batch.num_rows
            return Picked(np.arange(n), np.zeros(n, np.int32), np.zeros(n, np.uint64))

        made = TokenStore(tmp_path / str(count), encoder.size, workers=2)
        made.encode_round("a", lambda count=count: repeat(batch, count), pick, encoder)
        peaks.append(max(seen))
        made.remove()
    assert peaks[1] < peaks[0] + 24_000_000


def test_a_choice_must_name_rising_rows_of_its_batch(tmp_path: Path, encoder: Encoder) -> None:
    for rows in ([1, 0], [3, 3], [-1, 2], [22, 23]):
        made = TokenStore(tmp_path / "s", encoder.size)
        picked = Picked(np.array(rows), np.zeros(2, np.int32), np.zeros(2, np.uint64))
        with pytest.raises(ValueError, match="rising rows"):
            made.encode_round("r", lambda: cut(ROWS), lambda _, p=picked: p, encoder)
    short = Picked(np.array([1]), np.zeros(2, np.int32), np.zeros(1, np.uint64))
    with pytest.raises(ValueError, match="for each row"):
        TokenStore(tmp_path / "s", encoder.size).encode_round(
            "r", lambda: cut(ROWS), lambda _: short, encoder
        )


@pytest.mark.parametrize("pieces", [399, 70_000])
def test_a_store_of_another_vocabulary_is_refused(
    tmp_path: Path, encoder: Encoder, pieces: int
) -> None:
    build(tmp_path / "s", encoder)
    with pytest.raises(TongwenError, match=r"made with a vocabulary of 400 pieces"):
        TokenStore(tmp_path / "s", pieces)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rounds": {}, "pieces": 1, "x": 2}'])
def test_a_damaged_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(TongwenError, match="state of the token store"):
        TokenStore(tmp_path, 400)


def test_what_was_consumed_before_stands_in_the_index(tmp_path: Path, encoder: Encoder) -> None:
    made = build(tmp_path / "s", encoder)
    used = {row["id"]: number for number, row in enumerate(ROWS[:50], 1)}
    path = tmp_path / "consumed.parquet"
    more = {"id": [*used, ROWS[0]["id"], "f" * 32], "tokens": [*used.values(), 1000, 7]}
    pq.write_table(pa.table(more), path)
    plain = made.sort(memory=MEMORY)
    index = made.sort(memory=MEMORY, consumed=path)
    ids = format_ids(index.rows["high"], index.rows["low"]).to_pylist()
    used[ROWS[0]["id"]] += 1000
    assert index.rows["used"].tolist() == [used.get(name, 0) for name in ids]
    assert ids == format_ids(plain.rows["high"], plain.rows["low"]).to_pylist()
    assert not plain.rows["used"].any()
    reordered = made.reorder(take_all(), Curriculum(by="length"), None, memory=MEMORY)
    assert reordered.rows["used"].sum() == sum(used.values())


def take_all() -> np.ndarray:
    return np.full(3, 2**64 - 1, np.uint64)


@pytest.mark.parametrize("descending", [False, True])
def test_a_curriculum_by_length_sorts_within_a_cell(
    tmp_path: Path, encoder: Encoder, descending: bool
) -> None:
    made = build(tmp_path / "s", encoder)
    rows = made.sort(memory=MEMORY).rows.copy()
    limit_C = np.array([2**63, 2**64 - 1, 0], np.uint64)
    curriculum = Curriculum(by="length", descending=descending)
    found = made.reorder(limit_C, curriculum, None, memory=MEMORY).rows
    sign = -1 if descending else 1
    expected = rows[rows["key"] <= limit_C[rows["cell"]]].tolist()
    expected.sort(key=lambda row: (row[0], sign * row[1], row[2]))
    assert found.tolist() == expected


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int64(), pa.string()])
def test_a_curriculum_by_a_column_puts_documents_without_a_value_last(
    tmp_path: Path, encoder: Encoder, descending: bool, kind: pa.DataType
) -> None:
    made = build(tmp_path / "s", encoder)
    chance = random.Random(3)
    value = {row["id"]: chance.randint(0, 9) for row in ROWS[:200]}
    cells = [pa.scalar(number).cast(kind).as_py() for number in value.values()]
    cells[5] = None
    if pa.types.is_floating(kind):
        cells[6] = float("nan")
    missing = [
        name for name, cell in zip(value, cells, strict=True) if cell is None or cell != cell
    ]
    columns = {"other": range(200), "id": list(value), 'a "b"': pa.array(cells, kind)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    rows = made.sort(memory=MEMORY).rows.copy()
    ids = format_ids(rows["high"], rows["low"]).to_pylist()
    curriculum = Curriculum(by='a "b"', table="t.parquet", descending=descending)
    found = made.reorder(take_all(), curriculum, tmp_path / "t.parquet", memory=MEMORY).rows
    sign = -1 if descending else 1
    known = {name: number for name, number in value.items() if name not in missing}
    pairs = sorted(
        zip(rows.tolist(), ids, strict=True),
        key=lambda pair: (pair[0][0], sign * known.get(pair[1], sign * 1e9), pair[0][2]),
    )
    assert found.tolist() == [row for row, _ in pairs]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a", "b"]}, "no column 'score'"),
        ({"score": [1, 2]}, "no column 'id'"),
        ({"id": ["a", "b", "b"], "score": [1, 2, 2]}, "has the id b 2 times"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, encoder: Encoder, columns: dict[str, list[object]], message: str
) -> None:
    made = build(tmp_path / "s", encoder, ROWS[:20])
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    curriculum = Curriculum(by="score", table="t.parquet")
    with pytest.raises(TongwenError, match=message):
        made.reorder(take_all(), curriculum, path, memory=MEMORY)


@pytest.mark.parametrize("contents", [None, b"", b"no parquet"])
def test_a_table_that_cannot_be_read_is_refused(
    tmp_path: Path, encoder: Encoder, contents: bytes | None
) -> None:
    made = build(tmp_path / "s", encoder, ROWS[:20])
    path = tmp_path / "t.parquet"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(TongwenError, match="cannot be read"):
        made.reorder(take_all(), Curriculum(by="x", table="t"), path, memory=MEMORY)


def test_a_sorted_index_is_used_again_and_never_taken_for_another(
    tmp_path: Path, encoder: Encoder
) -> None:
    made = build(tmp_path / "s", encoder)
    first = made.sort(memory=MEMORY)
    stamp = first.path.stat().st_mtime_ns
    again = TokenStore(tmp_path / "s", encoder.size).sort(memory=MEMORY)
    assert again.path == first.path and again.path.stat().st_mtime_ns == stamp
    paths = set()
    for table in ({"id": [ROWS[0]["id"]], "tokens": [n]} for n in (1, 2)):
        pq.write_table(pa.table(table), tmp_path / "c.parquet")
        paths.add(made.sort(memory=MEMORY, consumed=tmp_path / "c.parquet").path)
    assert len({*paths, first.path}) == 3


def test_batches_of_any_size_give_the_same_store(tmp_path: Path, encoder: Encoder) -> None:
    build(tmp_path / "a", encoder)
    made = TokenStore(tmp_path / "b", encoder.size)
    batches = list(chain(cut(ROWS[:1]), cut(ROWS[1:101], 1000), cut(ROWS[101:], 2)))
    made.encode_round("round-0", lambda: batches, choose, encoder)
    assert read_bytes(tmp_path / "a") == read_bytes(tmp_path / "b")
