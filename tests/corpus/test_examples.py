"""The example scripts do what they say, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import deduplicate, find_duplicates
from tests.corpus.planted import plant
from tongwen.errors import TongwenError
from tongwen.recipe import Duplicates

EXAMPLES = Path(__file__).parents[2] / "examples"


def write_lines(path: Path, texts: list[str]) -> Path:
    lines = (json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_curate_keeps_what_the_search_keeps(tmp_path: Path) -> None:
    texts = plant(11)
    file, out = write_lines(tmp_path / "a.jsonl", texts), tmp_path / "out"
    said = run("curate.py", out, file)
    kept = [
        text
        for path in sorted(out.glob("part-*"))
        for text in pq.read_table(path)["text"].to_pylist()
    ]
    gone = set(
        find_duplicates(pa_table(texts, "a.jsonl"), Duplicates(keep="longest")).rows.tolist()
    )
    assert kept == [text for row, text in enumerate(texts) if row not in gone]
    assert f"{len(texts)} documents, {len(kept)} kept" in said
    assert pq.read_table(out / "duplicates.parquet").num_rows == len(gone)
    # Nothing else is left behind, and a second call does nothing.
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert run("curate.py", out, file) == said
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times


def pa_table(texts: list[str], file: str) -> pa.Table:
    origins = [f"{file}:{line}" for line in range(1, len(texts) + 1)]
    return pa.table({"text": texts, "origin": origins})


def test_each_day_is_compared_with_the_days_before(tmp_path: Path) -> None:
    texts = plant(12, 90)
    days = [write_lines(tmp_path / f"{number}.jsonl", texts[number::3]) for number in range(3)]
    said = run("dedup_against_index.py", tmp_path / "out", days[0], "--", days[1], "--", days[2])
    counts = [[int(word) for word in line.split() if word.isdigit()] for line in said.splitlines()]
    assert counts[0][1] == 0
    assert all(known > 5 for _, known, _ in counts[1:])
    total = sum(kept for kept, _, _ in counts)
    alone = deduplicate(days, tmp_path / "all")
    assert isinstance(alone.counts["kept"], int)
    # Which of a chain stays may differ, what is new hardly does.
    assert abs(total - alone.counts["kept"]) <= 2


def test_another_call_does_not_touch_an_output(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", plant(13)[:30])
    deduplicate([file], tmp_path / "out")
    with pytest.raises(TongwenError, match=r"threshold: was 0\.8, is 0\.9"):
        deduplicate([file], tmp_path / "out", threshold=0.9)
    with pytest.raises(TongwenError, match="treshold: unknown key"):
        deduplicate([file], tmp_path / "other", treshold=0.9)
    write_lines(file, plant(13)[:31])
    with pytest.raises(TongwenError, match=r"0:a\.jsonl"):
        deduplicate([file], tmp_path / "out")


def test_a_killed_call_goes_on(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", plant(14))
    whole = deduplicate([file], tmp_path / "whole", sketch=True, workers=1)
    code = (
        "import sys, os, signal, threading\n"
        "threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        "from corpus import deduplicate\n"
        "deduplicate([sys.argv[1]], sys.argv[2], sketch=True, workers=1)\n"
    )
    for wait in (0.4, 0.8, 1.2, 1.6):
        command = [sys.executable, "-c", code, str(file), str(tmp_path / "killed"), str(wait)]
        subprocess.run(command, check=False)
    again = deduplicate([file], tmp_path / "killed", sketch=True, workers=1)
    names = sorted(p.relative_to(whole.folder) for p in whole.folder.rglob("*") if p.is_file())
    assert names == sorted(
        p.relative_to(again.folder) for p in again.folder.rglob("*") if p.is_file()
    )
    for name in names:
        if name.name != "record.json":
            assert (whole.folder / name).read_bytes() == (again.folder / name).read_bytes(), name
