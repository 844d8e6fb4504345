"""Planted copies are found, and only those; who stays follows from the order of the rows alone."""

from __future__ import annotations

import random
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import find_duplicates, jaccard, split_shingles
from corpus.dedup.decide import decide
from corpus.dedup.findings import EXACT, NEAR, NORMALIZED
from corpus.dedup.verify import Comparison, ShingleSets, hash_sets
from corpus.documents import DOCUMENTS
from corpus.reading.records import hash_document
from tests.corpus.planted import (
    edit,
    join,
    make_documents,
    make_text,
    plant,
    write_documents,
)
from tongwen.errors import TongwenError
from tongwen.recipe import Duplicates


def keep_greedily(texts: list[str], threshold: float) -> dict[int, tuple[int, float]]:
    """The oracle: first exact copies; then all pairs are compared, and a row goes for the earliest
    kept row it resembles; a copy of one that goes, for the same."""
    removed = {
        row: (texts.index(text), 1.0) for row, text in enumerate(texts) if texts.index(text) < row
    }
    sets = [set(split_shingles(text)) for text in texts]
    for row in range(len(texts)):
        for before in range(row if row not in removed else 0):
            value = len(sets[row] & sets[before]) / max(1, len(sets[row] | sets[before]))
            if before not in removed and value >= threshold:
                removed[row] = (before, value)
                break
    return {row: removed.get(keeper, (keeper, value)) for row, (keeper, value) in removed.items()}


def test_planted_duplicates_are_found_and_only_those() -> None:
    texts = plant(1)
    found = find_duplicates(pa.table({"text": texts}))
    removed = keep_greedily(texts, 0.8)
    assert len(removed) > 40
    rows = zip(found.rows.tolist(), found.keepers.tolist(), found.jaccard.tolist(), strict=True)
    assert {row: (keeper, value) for row, keeper, value in rows} == removed
    exact = {row for row in removed if texts.index(texts[row]) < row}
    assert set(found.rows[found.kinds == EXACT].tolist()) == exact


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_result_agrees_with_brute_force_at_other_thresholds(threshold: float) -> None:
    texts = plant(2)
    found = find_duplicates(pa.table({"text": texts}), Duplicates(threshold=threshold))
    removed = keep_greedily(texts, threshold)
    assert dict(zip(found.rows.tolist(), found.keepers.tolist(), strict=True)) == {
        row: keeper for row, (keeper, _) in removed.items()
    }


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_every_removed_row_resembles_an_earlier_kept_one(seed: int) -> None:
    texts = plant(seed)[:40]
    found = find_duplicates(pa.table({"text": texts}), Duplicates(threshold=0.6))
    removed = set(found.rows.tolist())
    sets = [set(split_shingles(text)) for text in texts]
    for row, keeper, value in zip(found.rows, found.keepers, found.jaccard, strict=True):
        assert keeper < row
        assert keeper not in removed
        assert value == len(sets[row] & sets[keeper]) / len(sets[row] | sets[keeper]) >= 0.6
    kept = [each for row, each in enumerate(sets) if row not in removed]
    assert not [1 for a, b in combinations(kept, 2) if len(a & b) > 0.9 * len(a | b)]


def test_chain_keeps_both_ends() -> None:
    source = random.Random(5)
    tokens = make_text(source, "zh", 300)
    first = list(tokens)
    middle, last = list(tokens), list(tokens)
    for place in range(0, 42, 6):
        middle[place] = last[place] = "一"
    for place in range(150, 192, 6):
        last[place] = "二"
    texts = [join(each) for each in (first, middle, last)]
    assert jaccard(texts[0], texts[1]) >= 0.75 <= jaccard(texts[1], texts[2])
    assert jaccard(texts[0], texts[2]) < 0.75
    found = find_duplicates(pa.table({"text": texts}), Duplicates(threshold=0.75))
    assert found.rows.tolist() == [1]
    # With the middle first, both ends resemble it.
    turned = pa.table({"text": [texts[1], texts[0], texts[2]]})
    found = find_duplicates(turned, Duplicates(threshold=0.75))
    assert (found.rows.tolist(), found.keepers.tolist()) == ([1, 2], [0, 0])


def test_large_group_collapses_to_its_first_member() -> None:
    source = random.Random(6)
    tokens = make_text(source, "en", 400)
    texts = [join(make_text(source, "en")), *(join(edit(source, tokens, 1)) for _ in range(300))]
    found = find_duplicates(pa.table({"text": texts}))
    assert set(found.keepers[found.kinds == NEAR].tolist()) == {1}
    assert len(found.rows) == len(texts) - 2


