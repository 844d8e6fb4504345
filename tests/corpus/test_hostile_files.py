"""Files made to break a reader take bounded memory, and every line of them is accounted for."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpus.engine import LocalEngine
from corpus.reading import blocks
from corpus.reading.blocks import cut_blocks
from corpus.reading.files import InputFile, list_inputs
from corpus.reading.parsing import Parser
from corpus.reading.parts import read_documents
from tongwen.recipe import Input

MEGABYTE = 1 << 20


def make_parser(max_characters: int) -> Parser:
    source = Input(paths=("x",))
    return Parser(InputFile(Path("x"), "x.jsonl", "jsonl", "", "x", source), max_characters)


def parse_all(parser: Parser, pieces: Iterator[bytes]) -> tuple[Counter[str], int, int]:
    """Rejects by reason, documents, and the most bytes that were held."""
    reasons: Counter[str] = Counter()
    documents = 0
    parser.parse(next(cut_blocks(iter([b'{"text": "compile first"}\n']), 1000)))
    tracemalloc.start()
    try:
        for block in cut_blocks(pieces, parser.max_bytes):
            parsed = parser.parse(block)
            documents += parsed.documents.num_rows
            reasons.update(reject.reason for reject in parsed.rejects)
        return reasons, documents, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_line_of_200_megabytes_is_read_past() -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"text": "before"}\n{"text": "'
        yield from (b"x" * MEGABYTE for _ in range(200))
        yield b'"}\n{"text": "after"}\n'

    parser = make_parser(1000)
    reasons, documents, peak = parse_all(parser, pieces())
    assert (reasons, documents) == (Counter(too_long=1), 2)
    assert peak < 12 * MEGABYTE


def test_a_long_line_that_is_allowed_is_held_a_few_times() -> None:
    size = 20 * MEGABYTE

    def pieces() -> Iterator[bytes]:
        yield b'{"text": "'
        yield from (b"y" * MEGABYTE for _ in range(20))
        yield b'"}\n'

    reasons, documents, peak = parse_all(make_parser(size), pieces())
    assert (reasons, documents) == (Counter(), 1)
    assert peak < 4 * size


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": ""}\n', "empty"),
        (b"{}\n", "no_text"),
        (b"0\n", "wrong_type"),
        (b"\x00\n", "bad_json"),
        (b"\xff\n", "bad_utf8"),
    ],
)
def test_countless_useless_lines_take_little_memory(
    line: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    num = 40_000
    monkeypatch.setattr(blocks, "BLOCK_LINES", 2000)
    reasons, documents, peak = parse_all(make_parser(1000), iter([line * num, b'{"text": "x"}']))
    assert (reasons, documents) == (Counter({reason: num}), 1)
    assert peak < 9 * MEGABYTE


def test_countless_tiny_documents_take_little_memory() -> None:
    num = 300_000
    reasons, documents, peak = parse_all(make_parser(1000), iter([b'{"text":"x"}\n' * num]))
    assert (reasons, documents) == (Counter(), num)
    assert peak < 40 * MEGABYTE


def test_blocks_of_many_lines_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(b"%d\n" % number for number in range(1000))
    monkeypatch.setattr(blocks, "BLOCK_LINES", 7)
    found = list(cut_blocks(iter([data]), 100))
    assert {block.num_lines for block in found} == {7, 1000 % 7}
    assert [block.first for block in found] == list(range(1, 1001, 7))
    assert b"".join(block.data[: block.size] for block in found) == data


def test_every_reject_can_be_looked_up(tmp_path: Path, make_recipe: Any) -> None:
    lines = [b'{"text": ""}', b"\xff\xfe", b'{"text": "\\ud800"}', b"\x00", b'{"text": "ok"}'] * 500
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
    (tmp_path / "out").mkdir()
    files = list_inputs(make_recipe({"paths": ["x.jsonl"]}))
    tally = read_documents(files, tmp_path / "out", 1000, LocalEngine())
    rejects = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    reasons = ["empty", "bad_utf8", "lone_surrogate", "bad_json"]
    assert [row["reason"] for row in rejects] == reasons * 500
    assert [row["line"] for row in rejects] == [n for n in range(1, 2501) if n % 5]
    assert tally.rejected == Counter(dict.fromkeys(reasons, 500))
    assert tally.documents == 500
    assert all(row["detail"] and row["excerpt"] for row in rejects)


_CHILD = """
import sys
from pathlib import Path
from corpus.engine import LocalEngine
from corpus.reading.files import InputFile
from corpus.reading.parts import read_documents
from tongwen.recipe import Input

path, out = map(Path, sys.argv[1:])
file = InputFile(path, "x.jsonl", "jsonl", "", "x", Input(paths=("x",)))
read_documents([file], out, 1000000, LocalEngine(1))
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])
"""
"""Prints the peak of this process alone: what `getrusage` says is at least the parent's."""


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    text = "天地玄黄，宇宙洪荒。The quick brown fox.\n" * 60
    line = json.dumps({"text": text, "lang": "zh"}, ensure_ascii=False).encode() + b"\n"
    peaks: list[int] = []
    for number, megabytes in enumerate((10, 10, 70)):
        path, out = tmp_path / f"{number}.jsonl", tmp_path / f"out{number}"
        path.write_bytes(line * (megabytes * 1_000_000 // len(line)))
        out.mkdir()
        command = [sys.executable, "-c", _CHILD, str(path), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) * 1024)
    assert peaks[2] < 500 * 1_000_000
    assert peaks[2] < peaks[1] + 30 * MEGABYTE
