"""The compiled reader gives what Python's json and `Rules.make_document` give, to the byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.reading.blake2 import LONG, hash_documents
from corpus.reading.blocks import cut_blocks
from corpus.reading.characters import detect_languages, is_utf8
from corpus.reading.files import InputFile
from corpus.reading.language import detect_language
from corpus.reading.parsing import Parser, fill_empty
from corpus.reading.readers import parse_line
from corpus.reading.records import Document, Reject, UnusableError
from corpus.reading.scan import _WHITE
from corpus.reading.streams import split_lines
from corpus.reading.unpack import to_buffers
from corpus.reading.vectors import PADDING
from tongwen.recipe import Input

Found = tuple[list[Document], list[Reject]]
DATA = Path(__file__).parents[3] / "shared" / "data"


def make_parser(max_characters: int = 1000, **source: Any) -> Parser:
    file = InputFile(
        Path("x.jsonl"), "dir/x.jsonl", "jsonl", "", "x", Input(paths=("x",), **source)
    )
    return Parser(file, max_characters)


def read_slowly(parser: Parser, data: bytes) -> Found:
    """The definition: one line at a time, in Python."""
    documents: list[Document] = []
    rejects: list[Reject] = []
    rules = parser.rules
    for line in split_lines(iter([data]), parser.max_bytes):
        if not line.data.strip():
            continue
        try:
            fields = parse_line(line)
            if isinstance(fields, UnusableError):
                raise fields
            document = rules.make_document(fields, line.number)
            documents.append(document._replace(category=document.category or parser.default))
        except UnusableError as error:
            rejects.append(error.to_reject(rules.origin, line.number))
    return documents, rejects


def read_fast(parser: Parser, pieces: Iterator[bytes], block_bytes: int = 1 << 20) -> Found:
    documents: list[Document] = []
    rejects: list[Reject] = []
    for block in cut_blocks(pieces, parser.max_bytes, block_bytes):
        parsed = parser.parse(block)
        parsed.documents.validate(full=True)
        documents += [Document(**row) for row in parsed.documents.to_pylist()]
        rejects += parsed.rejects
    return documents, rejects


def count_unsure(parser: Parser, data: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many lines are left to Python."""
    from corpus.reading import parsing

    seen: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(parsing, "parse_line", lambda line: seen.append(line) or parse_line(line))
        read_fast(parser, iter([data]))
    return len(seen)


