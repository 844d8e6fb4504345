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
from corpus.documents import DOCUMENTS, ShardWriter
from corpus.records import Rules, hash_document
from corpus.verify import Comparison, ShingleSets, decide
from tongwen.errors import TongwenError
from tongwen.recipe import Columns, Duplicates

HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]


def make_text(source: random.Random, language: str, length: int = 200) -> list[str]:
    if language == "zh":
        return [source.choice(HAN) for _ in range(length)]
    return ["".join(source.choices("abcdefghij", k=5)) for _ in range(length)]


def edit(source: random.Random, tokens: list[str], num_edits: int) -> list[str]:
    """Replace some tokens that lie apart, each of which breaks five shingles."""
    edited = list(tokens)
    for place in source.sample(range(0, len(tokens) - 5, 6), num_edits):
        edited[place] = edited[place + 1]
    return edited


def join(tokens: list[str]) -> str:
    return ("" if tokens[0] in HAN else " ").join(tokens)


def plant(seed: int) -> list[str]:
    """Originals, exact copies, close and distant variants, shuffled."""
    source, texts = random.Random(seed), []
    for number in range(60):
        tokens = make_text(source, "zh" if number % 2 else "en", source.randint(60, 300))
        texts.append(join(tokens))
        for num_edits in source.sample([0, 1, 2, 3, 8, 9], number % 4):
            texts.append(join(edit(source, tokens, num_edits)))
    source.shuffle(texts)
    return texts


def keep_greedily(texts: list[str], threshold: float) -> dict[int, tuple[int, float]]:
    """The oracle: first exact copies; then all pairs are compared, and a row goes for the earliest
    kept row it resembles."""
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
    return removed


def test_planted_duplicates_are_found_and_only_those() -> None:
    texts = plant(1)
    found = find_duplicates(pa.table({"text": texts}))
    removed = keep_greedily(texts, 0.8)
    assert len(removed) > 40
    rows = zip(found.rows.tolist(), found.keepers.tolist(), found.jaccard.tolist(), strict=True)
    assert {row: (keeper, value) for row, keeper, value in rows} == removed
    exact = {row for row, (before, _) in removed.items() if texts[row] == texts[before]}
    assert set(found.rows[found.exact].tolist()) == exact


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
        assert keeper not in removed or texts[row] == texts[keeper]
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
    assert set(found.keepers[~found.exact].tolist()) == {1}
    assert len(found.rows) == len(texts) - 2


def test_pairs_that_were_not_candidates_are_found_through_removed_ones(tmp_path: Path) -> None:
    """Five copies with candidate pairs in a row only, and one that resembles none."""
    sets = Comparison(ShingleSets(tmp_path / "t", 5), ShingleSets(tmp_path / "p", 5))
    texts = ["一二三四五六七八"] * 5 + ["甲乙丙丁戊己庚辛"]
    sets.texts.add(pa.array(texts[:2]))
    sets.texts.add(pa.array(texts[2:]))
    sets.prompts.add(pa.array([""] * 6))
    found = decide(sets, 6, np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]), 0.8)
    assert found.removed.tolist() == [1, 2, 3, 4]
    assert found.keepers.tolist() == [0, 0, 0, 0]
    assert found.similarity.tolist() == [1.0] * 4
    assert (found.num_compared, found.num_similar) == (9, 8)


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


def write_shards(folder: Path, texts: list[str], **sizes: int) -> Path:
    rules = Rules(Columns(), "f.jsonl", "c", "zh", "s", 10**6)
    folder.mkdir()
    with ShardWriter(folder, **sizes) as writer:
        for line, text in enumerate(texts, 1):
            writer.write(rules.make_document({"text": text}, line))
    return folder


def test_result_does_not_depend_on_shards_or_workers(tmp_path: Path) -> None:
    texts = plant(3)
    whole = find_duplicates(write_shards(tmp_path / "one", texts))
    parted = write_shards(tmp_path / "many", texts, shard_bytes=9000, group_bytes=2500)
    assert len(list(parted.iterdir())) > 5
    expected = whole.to_table()
    assert expected.num_rows > 40
    assert find_duplicates(parted).to_table().equals(expected)
    assert find_duplicates(parted, workers=3).to_table().equals(expected)
    assert find_duplicates(parted, workers=3).parameters == whole.parameters
    assert not [path for path in parted.iterdir() if path.suffix != ".parquet"]


def test_shards_hold_every_row_in_order(tmp_path: Path) -> None:
    texts = plant(4)
    folder = write_shards(tmp_path / "many", texts, shard_bytes=9000, group_bytes=2500)
    tables = [pq.read_table(path) for path in sorted(folder.iterdir())]
    whole = pa.concat_tables(tables)
    assert whole.schema.equals(DOCUMENTS)
    assert whole["text"].to_pylist() == texts
    assert whole["origin"].to_pylist() == [f"f.jsonl:{line}" for line in range(1, len(texts) + 1)]


def test_no_documents_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match="no documents there"):
        find_duplicates(tmp_path)


def test_parameters_tell_what_was_done() -> None:
    parameters: dict[str, Any] = find_duplicates(pa.table({"text": plant(1)})).parameters
    assert (parameters["bands"], parameters["rows"], parameters["threshold"]) == (16, 8, 0.8)
    assert parameters["candidate_pairs"] >= parameters["verified_pairs"] > 40
