"""What breaks other tools: millions of equals, tiny documents, a disk that fills up."""

from __future__ import annotations

import errno
from pathlib import Path

import pyarrow as pa
import pytest

from corpus import find_duplicates
from corpus.dedup.findings import EXACT, NEAR, NORMALIZED
from tests.corpus.planted import make_documents, plant, write_documents
from tests.corpus.test_independence import KilledEngine

MILLION = 1_000_000


def test_a_million_equal_documents_collapse_to_the_first() -> None:
    found = find_duplicates(pa.table({"text": pa.array(["天下大同，四海一家。"] * MILLION)}))
    assert found.count(EXACT) == len(found.rows) == MILLION - 1
    assert set(found.keepers.tolist()) == {0}


def test_two_hundred_thousand_that_differ_in_punctuation_collapse_too() -> None:
    texts = [
        f"天下{'，' * (number % 500)}大同{'。' * (number // 500)}" for number in range(200_000)
    ]
    found = find_duplicates(pa.table({"text": texts}))
    assert found.count(NORMALIZED) == len(found.rows) == 199_999


def test_thirty_thousand_alike_need_no_pair_of_each_with_each() -> None:
    """Each has four words of its own after three hundred common ones: all are alike."""
    common = " ".join(f"w{number}" for number in range(300))
    texts = [f"{common} x{number} y{number} z{number} v{number}" for number in range(30_000)]
    found = find_duplicates(pa.table({"text": texts}), workers=2)
    assert found.count(NEAR) == len(found.rows) == 29_999
    assert set(found.keepers.tolist()) == {0}
    assert float(found.parameters["candidate_pairs"]) < 12 * len(texts)


def test_documents_of_one_character_are_alike_only_when_equal() -> None:
    texts = [chr(0x4E00 + number % 5000) for number in range(20_000)]
    found = find_duplicates(pa.table({"text": texts}))
    assert found.count(EXACT) == len(found.rows) == 15_000
    assert all(row % 5000 == keeper for row, keeper in zip(found.rows, found.keepers, strict=True))


def test_nul_bytes_and_rare_planes_are_text_like_any_other() -> None:
    texts = ["a\0b c d e f", "a\0b c d e f", "\0", "\0\0", "𠀀𠀁𠀂𠀃𠀄", "𠀀𠀁𠀂𠀃𠀅"]
    found = find_duplicates(pa.table({"text": texts}))
    assert found.rows.tolist() == [1]


def test_ids_of_the_input_play_no_part() -> None:
    table = pa.table({"id": ["1", "1", "2"], "text": ["甲乙丙丁戊", "子丑寅卯辰", "甲乙丙丁戊"]})
    assert find_duplicates(table).rows.tolist() == [2]


@pytest.mark.parametrize("kind", ["ids-000000", "bands-000000", "pairs-000000", "near-text-sets"])
def test_a_disk_that_fills_up_is_said_so_and_the_search_goes_on(tmp_path: Path, kind: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    folder = write_documents(tmp_path / "docs", make_documents(plant(5)))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    expected = find_duplicates(folder).to_table()
    with pytest.raises(KeyboardInterrupt):
        find_duplicates(folder, engine=KilledEngine(0), scratch=scratch)
    (work,) = scratch.iterdir()
    full = work / f".{kind}.partial"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        find_duplicates(folder, scratch=scratch)
    assert error.value.errno == errno.ENOSPC
    full.unlink()
    assert find_duplicates(folder, scratch=scratch).to_table().equals(expected)
    assert not list(scratch.iterdir())