def test_pairs_that_were_not_candidates_are_found_through_removed_ones() -> None:
    """Five copies with candidate pairs in a row only, and one that resembles none."""
    texts = ["一二三四五六七八"] * 5 + ["甲乙丙丁戊己庚辛"]
    sets = [ShingleSets(*hash_sets(pa.array(each), 5)) for each in (texts, [""] * 6)]
    pairs = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    found = decide(Comparison(*sets).measure, np.arange(6), pairs, 0.8)
    assert found.removed.tolist() == [1, 2, 3, 4]
    assert found.keepers.tolist() == [0, 0, 0, 0]
    assert found.similarity.tolist() == [1.0] * 4
    assert (found.num_compared, len(found.similar)) == (9, 8)


def test_short_documents_do_not_collapse() -> None:
    texts = ["", "。", "！", "是", "否", "是。", "不是", "yes", "no", "🙂", "🙃", "Yes!"]
    found = find_duplicates(pa.table({"text": texts}))
    pairs = zip(found.rows.tolist(), found.keepers.tolist(), strict=True)
    assert [(texts[row], texts[keeper]) for row, keeper in pairs] == [
        ("是。", "是"),
        ("Yes!", "yes"),
    ]


def test_questions_about_one_passage_are_not_duplicates() -> None:
    source = random.Random(7)
    passage = join(make_text(source, "zh", 500))
    rows = [
        (passage + "谁？", "张三"),
        (passage + "何时？", "一九四九年"),
        (passage + "谁？？", "张三。"),
        ("天是蓝的吗", "是"),
        ("草是绿的吗", "是"),
        ("天是蓝的吗？", "是！"),
        ("", "是"),
    ]
    table = pa.table({"prompt": [row[0] for row in rows], "text": [row[1] for row in rows]})
    found = find_duplicates(table)
    assert dict(zip(found.rows.tolist(), found.keepers.tolist(), strict=True)) == {2: 0, 5: 3}


def test_one_answer_to_two_questions_is_not_a_duplicate() -> None:
    answer = join(make_text(random.Random(8), "zh", 400))
    table = pa.table({"prompt": ["甲乙丙丁戊", "子丑寅卯辰", "甲乙丙丁戊？"], "text": [answer] * 3})
    found = find_duplicates(table)
    assert dict(zip(found.rows.tolist(), found.keepers.tolist(), strict=True)) == {2: 0}


def test_the_border_of_prompt_and_text_counts_for_normalised_copies() -> None:
    rows = [
        ("甲乙", "丙丁戊己"),
        ("甲乙丙", "丁戊己"),
        ("甲乙？", "丙丁，戊己"),
        ("", "甲乙丙丁戊己"),
    ]
    table = pa.table({"prompt": [row[0] for row in rows], "text": [row[1] for row in rows]})
    found = find_duplicates(table)
    assert (found.rows.tolist(), found.keepers.tolist()) == ([2], [0])
    assert found.count(NORMALIZED) == 1


def test_exact_copies_need_the_same_prompt_too() -> None:
    table = pa.table({"prompt": ["a", "b", "a"], "text": ["x", "x", "x"]})
    found = find_duplicates(table).to_table().to_pylist()
    same = hash_document("a", "x")
    row = {"id": same, "origin": "2", "keeper": same, "jaccard": 1.0, "kind": "exact"}
    assert found == [row]


def test_empty_table_has_no_duplicates() -> None:
    found = find_duplicates(pa.table({"text": pa.array([], pa.string())}))
    assert found.to_table().num_rows == 0
    with pytest.raises(TongwenError, match="no column 'text'"):
        find_duplicates(pa.table({"txt": ["a"]}))


def test_shards_hold_every_row_in_order(tmp_path: Path) -> None:
    texts = plant(4)
    documents = make_documents(texts)
    folder = write_documents(tmp_path / "many", documents, shard_bytes=9000, group_bytes=2500)
    tables = [pq.read_table(path) for path in sorted(folder.iterdir())]
    assert len(tables) > 5
    whole = pa.concat_tables(tables)
    assert whole.schema.equals(DOCUMENTS)
    assert whole["text"].to_pylist() == texts
    assert whole["origin"].to_pylist() == [f"f.jsonl:{line}" for line in range(1, len(texts) + 1)]


def test_no_documents_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match="no documents there"):
        find_duplicates(tmp_path)


def test_parameters_tell_what_was_done() -> None:
    parameters: dict[str, Any] = find_duplicates(pa.table({"text": plant(1)})).parameters
    assert (parameters["bands"], parameters["rows"], parameters["threshold"]) == (18, 7, 0.8)
    assert parameters["candidate_pairs"] >= parameters["verified_pairs"] > 40
