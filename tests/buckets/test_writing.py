"""From documents to shards: every planned token is there once, and only the right ones learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.candidates import find_candidates
from buckets.mixture import choose_documents
from buckets.plan import plan_stage
from buckets.shards import LEARN, OPENS, ShardReader
from buckets.tables import write_balance, write_mixture
from buckets.tokens import TokenStore, encode_documents
from buckets.writing import cut_runs, write_buckets
from tokenizer import Encoder
from tongwen.errors import TongwenError
from tongwen.recipe import Part, Stage

SIZES = {
    ("zh", "law"): (60, 90),
    ("zh", "qa"): (40, 60),
    ("en", "books"): (50, 40),
    ("en", "notes"): (1, 10),
}
STAGE = Stage(
    name="one",
    tokens=5_500,
    buckets=4,
    mixture=(
        Part(share=0.6, languages=("zh",)),
        Part(share=0.4, languages=("en",), max_epochs=3),
    ),
)
LENGTH = 48


@dataclass(frozen=True)
class Built:
    """A stage that was written, and the documents it was made from."""

    folder: Path
    rows: dict[str, dict[str, str]]
    encoder: Encoder

    def table(self, name: str) -> list[dict[str, Any]]:
        return pq.read_table(self.folder / f"{name}.parquet").to_pylist()

    def readers(self) -> list[ShardReader]:
        paths = sorted(self.folder.glob("bucket-*.bin"))
        return [ShardReader(path.with_suffix("")) for path in paths]


def build(
    folder: Path, rows: list, batches: list, model: Path, length: int, small: str = "merge"
) -> Built:
    encoder = Encoder(model)
    candidates = find_candidates(batches, STAGE, [])
    store = TokenStore(folder / "tokens", len(candidates), encoder.size)

    def encode(documents: np.ndarray) -> None:
        encode_documents(batches, candidates, documents, encoder, store)

    selection = choose_documents(STAGE, candidates, store, encode, 1)
    plan = plan_stage(STAGE, candidates, selection, store, small, length)
    write_buckets(
        folder,
        plan,
        candidates,
        store,
        sequence_length=length,
        num_pieces=encoder.size,
        padding=encoder.eos,
        key=(1,),
    )
    write_balance(folder / "balance.parquet", plan.balance)
    write_mixture(folder / "mixture.parquet", STAGE, selection)
    store.remove()
    return Built(folder, {row["id"]: row for row in rows}, encoder)


@pytest.fixture(scope="module", params=[LENGTH, 1024])
def built(
    request: pytest.FixtureRequest,
    rows_of: Callable,
    batches_of: Callable,
    model_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    rows = rows_of(11, SIZES)
    folder = tmp_path_factory.mktemp("buckets")
    return build(folder, rows, batches_of(rows), model_path, request.param)


def test_every_document_whole_once_an_epoch(built: Built) -> None:
    """Joined in order, the pieces of each planned use are BOS + prompt + text + EOS."""
    readers, encoder = built.readers(), built.encoder
    pieces: dict[tuple[str, int], list[tuple[int, tuple[int, int], np.ndarray]]] = {}
    planned = 0
    for row in built.table("plan"):
        tokens = readers[row["bucket"]].read(row["sequence"]).tokens
        piece = tokens[row["offset"] : row["offset"] + row["length"]]
        key, place = (row["id"], row["epoch"]), (row["bucket"], row["sequence"])
        pieces.setdefault(key, []).append((row["start"], place, piece))
        planned += row["length"]
    assert planned == sum(reader.num_tokens for reader in readers)
    for (name, _), found in pieces.items():
        found.sort(key=lambda piece: piece[0])
        order = [place for _, place, _ in found]
        assert order == sorted(set(order)), "pieces out of order"
        row = built.rows[name]
        prompt, text = (encoder.encode([row[key]])[0].tolist() for key in ("prompt", "text"))
        whole = [encoder.bos, *prompt, *text, encoder.eos]
        assert np.concatenate([piece for *_, piece in found]).tolist() == whole
        assert encoder.decode(text) == row["text"]
    epochs = {epoch for _, epoch in pieces}
    assert epochs == {1, 2}, "the stage was made to need a second epoch"


def test_prompts_and_padding_never_learn(built: Built) -> None:
    """The masks of every sequence follow from the plan and the documents alone."""
    by_sequence: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in built.table("plan"):
        by_sequence.setdefault((row["bucket"], row["sequence"]), []).append(row)
    for bucket, reader in enumerate(built.readers()):
        for sequence in range(reader.num_sequences):
            packed = reader.read(sequence)
            learn, opens, padding = np.zeros((3, reader.sequence_length), np.bool_)
            padding[:] = True
            for row in by_sequence[bucket, sequence]:
                prompt = built.rows[row["id"]]["prompt"]
                unlearned = 1 + len(built.encoder.encode([prompt])[0]) - row["start"]
                here = slice(row["offset"], row["offset"] + row["length"])
                opens[row["offset"]], padding[here] = True, False
                learn[row["offset"] + max(unlearned, 1) : here.stop] = True
            assert np.array_equal(packed.learn, learn)
            assert np.array_equal(packed.opens, opens)
            assert np.array_equal(packed.padding, padding)
            assert packed.opens[0] and not (packed.learn & packed.opens).any()


def test_one_bin_of_each_group_in_every_bucket(built: Built) -> None:
    found: dict[tuple[int, str], int] = {}
    longest: dict[str, int] = {}
    whole: dict[tuple[str, int], int] = {}
    for row in built.table("plan"):
        key = (row["bucket"], row["bin"])
        found[key] = found.get(key, 0) + row["length"]
        use = (row["id"], row["epoch"])
        whole[use] = whole.get(use, 0) + row["length"]
        longest[row["bin"]] = max(longest.get(row["bin"], 0), whole[use])
    balance = built.table("balance")
    assert {(row["bucket"], row["bin"]): row["tokens"] for row in balance} == found
    assert len(balance) == STAGE.buckets * len(longest)
    for row in balance:
        assert row["bin"] == f"{row['language']}/{row['category']}"
        assert abs(row["tokens"] - row["target_tokens"]) <= longest[row["bin"]]


def test_merged_documents_keep_their_category(built: Built) -> None:
    rows = built.table("plan")
    assert {row["bin"] for row in rows} == {"en/books", "zh/law", "zh/qa"}
    assert {row["bin"] for row in rows if row["category"] == "notes"} == {"en/books"}
    for row in rows:
        assert row["category"] == built.rows[row["id"]]["category"]
        assert row["language"] == built.rows[row["id"]]["language"]


def test_plan_is_in_the_order_of_the_shards(built: Built) -> None:
    rows = [(row["bucket"], row["sequence"], row["offset"]) for row in built.table("plan")]
    assert rows == sorted(rows)


def test_mixture_says_what_was_used(built: Built) -> None:
    first, second = built.table("mixture")
    assert (first["asked_tokens"], second["asked_tokens"]) == (3_300, 2_200)
    assert first["languages"] == ["zh"] and second["kinds"] == []
    assert sum(row["length"] for row in built.table("plan")) == sum(
        row["used_tokens"] for row in (first, second)
    )
    assert 1 < second["epochs"] <= 3 and abs(second["used_tokens"] - 2_200) <= 50


def test_small_category_is_refused(
    rows_of: Callable, batches_of: Callable, model_path: Path, tmp_path: Path
) -> None:
    rows = rows_of(11, SIZES)
    with pytest.raises(TongwenError, match=r"of: en/notes \(2\)"):
        build(tmp_path, rows, batches_of(rows, 50), model_path, LENGTH, "refuse")


def test_document_longer_than_a_bucket(
    rows_of: Callable, batches_of: Callable, model_path: Path, tmp_path: Path
) -> None:
    rows = rows_of(11, SIZES | {("zh", "novel"): (1, 1)})
    novel = next(row for row in rows if row["category"] == "novel")
    others = sum(len(row["text"]) for row in rows if row["language"] == "zh")
    encoder = Encoder(model_path)
    novel["text"] = "天地玄黄" * (others // 6)
    assert len(encoder.encode([novel["text"]])[0]) > STAGE.tokens / STAGE.buckets
    with pytest.raises(TongwenError) as error:
        build(tmp_path, rows, batches_of(rows), model_path, LENGTH)
    for words in (novel["id"], "longer than a bucket", "stages.one.buckets = 4", "use at most"):
        assert words in str(error.value)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 90), prompt=st.integers(1, 89), start=st.integers(0, 80), cut=st.data())
def test_runs_of_a_piece(size: int, prompt: int, start: int, cut: st.DataObject) -> None:
    prompt, start = min(prompt, size - 1), min(start, size - 1)
    length = cut.draw(st.integers(1, size - start))
    runs = cut_runs(np.arange(size), prompt, start, length)
    assert np.concatenate([ids for ids, _ in runs]).tolist() == [*range(start, start + length)]
    assert [mode for _, mode in runs] == [OPENS, LEARN][: len(runs)]
    learned = set(runs[1][0].tolist()) if len(runs) > 1 else set()
    assert learned == {i for i in range(start, start + length) if i >= prompt and i > start}
