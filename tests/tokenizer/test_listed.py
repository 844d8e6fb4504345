"""Listed pieces: every one can be produced, within the budget, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenizer.learning.characters import is_cjk_only
from tokenizer.learning.filter import Filter, Verdict
from tokenizer.learning.listed import Listed, plan_listed
from tokenizer.lint.proof import find_changes, find_unreachable
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, PieceType

HAN = st.text("中华人民共和国意大利鼴龘x8，", min_size=1, max_size=8).filter(
    lambda text: any(map(is_cjk_only, text))
)
PLENTY = 10_000


def allow(_: str) -> Verdict | None:
    return None


def apply(model: ModelProto, plan: Listed) -> ModelProto:
    return append_pieces(model, [piece.text for piece in plan.pieces])


def open_plain(model: ModelProto) -> Callable[[str], list[int]]:
    """The ids of a text without the dummy prefix."""
    plain = type(model)()
    plain.CopyFrom(model)
    plain.normalizer_spec.add_dummy_prefix = False
    processor = sentencepiece.SentencePieceProcessor(model_proto=plain.SerializeToString())
    return lambda text: processor.encode(text)


def shrink(base: ModelProto) -> ModelProto:
    """The base without most of its pieces: sentencepiece loads it in no time."""
    model = type(base)()
    model.CopyFrom(base)
    del model.pieces[:]
    for piece in base.pieces:
        if piece.type != PieceType.NORMAL or len(piece.piece) == 1:
            model.pieces.add().CopyFrom(piece)
    return model


@pytest.fixture(scope="module")
def small(base: ModelProto) -> ModelProto:
    return append_pieces(shrink(base), ["中华", "人民", "民共", "华人", "共和", "意大", "大利"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(HAN, max_size=8), budget=st.integers(0, 12))
def test_every_placed_piece_can_be_produced(
    small: ModelProto, texts: list[str], budget: int
) -> None:
    plan = plan_listed(small, texts, budget, allow)
    model = apply(small, plan)
    assert len(plan.pieces) <= budget
    assert find_unreachable(model) == find_unreachable(small)
    listed = [piece.text for piece in plan.pieces if piece.kind == "list"]
    rejected = [text for text, _, _ in plan.rejected]
    assert sorted(listed + rejected) == sorted(set(texts))
    encode = open_plain(model)
    assert [len(encode(text)) for text in listed] == [1] * len(listed)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(HAN, max_size=6), text=st.text("中华人民共和国意大利鼴龘x8， ", max_size=20))
def test_other_text_keeps_its_ids(small: ModelProto, texts: list[str], text: str) -> None:
    plan = plan_listed(small, texts, PLENTY, allow)
    model = apply(small, plan)
    encode = open_plain(model)
    parts = open_plain(small)(text)
    surfaces = [small.pieces[number].piece for number in parts]
    new = {piece.text for piece in plan.pieces}
    meets = any(piece in text for piece in new)
    beside = any(left + right in new for left, right in pairwise(surfaces))
    if not meets:
        assert encode(text) == parts
    if beside:
        assert encode(text) != parts
    assert find_changes(small, model, ["x88 x", "hello"]) == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(HAN, max_size=6))
def test_needed_places_suffice_and_are_bounded(small: ModelProto, texts: list[str]) -> None:
    plan = plan_listed(small, texts, PLENTY, allow)
    assert {rule for _, rule, _ in plan.rejected} <= {"list:known"}
    assert len(plan.pieces) == plan.needed
    assert plan_listed(small, texts, plan.needed, allow) == plan
    bound = 0
    for text in set(texts):
        lacking = set(text) - {piece.piece for piece in small.pieces}
        bound += max(0, len(text) - 1) + len(lacking)
    assert plan.needed <= bound
    for piece in plan.pieces:
        assert any(map(is_cjk_only, piece.text)), "a step must not change English"


def test_a_shared_beginning_is_paid_once(small: ModelProto) -> None:
    plan = plan_listed(small, ["中华人民共和国", "中华人民国"], PLENTY, allow)
    assert [(piece.text, piece.kind) for piece in plan.pieces] == [
        ("中华人民", "step"),
        ("中华人民共和", "step"),
        ("中华人民共和国", "list"),
        ("中华人民国", "list"),
    ]
    assert plan_listed(small, ["中华人民共和国"], PLENTY, allow).needed == 3


def test_a_step_is_the_pair_that_serves_most(small: ModelProto) -> None:
    plan = plan_listed(small, ["国中华人民", "中华人民意"], PLENTY, allow)
    assert [piece.text for piece in plan.pieces] == ["中华人民", "国中华人民", "中华人民意"]
    plan = plan_listed(small, ["国中华人民", "中华人民"], PLENTY, allow)
    assert [(piece.text, piece.kind) for piece in plan.pieces] == [
        ("中华人民", "list"),
        ("国中华人民", "list"),
    ]
    plan = plan_listed(small, ["国中国"], PLENTY, allow)
    assert [piece.text for piece in plan.pieces] == ["国中", "国中国"], "the first of equals"


def test_a_listed_part_is_no_step(small: ModelProto) -> None:
    plan = plan_listed(small, ["中华人民", "人民共和"], PLENTY, allow)
    more = plan_listed(small, ["中华人民国", "中华人民"], PLENTY, allow)
    assert [(piece.text, piece.kind) for piece in more.pieces] == [
        ("中华人民", "list"),
        ("中华人民国", "list"),
    ]
    assert [piece.kind for piece in plan.pieces].count("list") == 2


def test_a_missing_character_costs_a_place(small: ModelProto) -> None:
    plan = plan_listed(small, ["鼴龘"], PLENTY, allow)
    assert [(piece.text, piece.kind) for piece in plan.pieces] == [
        ("鼴", "step"),
        ("龘", "step"),
        ("鼴龘", "list"),
    ]
    assert plan_listed(small, ["龘"], PLENTY, allow).needed == 1


def test_the_budget_is_kept_in_the_order_of_the_list(small: ModelProto) -> None:
    plan = plan_listed(small, ["鼴龘", "意大利", "国中"], 4, allow)
    assert [piece.text for piece in plan.pieces] == ["鼴", "龘", "鼴龘", "意大利"]
    assert [(text, rule) for text, rule, _ in plan.rejected] == [("国中", "list:no-place")]
    assert plan.needed == 5 and "needs 5 places, there are 4" in plan.rejected[0][2]
    assert plan_listed(small, ["鼴龘"], 2, allow).pieces == []


def test_what_the_filter_leaves_out_is_neither_piece_nor_step(small: ModelProto) -> None:
    plan = plan_listed(small, ["加微信", "国国国"], PLENTY, Filter().judge)
    assert [(text, rule) for text, rule, _ in plan.rejected] == [("加微信", "list:advertising")]
    nothing = plan_listed(
        small, ["国国国"], PLENTY, lambda text: Verdict("pattern", "") if text == "国国" else None
    )
    assert nothing.pieces == [] and nothing.rejected[0][1] == "list:unreachable"


def test_what_is_there_or_would_change_english_is_said(small: ModelProto) -> None:
    plan = plan_listed(small, ["中华", "hello", "国", "国"], PLENTY, allow)
    assert plan.pieces == []
    assert [(text, rule) for text, rule, _ in plan.rejected] == [
        ("hello", "list:no-cjk"),
        ("中华", "list:known"),
        ("国", "list:known"),
    ]


def test_a_dead_piece_of_the_base_is_not_added_again(base: ModelProto) -> None:
    model = append_pieces(base, ["意大利"])
    plan = plan_listed(model, ["意大利"], PLENTY, allow)
    assert plan.pieces == [] and plan.rejected[0][:2] == ("意大利", "list:dead")


def test_a_user_defined_piece_in_between_is_found(small: ModelProto) -> None:
    model = type(small)()
    model.CopyFrom(small)
    model.pieces.add(piece="大国", score=0.0, type=int(PieceType.USER_DEFINED))
    plan = plan_listed(model, ["意大国利", "利意"], PLENTY, allow)
    dead = find_unreachable(apply(model, plan), len(model.pieces))
    assert dead == []
    assert "利意" in {piece.text for piece in plan.pieces}


SHARED = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published tokenizers are not here")
def test_the_words_of_a_published_vocabulary_become_alive(base: ModelProto) -> None:
    """657 of these are dead in the vocabulary they come from."""
    from tokenizer.learning.lists import read_lists

    known = {piece.piece for piece in base.pieces}
    path = SHARED / "chinese-llama2-55296" / "tokenizer.model"
    taken, _ = read_lists([path], known, max_piece_length=16)
    plan = plan_listed(base, [entry.text for entry in taken], 30_000, Filter().judge)
    texts = {piece.text for piece in plan.pieces if piece.kind == "list"}
    assert {"意大利", "西班牙", "新加坡", "越来越"} <= texts
    assert find_unreachable(apply(base, plan), len(base.pieces)) == []
    assert len(texts) + len(plan.rejected) == len(taken)
