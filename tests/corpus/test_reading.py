"""Every kind of line and file becomes the documents and rejects it should."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.reading.language import detect_language
from corpus.reading.streams import split_lines
from tongwen.errors import TongwenError

Rows = list[dict[str, Any]]
Read = Callable[..., tuple[Rows, Rows]]

LINES: list[dict[str, Any]] = [
    {"text": "天地玄黄，宇宙洪荒。", "category": "经典", "lang": "zh", "source": "github:a/b"},
    {"source": "一加一？", "target": "二。", "category": "数学"},
    {"source": "q", "target": "a", "category": "c", "lang": "en", "origin": "where"},
    {"text": "plain\0text", "category": None, "other": [1, {"a": 2}]},
    {"text": "日月盈昃", "language": "文言", "lang": "zh"},
]


def dump(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


def test_known_kinds_of_lines_become_documents(tmp_path: Path, read: Read) -> None:
    (tmp_path / "my.data.jsonl").write_bytes(dump(LINES))
    rows, rejects = read({"paths": ["my.data.jsonl"]})
    assert rejects == []
    names = ("text", "prompt", "category", "language", "source", "origin")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("天地玄黄，宇宙洪荒。", "", "经典", "zh", "github:a/b", "my.data.jsonl:1"),
        ("二。", "一加一？", "数学", "zh", "my.data", "my.data.jsonl:2"),
        ("a", "q", "c", "en", "where", "my.data.jsonl:3"),
        ("plain\0text", "", "my.data", "en", "my.data", "my.data.jsonl:4"),
        ("日月盈昃", "", "my.data", "文言", "my.data", "my.data.jsonl:5"),
    ]
    for row in rows:
        content = f"{row['prompt']}\0{row['text']}".encode()
        assert row["id"] == hashlib.blake2b(content, digest_size=16).hexdigest()


def test_columns_and_defaults_of_the_recipe_are_used(tmp_path: Path, read: Read) -> None:
    line = {"q": "问", "a": "答", "kind": "k", "l": "zh", "from": "f", "text": "no", "target": 1}
    (tmp_path / "x.jsonl").write_bytes(dump([line, {"a": "b"}]))
    columns = {"text": "a", "prompt": "q", "category": "kind", "language": "l", "source": "from"}
    defaults = {"category": "dc", "language": "dl", "source": "ds"}
    rows, _ = read({"paths": ["x.jsonl"], "columns": columns, **defaults})
    names = ("text", "prompt", "category", "language", "source")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("答", "问", "k", "zh", "f"),
        ("b", "", "dc", "dl", "ds"),
    ]


REJECTED: list[tuple[bytes, str, str]] = [
    (b'{"text": "a"', "bad_json", "delimiter"),
    (b"[" * 100_000, "bad_json", ""),
    (b'{"text": ' + b"9" * 5000 + b"}", "bad_json", "digits"),
    (b'{"text": "\xff\xfe"}', "bad_utf8", "0xff"),
    (b'{"text": "\xed\xa0\x80"}', "bad_utf8", "0xed"),
    (b'{"text": ""}', "empty", "white space"),
    (b'{"text": " \\n\\t\\u3000"}', "empty", "white space"),
    (b'{"text": 3}', "wrong_type", "'text' is a number"),
    (b'{"text": ["a"]}', "wrong_type", "'text' is a list"),
    (b'{"text": "a", "category": ["b"]}', "wrong_type", "'category' is a list"),
    (b'{"text": "a", "lang": 1}', "wrong_type", "'lang' is a number"),
    (b'{"target": "a", "source": {}}', "wrong_type", "'source' is a table"),
    (b'["text"]', "wrong_type", "not a JSON object"),
    (b'{"txt": "a"}', "no_text", "'text'"),
    (b'{"text": null}', "no_text", "'text'"),
    (b'{"text": "' + b"x" * 1001 + b'"}', "too_long", "1001 characters"),
    (b'{"target": "' + b"x" * 600 + b'", "source": "' + b"y" * 600 + b'"}', "too_long", "1200"),
    (b'{"text": "' + b"x" * 2_000_000 + b'"}', "too_long", "bytes"),
    (b'{"text": "a\\ud800b"}', "lone_surrogate", "U+D800"),
    (b'{"text": "a", "category": "\\udfff"}', "lone_surrogate", "U+DFFF"),
    (b'{"text": "a", "source": "\\ud83d"}', "lone_surrogate", "U+D83D"),
]


def test_every_unusable_line_is_listed_and_the_others_are_used(tmp_path: Path, read: Read) -> None:
    good = b'{"text": "\xe5\xa5\xbd \\ud83d\\ude00"}'
    lines = [line for bad, _, _ in REJECTED for line in (bad, good, b"", b"  \r")]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.jsonl").write_bytes(b"\r\n".join(lines))
    rows, rejects = read({"paths": ["in/*"]}, max_document_characters=1000)
    assert [row["text"] for row in rows] == ["好 😀"] * len(REJECTED)
    assert [row["origin"] for row in rows[:2]] == ["in/bad.jsonl:2", "in/bad.jsonl:6"]
    for number, (reject, (bad, reason, detail)) in enumerate(zip(rejects, REJECTED, strict=True)):
        assert (reject["file"], reject["line"]) == ("in/bad.jsonl", 4 * number + 1)
        assert reject["reason"] == reason, bad[:80]
        assert detail in reject["detail"]
        assert 0 < len(reject["excerpt"]) <= 200


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b""))), st.data())
def test_lines_are_those_of_split_however_blocks_fall(lines: list[bytes], data: Any) -> None:
    whole = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    blocks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found = list(split_lines(iter(blocks), 8))
    expected = whole.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    expected = expected if whole and expected[-1] else expected[:-1]
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    if not whole.startswith(b"\xef\xbb\xbf"):
        assert [line.data for line in found] == [line[:8] for line in expected]
        assert [line.cut for line in found] == [len(line) > 8 for line in expected]


def test_a_line_without_end_is_not_held() -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"text": "a"}\n'
        for _ in range(300):
            yield b"x" * (1 << 20)
        yield b'\n{"text": "b"}'

    tracemalloc.start()
    try:
        lines = list(split_lines(endless(), 1 << 16))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(line.number, line.cut) for line in lines] == [(1, False), (2, True), (3, False)]
    assert len(lines[1].data) == 1 << 16
    assert peak < 8 << 20


def test_nothing_usable_is_an_error_that_shows_the_first_line(tmp_path: Path, read: Read) -> None:
    (tmp_path / "x.jsonl").write_text('{"content": "甲"}\n' * 3)
    with pytest.raises(TongwenError, match=r"none of the 3 lines of 1 files.*no_text.*甲"):
        read({"paths": ["x.jsonl"]})


def test_language_follows_the_script() -> None:
    texts = {
        "天地玄黄": "zh",
        "Use Python 语言编写程序代码": "zh",
        "the word 道 means way": "en",
        "naïve café": "en",
        "すべての人間は自由であり": "other",
        "Все люди рождаются": "other",
        "123 !?": "other",
        "": "other",
    }
    assert {text: detect_language(text) for text in texts} == texts