GOOD = '"text": "天地玄黄 \\n\\t\\u4e2d\\ud83d\\ude00 😀"'
NASTY = [
    b'{"text": "a", "text": "b"}',
    b'{"text": "a", "text": null}',
    b'{"text": null, "text": "b"}',
    b'{"text": 1, "text": "b"}',
    b'{"text": "b", "text": [1]}',
    b'{"\\u0074ext": "escaped key"}',
    b'{"te\\"xt": "x", "text": "y"}',
    b'{"text": "x", "n": NaN}',
    b'{"text": "x", "n": [Infinity, -Infinity]}',
    b'{"text": "x", "n": ' + b"9" * 4300 + b"}",
    b'{"text": "x", "n": ' + b"9" * 4301 + b"}",
    b'{"text": "x", "n": -0.5e+10, "m": 1E5, "k": 0, "l": -0}',
    *(b'{"text": "x", "n": %s}' % bad for bad in (b"01", b"-", b"1.", b".5", b"1e", b"+1", b"0x1")),
    *(b'{"text": "x", "n": %s}' % bad for bad in (b"tru", b"True", b"nulll", b"falsee", b"")),
    b'{"text": "\\ud800"}',
    b'{"text": "\\udc00\\ud800"}',
    b'{"text": "\\udc00\\udc01"}',
    b'{"text": "\\ud83d\\u0041"}',
    b'{"text": "\\ud83d\\ud83d\\ude00"}',
    b'{"text": "x", "other": "\\ud800"}',
    b'{"text": "\\uD83D\\uDE00 \\u00e9\\u00E9\\u0000\\u001f"}',
    b'{"text": "\\u12g4"}',
    b'{"text": "\\u 123"}',
    b'{"text": "\\x41"}',
    b'{"text": "\\',
    b'{"text": "\\u00',
    b'{"text": "a\x00b"}',
    b'{"text": "a\tb"}',
    b'{"text": "a\x7fb"}',
    b'\x00{"text": "a"}',
    b'{"text": "a"}\x00',
    b'\xef\xbb\xbf{"text": "mark"}',
    b'{"text": "\xef\xbb\xbfmark inside"}',
    b' \t{"text": "spaces"}\r',
    b'{ \r\t"text"\t: \r"spaces" , "b" : [ 1 , { "c" : null } ] } ',
    b'\x0b{"text": "vertical tab"}',
    b"\x0c",
    b"\xc2\xa0",
    b'{"text": "\xc2\xa0"}',
    b'{"text": "\xe3\x80\x80\\u3000\\u2028\\n "}',
    b'{"text": "\xe3\x80\x80 a"}',
    b'{"text": "\\u00a0\\u200b"}',
    b'{"text": ""}',
    b'{"text": "", "category": ""}',
    b"{}",
    b"{} {}",
    b"[]",
    b'"text"',
    b"null",
    b'{"text": "a",}',
    b'{"text" "a"}',
    b'{"text": "a" "b": 1}',
    b'{"text": "a"}}',
    b'{"text": "a"',
    b'{,"text": "a"}',
    b"{'text': 'a'}",
    b'{text: "a"}',
    b'{"a": {"b": [1, [2, {"c": "}"}]], "d": {}}, "text": "nested"}',
    b'{"a": [1, ], "text": "x"}',
    b'{"a": {"b"}, "text": "x"}',
    b'{"a": {"b": 1, }, "text": "x"}',
    b'{"a": [}, "text": "x"}',
    b'{"a": {], "text": "x"}',
    b'{"a": [[[[]]], "text": "x"}',
    b'{"a": ' + b"[" * 60 + b"]" * 60 + b', "text": "deep"}',
    b'{"a": ' + b"[" * 70 + b"]" * 70 + b', "text": "deeper"}',
    b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b', "text": "deepest"}',
    b'{"a": {"text": "inner"}}',
    b'{"a": {"text": "inner"}, "text": "outer"}',
    b'{"target": "t", "source": "s", "origin": "o", "text": "no"}',
    b'{"target": null, "text": "x"}',
    b'{"target": "", "text": "x"}',
    b'{"target": "t", "source": null}',
    b'{"target": "t", "source": 3}',
    b'{"text": "t", "source": ["a list"]}',
    b'{"text": "t", "origin": 3, "source": "s"}',
    b'{"text": "t", "category": ["a", "list"]}',
    b'{"text": "t", "category": "c"}',
    b'{"text": "t", "language": "", "lang": "zh"}',
    b'{"text": "t", "language": null, "lang": "zh"}',
    b'{"text": "t", "language": "en", "lang": 5}',
    b'{"text": "t", "lang": true}',
    b'{"text": "' + b"x" * 1000 + b'"}',
    b'{"text": "' + b"x" * 1001 + b'"}',
    b'{"text": "' + "中".encode() * 1000 + b'"}',
    b'{"text": "' + "中".encode() * 1001 + b'"}',
    b'{"text": "' + b"\\u4e2d" * 1000 + b'"}',
    b'{"text": "' + b"\\ud83d\\ude00" * 1000 + b'"}',
    b'{"text": "' + b"\\ud83d\\ude00" * 1001 + b'"}',
    b'{"target": "' + b"x" * 600 + b'", "source": "' + b"\\n" * 400 + b'"}',
    b'{"target": "' + b"x" * 600 + b'", "source": "' + b"\\n" * 401 + b'"}',
    b'{"text": "\xff"}',
    b'{"text": "\xe4\xb8"}',
    b'{"text": "\x80"}',
    b'{"text": "\xc0\x80"}',
    b'{"text": "\xed\xa0\x80"}',
    b'{"text": "\xf4\x90\x80\x80"}',
    b'{"text": "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"}',
    b"\xe4\xb8",
    b"\x80",
    b'{"a\xff": 1, "text": "x"}',
    b'{"a": "' + b"x" * 1_100_000 + b'", "text": "a long line"}',
]
COLUMNS = [
    {},
    {"text": "body", "prompt": "ask"},
    {"category": "source", "language": "text", "source": "lang"},
    {"text": "target", "prompt": "target", "source": "text"},
    {"text": "te\nxt", "category": "键"},
]


