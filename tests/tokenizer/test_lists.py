"""Users' lists: every form is read, and what is not taken has a row with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.learning.lists import read_lists
from tokenizer.learning.oddities import fold
from tokenizer.model import ModelProto
from tongwen.errors import TongwenError

HAN = st.text("你好世界人民中华共和国Ａ樂", min_size=1, max_size=5)


def read(path: Path, known: tuple[str, ...] = (), longest: int = 16) -> tuple[dict, dict]:
    taken, rows = read_lists([path], known, max_piece_length=longest)
    return (
        {entry.text: entry.count for entry in taken},
        {row.reason.split(": ")[0].rsplit(":")[-1]: row.rule for row in rows},
    )


def test_json_lines_as_colossal_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    lines = [
        '{"piece": "你好"}',
        "",
        '{"piece": "世界", "count": 7, "note": 1}',
        '{"piece": "人民"}',
    ]
    path.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    taken, rows = read_lists([path], (), max_piece_length=16)
    assert [(entry.text, entry.count) for entry in taken] == [("你好", 0), ("世界", 7), ("人民", 0)]
    assert taken[1].place == "new.jsonl:3" and rows == []


def test_plain_lines_counts_and_jieba(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_text(
        "# 术语\n云计算 5\n李小福 2 nr\n韩玉赏鉴 nz\n机器学习\t120\n你好\n", encoding="utf-8"
    )
    taken, rejects = read(path)
    assert taken == {"云计算": 5, "李小福": 2, "韩玉赏鉴": 0, "机器学习": 120, "你好": 0}
    assert rejects == {}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b'{"piece": ""}', "empty"),
        (b'{"piece": null}', "type"),
        (b'{"piece": 5}', "type"),
        (b'{"word": "\xe4\xbd\xa0"}', "type"),
        (b'["\xe4\xbd\xa0"]', "type"),
        (b'{"piece": "\xe4\xbd\xa0', "json"),
        (b'{"piece": "\xff"}', "utf-8"),
        (json.dumps({"piece": "你 好"}).encode(), "space"),
        (json.dumps({"piece": "▁你好"}).encode(), "space"),
        (json.dumps({"piece": "你\u3000好"}).encode(), "space"),
        (json.dumps({"piece": "你\x00好"}).encode(), "control"),
        (b'{"piece": "\\ud83d\xe4\xbd\xa0"}', "control"),
        (json.dumps({"piece": "你\u200b好"}).encode(), "invisible"),
        (json.dumps({"piece": "你\ue000"}).encode(), "private-use"),
        (json.dumps({"piece": "你好" * 9}).encode(), "long"),
        (json.dumps({"piece": "hello"}).encode(), "no-cjk"),
        (json.dumps({"piece": "……"}).encode(), "no-cjk"),
        (json.dumps({"piece": "世界"}).encode(), "duplicate"),
        (json.dumps({"piece": "中国"}).encode(), "in-base"),
        (json.dumps({"piece": "世界\u2f00"}).encode(), "normalisation"),
        (json.dumps({"piece": "\uf95e国"}).encode(), "normalisation"),
        (b'{"piece": "' + "你".encode() * 40_000 + b'"}', "long"),
        (b"[" * 60_000, "json"),
    ],
)
def test_bad_line_is_rejected_with_its_number(tmp_path: Path, line: bytes, rule: str) -> None:
    good = [json.dumps({"piece": text}).encode() for text in ("世界", "世界一", "和平")]
    path = tmp_path / "new.jsonl"
    path.write_bytes(b"\n".join([*good, line, json.dumps({"piece": "人民"}).encode()]))
    taken, rejects = read(path, known=("中国", "丹国"))
    assert set(taken) == {"世界", "世界一", "和平", "人民"}
    assert rejects == {"4": f"list:{rule}"}


def test_the_longest_piece_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("你好你好\n你好你好你\n", encoding="utf-8")
    assert read(path, longest=4) == ({"你好你好": 0}, {"2": "list:long"})


def test_lists_are_compared_with_each_other(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("你好\n", encoding="utf-8")
    taken, rows = read_lists([tmp_path / "one.txt", tmp_path / "two.txt"], (), max_piece_length=16)
    assert [entry.place for entry in taken] == ["one.txt:1"]
    assert [row.reason for row in rows] == ["two.txt:1: is listed before, one.txt:1"]


def test_pieces_of_another_model(tmp_path: Path, base: ModelProto) -> None:
    model = type(base)()
    model.CopyFrom(base)
    for text in ("▁你好", "你好", "▁hello中", "世界\x07"):
        model.pieces.add(piece=text, score=-99999.0, type=1)
    path = tmp_path / "other.model"
    path.write_bytes(model.SerializeToString())
    taken, rows = read_lists([path], {piece.piece for piece in base.pieces}, max_piece_length=16)
    assert [entry.text for entry in taken] == ["你好", "hello中"]
    rules = [row.rule for row in rows]
    assert rules.count("list:duplicate") == 1 and rules.count("list:control") == 1
    (others,) = [row for row in rows if row.rule == "list:no-han"]
    assert others.count + rules.count("list:in-base") + 4 == len(model.pieces)


def test_a_unigram_is_a_list_too(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("你好世界\n世界人民\n" * 50, encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "uni"), vocab_size=12, minloglevel=2
    )
    taken, _ = read_lists([tmp_path / "uni.model"], (), max_piece_length=16)
    assert "世界" in {entry.text for entry in taken}


@given(st.lists(HAN, max_size=8), st.sets(HAN, max_size=4))
def test_every_line_is_taken_or_has_a_row(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], known: set[str]
) -> None:
    path = tmp_path_factory.mktemp("list") / "list.txt"
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    taken, rows = read_lists([path], known, max_piece_length=4)
    assert len(taken) + len(rows) == len(texts)
    folded = [fold(entry.text) for entry in taken]
    assert len(set(folded)) == len(folded) and not set(folded) & set(map(fold, known))
    assert all(len(entry.text) <= 4 for entry in taken)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'["\xe4\xbd\xa0\xe5\xa5\xbd"]', "it begins with '["),
        (b'{\n "version": "1.0",\n "model": {}\n}', "no line of it is an object"),
        (b"version https://git-lfs.github.com/spec/v1\n", "version https"),
        ("\ufeff你好".encode("utf-16-le"), "UTF-16"),
        (b"PK\0\0", "not a SentencePiece model"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    with pytest.raises(TongwenError, match=r"list\.txt") as error:
        read(path)
    assert words in str(error.value)


def test_a_missing_list_names_its_key(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "no.txt", "No such file"), (tmp_path, "is a folder")):
        with pytest.raises(TongwenError) as error:
            read_lists([path], (), max_piece_length=16)
        assert words in str(error.value) and "tokenizer.lists.0" in str(error.value)
