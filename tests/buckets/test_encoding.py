"""Ids and tokens of documents: against plain Python and SentencePiece itself."""

from __future__ import annotations

import functools
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from buckets.encoding import encode_documents, format_ids, parse_ids
from buckets.encoding.ids import split_strings
from buckets.encoding.origins import gather_strings
from buckets.encoding.pipeline import work_ahead
from tests.buckets.conftest import make_rows
from tokenizer import Encoder
from tongwen.errors import TongwenError

INT32, UINT16 = np.dtype("<i4"), np.dtype("<u2")


@given(st.lists(st.integers(0, 2**128 - 1)), st.integers(0, 3))
def test_ids_are_the_two_halves_of_their_hex_digits_and_come_back(
    numbers: list[int], skipped: int
) -> None:
    ids = pa.array([f"{number:032x}" for number in numbers], pa.string()).slice(skipped)
    high_N, low_N = parse_ids(ids)
    expected = [divmod(number, 2**64) for number in numbers[skipped:]]
    assert list(zip(high_N.tolist(), low_N.tolist(), strict=True)) == expected
    assert format_ids(high_N, low_N).equals(ids)


@pytest.mark.parametrize("bad", ["", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "0" * 31 + "/", None])
def test_what_is_no_id_is_refused_by_name(bad: str | None) -> None:
    with pytest.raises(TongwenError, match="no id of a document"):
        parse_ids(pa.array(["0" * 32, bad], pa.string()))


@pytest.mark.parametrize("dtype", [INT32, UINT16])
@pytest.mark.parametrize("skipped", [0, 3])
def test_a_document_is_bos_prompt_text_eos(
    model_path: Path, dtype: np.dtype[Any], skipped: int
) -> None:
    rows = make_rows(3, {("zh", "news"): (9, 30), ("en", "qa"): (9, 12)})
    rows[4]["text"] = ""
    encoder = Encoder(model_path)
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(model_path))
    prompts, texts = (
        pa.array([row[name] for row in rows]).slice(skipped) for name in ("prompt", "text")
    )
    tokens, length_D, prompt_D = encode_documents(prompts, texts, encoder, dtype, encoder.size)
    expected = [
        (oracle.encode(row["prompt"]), oracle.encode(row["text"])) for row in rows[skipped:]
    ]
    joined = [[oracle.bos_id(), *prompt, *text, oracle.eos_id()] for prompt, text in expected]
    assert tokens.dtype == dtype
    assert tokens.tolist() == functools.reduce(operator.iadd, joined, [])
    assert length_D.tolist() == [len(each) for each in joined]
    assert prompt_D.tolist() == [1 + len(prompt) for prompt, _ in expected]


class Liar:
    """An encoder that gives one id too many."""

    size, bos, eos, path = 100, 1, 2, "liar.model"

    def __init__(self, wrong: int) -> None:
        self.wrong = wrong

    def encode(self, texts: Any, /) -> tuple[Any, Any]:
        return np.array([5] * len(texts) + [self.wrong], np.int32), np.append(
            np.arange(len(texts)), len(texts) + 1
        )


@pytest.mark.parametrize("wrong", [100, 70_000, -1])
@pytest.mark.parametrize("prompt", ["", "asked"])
def test_an_id_outside_of_the_vocabulary_is_refused_and_the_tokenizer_named(
    wrong: int, prompt: str
) -> None:
    with pytest.raises(TongwenError, match=rf"id {wrong}(?s:.*)liar\.model"):
        encode_documents(pa.array([prompt] * 3), pa.array(["a"] * 3), Liar(wrong), UINT16, 100)
    encode_documents(pa.array([prompt] * 3), pa.array(["a"] * 3), Liar(99), UINT16, 100)


def test_strings_are_gathered_from_anywhere() -> None:
    words = ["天地", "", "a", "origin:1", "玄黄"]
    data, offset_N = split_strings(pa.array(words))
    order = np.array([4, 1, 0, 0, 3])
    length_N = np.diff(offset_N).astype(np.int32)[order]
    found, ends = gather_strings(data, offset_N[:-1][order], length_N)
    pieces = np.split(found, ends[1:-1])
    assert [piece.tobytes().decode() for piece in pieces] == [words[i] for i in order]


def test_results_come_in_the_order_of_the_items_and_an_error_ends_them() -> None:
    def square(item: int) -> int:
        if item == 30:
            raise ValueError("thirty")
        return item * item

    found = work_ahead(iter(range(40)), square, 3)
    assert [next(found) for _ in range(30)] == [i * i for i in range(30)]
    with pytest.raises(ValueError, match="thirty"):
        next(found)


def test_items_are_read_no_more_than_a_few_ahead() -> None:
    read = 0

    def count() -> Any:
        nonlocal read
        for number in range(1, 101):
            read = number
            yield number

    found = work_ahead(count(), lambda item: item, 2)
    for _ in range(20):
        next(found)
    found.close()  # pyright: ignore
    assert read <= 20 + 8
