"""Every format, plain or compressed, whole or broken, gives the documents it holds."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpus.reading.readers import sample_lines
from corpus.reading.streams import BadFileError, read_blocks

Rows = list[dict[str, Any]]
Read = Callable[..., tuple[Rows, Rows]]

LINES: list[dict[str, Any]] = [
    {"text": "天地玄黄，宇宙洪荒。", "category": "经典"},
    {"source": "一加一？", "target": "二。", "category": "数学"},
    {"text": "plain\0text", "lang": "en", "other": [1, {"a": "é\n"}]},
]


def dump(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


def test_compressed_files_give_the_same_documents(tmp_path: Path, read: Read) -> None:
    data = dump([{**line, "category": "c", "n": n} for n in range(2000) for line in LINES])
    half = len(data) // 2
    frame = zstandard.ZstdCompressor(level=1).compress
    packed = {
        "a/d.jsonl": b"\xef\xbb\xbf" + data,
        "b/d.jsonl.gz": gzip.compress(data[:half]) + gzip.compress(data[half:]) + b"\0" * 50,
        "c/d.jsonl.zst": frame(data[:half]) + frame(data[half:]),
    }
    for name, content in packed.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    rows, rejects = read({"paths": ["[abc]/*"]})
    assert rejects == []
    third = len(rows) // 3
    assert third == 6000
    same = [{key: row[key] for key in row if key != "origin"} for row in rows]
    assert same[:third] == same[third : 2 * third] == same[2 * third :]
    assert rows[-1]["origin"] == "c/d.jsonl.zst:6000"


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_what_a_broken_file_still_holds_is_used(
    tmp_path: Path, read: Read, ending: str, damage: str
) -> None:
    texts = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20_000)]
    data = dump([{"text": text} for text in texts])
    compress = gzip.compress if ending == "gz" else zstandard.ZstdCompressor().compress
    packed = bytearray(compress(data))
    half = len(packed) // 2
    packed = (
        packed[:half] if damage == "truncated" else packed[:half] + b"\xff" * 99 + packed[half:]
    )
    (tmp_path / f"d.jsonl.{ending}").write_bytes(packed)
    (tmp_path / "e.jsonl").write_bytes(b'{"text": "after"}')
    rows, rejects = read({"paths": ["*.jsonl*"]})
    read_before = [row["text"] for row in rows[:-1]]
    assert 2000 < len(read_before) < 20_000
    assert read_before[:2000] == texts[:2000]
    assert rows[-1]["text"] == "after"
    bad = [row for row in rejects if row["reason"] == "bad_file"]
    assert [row["file"] for row in bad] == [f"d.jsonl.{ending}"]
    if damage == "truncated":
        assert len(rejects) == 1
        assert rejects[0]["line"] == len(rows)
        assert "truncated" in rejects[0]["detail"]


def test_files_that_are_not_what_their_name_says_are_rejected(tmp_path: Path, read: Read) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.zst", "c.parquet", "d.txt.gz"):
        (tmp_path / name).write_bytes(b'{"text": "plain"}\n')
    (tmp_path / "e.jsonl").write_bytes(b'{"text": "good"}')
    rows, rejects = read({"paths": ["*.*"]})
    assert [row["text"] for row in rows] == ["good"]
    assert [row["reason"] for row in rejects] == ["bad_file"] * 4


def test_json_file_may_be_an_array(tmp_path: Path, read: Read) -> None:
    elements: list[Any] = [*LINES, 3, {"text": "长" * 700_000}, {"text": "last"}]
    (tmp_path / "a.json").write_text(json.dumps(elements, ensure_ascii=False, indent=2))
    (tmp_path / "b.json").write_bytes(dump(LINES))
    (tmp_path / "c.json").write_text('\n [{"text": "one"}, {"text": "two"}, {"text": oops}]')
    (tmp_path / "d.json").write_text("[]")
    (tmp_path / "e.json").write_text('[{"text": "x"}')
    rows, rejects = read({"paths": ["*.json"]})
    texts = [line.get("target") or line["text"] for line in LINES]
    assert [row["text"] for row in rows] == [
        *texts,
        "长" * 700_000,
        "last",
        *texts,
        "one",
        "two",
        "x",
    ]
    assert rows[3]["origin"] == "a.json:5"
    found = [(row["file"], row["line"], row["reason"]) for row in rejects]
    assert found == [
        ("a.json", 4, "wrong_type"),
        ("c.json", 3, "bad_file"),
        ("e.json", 2, "bad_file"),
    ]


def test_parquet_rows_become_documents(tmp_path: Path, read: Read) -> None:
    table = pa.table(
        {
            "text": pa.array(["甲", "乙", None, " ", "丙"]).dictionary_encode(),
            "category": pa.array(["c", None, "c", "c", "c"], pa.large_string()),
            "lang": ["zh", "zh", "zh", "zh", None],
            "vector": [[1.0]] * 5,
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "b.parquet")
    broken = pa.array([b"good", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "c.parquet")
    pq.write_table(pa.table({"text": [b"bytes"]}), tmp_path / "d.parquet")
    rows, rejects = read({"paths": ["*.parquet"]})
    assert [(row["text"], row["category"], row["language"]) for row in rows] == [
        ("甲", "c", "zh"),
        ("乙", "a", "zh"),
        ("丙", "c", "zh"),
        ("good", "c", "en"),
    ]
    assert [row["origin"] for row in rows][2] == "a.parquet:5"
    assert [(row["file"], row["line"], row["reason"]) for row in rejects] == [
        ("a.parquet", 3, "no_text"),
        ("a.parquet", 4, "empty"),
        ("b.parquet", 1, "wrong_type"),
        ("b.parquet", 2, "wrong_type"),
        ("c.parquet", 2, "bad_utf8"),
        ("d.parquet", 1, "wrong_type"),
    ]


def test_text_file_is_one_document(tmp_path: Path, read: Read) -> None:
    text = "第一章\n\n第二章\f\r\n完\n"
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "b.md.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "c.txt").write_bytes("旧编码".encode("gb18030"))
    (tmp_path / "d.txt").write_bytes(b"x" * 5000)
    (tmp_path / "e.txt").write_bytes(b"")
    (tmp_path / "f.txt").write_bytes(b"y" * 1001)
    rows, rejects = read({"paths": ["*.txt", "*.md.gz"]}, max_document_characters=1000)
    assert [row["text"] for row in rows] == [text, text]
    assert [(row["origin"], row["category"]) for row in rows] == [
        ("a.txt:1", "a"),
        ("b.md.gz:1", "b"),
    ]
    assert [row["reason"] for row in rejects] == ["bad_utf8", "too_long", "empty", "too_long"]


def test_sample_shows_usable_lines_of_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"oops\n" + dump(LINES))[:-4])
    (tmp_path / "b.json").write_text(json.dumps(LINES))
    (tmp_path / "c.txt").write_text("甲乙", encoding="utf-8")
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "d.parquet")
    assert list(sample_lines(tmp_path / "a.jsonl.gz")) == LINES
    assert list(sample_lines(tmp_path / "b.json")) == LINES
    assert list(sample_lines(tmp_path / "c.txt")) == [{"text": "甲乙"}]
    assert list(sample_lines(tmp_path / "d.parquet")) == [{"text": "a"}]


def test_blocks_of_a_bomb_stay_small(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(400_000_000)))
    sizes = [len(block) for block in read_blocks(path, "zst")]
    assert sum(sizes) == 400_000_000
    assert max(sizes) <= 300_000_000
    with pytest.raises(BadFileError, match="No such file"):
        list(read_blocks(tmp_path / "none", ""))
