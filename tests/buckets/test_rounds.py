"""Rounds: what is encoded is what the quotas take, whatever the order of the corpus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from buckets.choosing.cells import hash_ids, make_salt
from buckets.choosing.rounds import SAMPLE_DOCUMENTS, Chosen, Rounds
from buckets.choosing.survey import COLUMNS, Survey, survey_documents
from buckets.encoding import Choose
from tongwen.errors import TongwenError
from tongwen.recipe import Part, Stage

Row = dict[str, str]
NOBODY = pa.array([], pa.string())
SIZES = {("en", "news"): (900, 30), ("zh", "law"): (700, 60), ("zh", "qa"): (300, 10)}


def make_stage(tokens: int, *mixture: Part) -> Stage:
    return Stage(name="s", tokens=tokens, buckets=4, mixture=mixture)


class CountingEncoder:
    """Stands for the token store: a token for every character of prompt and text."""

    def __init__(self, batches: list[pa.RecordBatch]) -> None:
        self.batches = batches
        self.rounds: list[str] = []
        self.ids: list[str] = []
        self.cells: list[int] = []
        self.keys: list[int] = []
        self.lengths: list[int] = []

    def encode(self, name: str, choose: Choose) -> None:
        self.rounds.append(name)
        for batch in self.batches:
            picked = choose(batch)
            for row in picked.row_D.tolist():
                self.ids.append(batch.column("id")[row].as_py())
                texts = (batch.column(name)[row].as_py() for name in ("prompt", "text"))
                self.lengths.append(sum(map(len, texts)))
            self.cells += picked.cell_D.tolist()
            self.keys += picked.key_D.tolist()

    def measure(self, survey: Survey) -> tuple[NDArray[np.int64], ...]:
        cells, lengths = np.array(self.cells, np.int64), np.array(self.lengths)
        size = len(survey.cells)
        tokens_C = np.bincount(cells, lengths, size).astype(np.int64)
        return np.bincount(cells, minlength=size), tokens_C, np.zeros(size, np.int64)


def run_rounds(
    batches: list[pa.RecordBatch], stage: Stage, excluded: pa.Array = NOBODY
) -> tuple[Survey, CountingEncoder, Chosen]:
    narrow = [batch.select(list(COLUMNS)) for batch in batches]
    size = sum(len(text) for b in batches for text in b.column("text").to_pylist())
    survey = survey_documents(narrow, stage, excluded, size / sum(map(len, batches)))
    encoder = CountingEncoder(batches)
    rounds = Rounds(stage, survey, stage.tokens, excluded, make_salt(1))
    chosen = rounds.run(encoder.encode, lambda: encoder.measure(survey))  # type: ignore[return-value]
    return survey, encoder, chosen


@pytest.fixture
def rows(rows_of: Callable[..., list[Row]]) -> list[Row]:
    return rows_of(1, SIZES)


def test_a_cell_is_the_first_part_that_matches_and_a_kind(
    rows: list[Row], batches_of: Callable[..., list[pa.RecordBatch]]
) -> None:
    stage = make_stage(100, Part(share=0.5, kinds=("qa",)), Part(share=0.5))
    narrow = [batch.select(list(COLUMNS)) for batch in batches_of(rows)]
    survey = survey_documents(narrow, stage, NOBODY, 1.0)
    found = {(c.part, c.language, c.category, c.kind) for c in survey.cells}
    assert found == {
        (0, "zh", "qa", "qa"),
        (1, "en", "news", "text"),
        (1, "zh", "law", "text"),
    }
    assert survey.documents_C.tolist() == [300, 900, 700]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_enough_is_encoded_and_each_document_once(
    rows: list[Row], batches_of: Callable[..., list[pa.RecordBatch]], share: float
) -> None:
    total = sum(len(row["text"]) + len(row["prompt"]) for row in rows)
    stage = make_stage(int(share * total), Part())
    survey, encoder, chosen = run_rounds(batches_of(rows), stage)
    _, tokens_C, _ = encoder.measure(survey)
    assert len(set(encoder.ids)) == len(encoder.ids)
    assert np.all(tokens_C >= chosen.quotas.asked_C)
    assert chosen.quotas.asked_C.sum() == stage.tokens
    if share < 0.1:
        assert len(encoder.ids) <= 3 * SAMPLE_DOCUMENTS * 1.3


def test_the_documents_encoded_are_those_with_the_smallest_keys_of_their_cell(
    rows: list[Row], batches_of: Callable[..., list[pa.RecordBatch]]
) -> None:
    _, encoder, _ = run_rounds(batches_of(rows), make_stage(20_000, Part()))
    for cell in set(encoder.cells):
        mine = {i for i, c in zip(encoder.ids, encoder.cells, strict=True) if c == cell}
        category = {row["category"] for row in rows if row["id"] in mine}
        all_ids = [row["id"] for row in rows if row["category"] in category]
        keys = hash_ids(pa.array(all_ids), make_salt(1))
        order = [all_ids[i] for i in np.argsort(keys)]
        assert set(order[: len(mine)]) == mine


def test_the_order_of_the_corpus_changes_nothing(
    rows: list[Row], batches_of: Callable[..., list[pa.RecordBatch]]
) -> None:
    stage = make_stage(30_000, Part(share=0.7, languages=("zh",)), Part(share=0.3))
    one = run_rounds(batches_of(rows), stage)
    other = run_rounds(batches_of(rows[::-1], 11), stage)
    assert sorted(one[1].ids) == sorted(other[1].ids)
    assert one[1].rounds == other[1].rounds
    assert one[2].quotas.asked_C.tolist() == other[2].quotas.asked_C.tolist()


def test_a_budget_near_what_there_is_takes_one_pass(
    rows: list[Row], batches_of: Callable[..., list[pa.RecordBatch]]
) -> None:
    total = sum(len(row["text"]) + len(row["prompt"]) for row in rows)
    _, encoder, _ = run_rounds(batches_of(rows), make_stage(total, Part()))
    assert encoder.rounds == ["round-0"] and len(encoder.ids) == len(rows)


def test_held_out_documents_are_not_used(
    rows: list[Row], batches_of: Callable[..., list[pa.RecordBatch]]
) -> None:
    held_out = [row["id"] for row in rows[::7]]
    _, encoder, _ = run_rounds(batches_of(rows), make_stage(5000, Part()), pa.array(held_out))
    assert not set(held_out) & set(encoder.ids)


def test_a_part_without_documents_is_an_error_that_names_what_there_is(
    rows: list[Row], batches_of: Callable[..., list[pa.RecordBatch]]
) -> None:
    narrow = [batch.select(list(COLUMNS)) for batch in batches_of(rows)]
    stage = make_stage(100, Part(share=0.5), Part(share=0.5, languages=("zh",)))
    with pytest.raises(TongwenError, match="earlier part takes all") as error:
        survey_documents(narrow, stage, NOBODY, 1.0)
    assert "zh/law (text)" in str(error.value) and "mixture.1" in str(error.value)


def test_a_budget_above_the_corpus_is_refused_after_all_was_counted(
    rows: list[Row], batches_of: Callable[..., list[pa.RecordBatch]]
) -> None:
    total = sum(len(row["text"]) + len(row["prompt"]) for row in rows)
    with pytest.raises(TongwenError, match=f"its documents have {total:,}"):
        run_rounds(batches_of(rows), make_stage(total + 1, Part()))
    run_rounds(batches_of(rows), make_stage(total * 3 // 2, Part(max_epochs=1.5)))