@pytest.mark.parametrize("columns", COLUMNS)
def test_nasty_lines_give_the_same(columns: dict[str, str]) -> None:
    extra = [
        b'{"body": "b", "ask": "?", "source": null}',
        b'{"te\\nxt": "x"}',
        '{"键": 1}'.encode(),
    ]
    parser = make_parser(columns=columns)
    lines = [*NASTY, *extra, *NASTY]
    for end in (b"\n", b"\r\n", b"\n\n \n"):
        for data in (end.join(lines), end.join(lines) + end, b"\xef\xbb\xbf" + end.join(lines[:9])):
            expected = read_slowly(parser, data)
            assert read_fast(parser, iter([data])) == expected
            assert len(expected[1]) > 1


def test_a_line_alone_gives_the_same() -> None:
    for columns in COLUMNS:
        parser = make_parser(columns=columns)
        for line in NASTY:
            assert read_fast(parser, iter([line])) == read_slowly(parser, line), line[:80]


TOKENS = st.sampled_from(
    [
        *'{}[],:" \t\r\n\\',
        *('"text"', '"target"', '"source"', '"lang"', '"x"', "null", "true", "NaN", "1", "-2.5e3"),
        *(
            '"',
            "\\u4e2d",
            "\\ud83d\\ude00",
            "\\udc00",
            "\\n",
            "中",
            "é",
            "😀",
            "\0",
            "\u3000",
            "abc",
        ),
        *('{"text": "', '"}', '{"text": "a", ', '", "category": "', '"target": "', '": "'),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["text", "target", "source", "category", "language", "lang", "origin", "n"])
TABLES = st.dictionaries(NAMES, st.text(max_size=70) | VALUES, max_size=6)


@st.composite
def draw_line(draw: Any) -> bytes:
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.sampled_from(NASTY[:-1]))
    if kind == 1:
        return "".join(draw(st.lists(TOKENS, max_size=12))).encode()
    line = json.dumps(draw(TABLES), ensure_ascii=draw(st.booleans()))
    data = bytearray(line.encode("utf-8", "surrogatepass"))
    if kind == 2 and data:
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(st.lists(draw_line(), max_size=8), st.sampled_from([b"\n", b"\r\n"]), st.data())
def test_any_lines_give_the_same(lines: list[bytes], end: bytes, data: Any) -> None:
    parser = make_parser(data.draw(st.sampled_from([5, 60, 1000])))
    whole = end.join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    block_bytes = data.draw(st.sampled_from([1, 50, 1 << 20]))
    assert read_fast(parser, iter(pieces), block_bytes) == read_slowly(parser, whole)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=12).map(lambda each: each.replace(b"\n", b""))), st.data())
def test_blocks_hold_the_lines_that_split_lines_finds(lines: list[bytes], data: Any) -> None:
    whole = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found: list[tuple[int, bytes, bool]] = []
    for block in cut_blocks(iter(pieces), 8, data.draw(st.integers(1, 20))):
        texts = block.data[: block.size].split(b"\n")
        texts = texts if block.cut else texts[:-1]
        assert len(texts) == block.num_lines
        for number, text in enumerate(texts, block.first):
            found.append((number, text[:8], block.cut or len(text) > 8))
    expected = [(line.number, line.data, line.cut) for line in split_lines(iter([whole]), 8)]
    if not whole.startswith(b"\xef\xbb\xbf"):
        assert found == expected


def test_ordinary_lines_need_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "{" + GOOD + ', "category": "经典", "lang": "zh", "source": "github:a/b", "n": [1, {}]}',
        '{"source": "一？", "target": "二。", "category": null, "meta": {"a": [{"b": -1.5e3}]}}',
        '{"text": "\\u3000x", "url": "https:\\/\\/a.b", "ok": true, "tags": ["a", "b"]} \r',
        "",
    ]
    data = "\n".join(lines * 100).encode()
    assert count_unsure(make_parser(), data, monkeypatch) == 0
    assert len(read_fast(make_parser(), iter([data]))[0]) == 300
    assert count_unsure(make_parser(), data + b"\nNaN", monkeypatch) == 1
    bad = b'{"text": "\xff"}\n'
    assert count_unsure(make_parser(), data + b"\n" + bad, monkeypatch) == 1


@pytest.mark.skipif(not DATA.exists(), reason="the real text is not here")
@pytest.mark.parametrize("language", ["", "zh"])
def test_real_text_gives_the_same(language: str) -> None:
    source = {"language": language} if language else {}
    parser = make_parser(3000, **source)
    documents = 0
    for path in sorted(DATA.glob("??/*.jsonl.zst")):
        with path.open("rb") as file:
            data = zstandard.ZstdDecompressor().stream_reader(file).read(1_000_000)
        data = data.replace(b'"lang": "', b'"l": "')
        expected = read_slowly(parser, data)
        assert read_fast(parser, iter([data]), 200_000) == expected
        documents += len(expected[0])
    assert documents > 10_000


WORDS = st.sampled_from(
    ["中", "文", "あ", "ア", "é", "a", "Z", "ß", "я", "1", " ", "×", "\U00020000"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=200) | st.lists(WORDS, max_size=150).map("".join), max_size=5))
@example(["a" * 10_000 + "中" * 10_000, "中" * 2999 + "a" * 7001, "中" * 3000 + "b" * 7100])
@example(["中" * 9 + "あ", "中" * 190 + "ア" * 10, "中" * 191 + "ア" * 10, ""])
@example(["x" * 64 + "中" * 28, "x" * 63 + "é" + "x" * 64 + "中" * 70, "\U00020000" * 3 + "xyz"])
def test_languages_are_those_of_the_definition(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    found = detect_languages(pa.array(texts, pa.string()))
    assert found.to_pylist() == [detect_language(text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=400), st.binary(max_size=300)), max_size=30))
@example([(b"", b"x" * size) for size in range(250, 262)])
@example([(b"p" * size, b"x" * (127 - size)) for size in range(128)])
@example([(b"", b"x" * (LONG + 1)), (b"p" * (LONG + 1), b""), (b"", b"")])
def test_ids_are_blake2b_of_prompt_nul_text(rows: list[tuple[bytes, bytes]]) -> None:
    columns = [pa.array(column, pa.binary()) for column in zip(*rows, strict=True)]
    columns = columns or [pa.array([], pa.binary())] * 2
    found = hash_documents(*to_buffers(columns[0]), *to_buffers(columns[1]))
    expected = [hashlib.blake2b(p + b"\0" + t, digest_size=16).hexdigest() for p, t in rows]
    assert [bytes(digest).decode() for digest in found] == expected


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=140) | st.text(max_size=50).map(str.encode), st.integers(0, 70), st.data()
)
def test_utf8_is_what_python_decodes(data: bytes, ahead: int, more: Any) -> None:
    if data and more.draw(st.booleans()):
        cut = more.draw(st.integers(0, len(data)))
        data = (
            data[:cut]
            + more.draw(st.sampled_from([b"", b"\x80", b"\xe0\x80", b"\xf1"]))
            + data[cut:]
        )
    data = b"x" * ahead + data
    try:
        data.decode("utf-8")
        valid = True
    except UnicodeDecodeError:
        valid = False
    assert is_utf8(np.frombuffer(data + bytes(PADDING), np.uint8), len(data)) == valid


def test_every_pair_of_lead_and_second_byte_is_judged_right() -> None:
    for lead in range(256):
        for second in range(256):
            data = bytes([97, lead, second, 0x80, 0x80])
            for length in range(1, 6):
                part = data[:length]
                valid = part.decode("utf-8", "ignore").encode() == part
                assert is_utf8(np.frombuffer(part + bytes(PADDING), np.uint8), length) == valid


def test_all_white_space_is_known() -> None:
    assert {chr(code) for code in _WHITE} == {c for c in map(chr, range(0x110000)) if c.isspace()}


def test_empty_strings_are_filled() -> None:
    strings = pa.array(["a", "", "b", ""])
    assert fill_empty(strings, "x").to_pylist() == ["a", "x", "b", "x"]
    assert fill_empty(strings[1:], lambda: pa.array(["p", "q", "r"])).to_pylist() == ["p", "b", "r"]
    assert fill_empty(strings, "") is strings
