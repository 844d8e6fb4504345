"""Pieces are chosen by what they save in many sources; what is kept can be produced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenizer.export import write_tokenizer_json
from tokenizer.learning.build import build_pieces
from tokenizer.learning.characters import make_kinds
from tokenizer.learning.choose import choose_pieces, find_lost
from tokenizer.learning.filter import Filter, Verdict
from tokenizer.learning.learn import Limits, learn_candidates
from tokenizer.learning.runs import RunCounter
from tokenizer.learning.sources import Source, join_runs
from tokenizer.learning.usage import count_uses, split_runs
from tokenizer.merge import append_pieces
from tokenizer.model import SPACE, ModelProto
from tongwen.recipe import Tokenizer

KINDS = make_kinds(punctuation=True, spaces=True)
WORDS = ("機器", "機器學習", "鼴鼠", "饕餮", "龘", "齉鼻", "，饕", "學習機", "鼠")
LIMITS = Limits(character_coverage=1.0, min_count=1000)


@pytest.fixture(scope="module")
def base(base: ModelProto) -> ModelProto:
    """The base with its characters alone, because every question opens a model."""
    small = type(base)()
    small.CopyFrom(base)
    del small.pieces[:]
    small.pieces.extend(base.pieces[:259])
    small.pieces.extend(piece for piece in base.pieces[259:] if len(piece.piece) == 1)
    return small


def make_source(name: str, texts: Mapping[str, int]) -> Source:
    counter = RunCounter(KINDS)
    for text, weight in texts.items():
        counter.add([text], 1000 * weight)
    return Source(name, counter.finish())


sources_of_words = st.lists(
    st.dictionaries(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(lambda words: "".join(words)),
        st.integers(1, 9),
        min_size=2,
        max_size=12,
    ),
    min_size=1,
    max_size=3,
).map(lambda texts: [make_source(str(number), each) for number, each in enumerate(texts)])


def learn(base: ModelProto, sources: list[Source], number: int = 60) -> list[str]:
    found = learn_candidates(join_runs(sources), base, KINDS, number, LIMITS)
    return [piece.text for piece in found]


def test_uses_are_the_tokens_that_sentencepiece_makes(base: ModelProto) -> None:
    sources = [make_source("a", {"用 機器學習，鼴鼠": 3, "龘龘": 1}), make_source("b", {"機器": 2})]
    model = append_pieces(base, learn(base, sources, 12))
    plain = type(model)()
    plain.CopyFrom(model)
    plain.normalizer_spec.add_dummy_prefix = False
    processor = sentencepiece.SentencePieceProcessor(model_proto=plain.SerializeToString())
    for row, source in zip(count_uses(model, sources), sources, strict=True):
        expected: Counter[int] = Counter()
        for texts, weights in split_runs(source.runs):
            for text, weight in zip(texts.to_pylist(), weights.tolist(), strict=True):
                expected.update(dict.fromkeys(processor.encode(text), 0))
                for token in processor.encode(text):
                    expected[token] += weight
        assert {token: row[token] for token in np.flatnonzero(row).tolist()} == expected


def test_of_two_pieces_used_alike_the_one_of_more_sources_stays(base: ModelProto) -> None:
    texts = [{"貔貅": 10, "饕餮": 20, "龘": 40}, {"貔貅": 10, "龘": 70}]
    sources = [make_source(str(number), each) for number, each in enumerate(texts)]
    assert [source.size for source in sources] == [170_000, 170_000]
    for merges in (["貔貅", "饕餮"], ["饕餮", "貔貅"]):
        candidates = [*"貔貅饕餮龘", *merges]
        choice = choose_pieces(base, candidates, sources, 6, agreement=0.5)
        assert choice.dropped == ["饕餮"]


def test_a_source_of_its_own_kind_decides_with_the_plain_mean(base: ModelProto) -> None:
    texts = [{"貔貅": 10, "饕餮": 25, "龘": 30}, {"貔貅": 10, "龘": 80}]
    sources = [make_source(str(number), each) for number, each in enumerate(texts)]
    candidates = [*"貔貅饕餮龘", "饕餮", "貔貅"]
    assert choose_pieces(base, candidates, sources, 6, agreement=1.0).dropped == ["貔貅"]
    assert choose_pieces(base, candidates, sources, 6, agreement=0.3).dropped == ["饕餮"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sources=sources_of_words, number=st.integers(1, 24), agreement=st.floats(0.2, 1))
def test_what_is_kept_can_be_produced_and_the_number_is_met(
    base: ModelProto, sources: list[Source], number: int, agreement: float
) -> None:
    candidates = learn(base, sources)
    choice = choose_pieces(base, candidates, sources, number, agreement=agreement)
    assert len(choice.kept) == min(number, len(candidates) - len(choice.dead))
    assert choice.kept == [text for text in candidates if text in {*choice.kept}]
    assert find_lost(base, choice.kept) == set()
    everything = [*choice.kept, *choice.dropped, *choice.dead]
    assert sorted(everything) == sorted(candidates)


def test_protected_pieces_and_what_they_are_made_of_stay(base: ModelProto) -> None:
    sources = [make_source("a", {"機器學習": 1, "鼴鼠饕餮": 500})]
    candidates = [*"機器學習鼴鼠饕餮", "機器", "學習", "鼴鼠", "饕餮", "機器學習"]
    known = {piece.piece for piece in base.pieces}
    candidates = [text for text in candidates if text not in known]
    choice = choose_pieces(
        base, candidates, sources, len(candidates) - 2, protected=frozenset({"機器學習"})
    )
    assert "機器學習" in choice.kept and find_lost(base, choice.kept) == set()
    assert "機器學習" not in choose_pieces(base, candidates, sources, len(candidates) - 2).kept


def test_a_piece_of_a_character_that_is_none_is_lost(base: ModelProto) -> None:
    assert find_lost(base, ["龘", "龘饕"]) == {"龘饕"}
    assert find_lost(base, ["龘", "饕", "龘饕"]) == set()


def build(base: ModelProto, places: int, **keys: object):
    texts = {f"{a}{b}": 2 + number for number, a in enumerate(WORDS) for b in WORDS}
    sources = [
        make_source("one", texts),
        make_source("two", {"用 GPT 的機器學習，在 A 的": 9, "饕餮在 B 的": 7}),
    ]
    judge = keys.pop("judge", Filter().judge)
    listed = keys.pop("listed", ())
    section = Tokenizer.model_validate(
        {"base": "x", "size": len(base.pieces) + places, "character_coverage": 1.0, **keys}
    )
    return build_pieces(base, sources, KINDS, section, judge, listed)  # pyright: ignore


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_the_size_is_met_and_every_piece_lives(base: ModelProto, rounds: int) -> None:
    built = build(base, 24, rounds=rounds)
    texts = [piece.text for piece in built.pieces]
    assert len(texts) == len(set(texts)) == 24 == len(built.uses)
    assert find_lost(base, texts) == set()
    assert built.rates[-1] < 2


def test_a_piece_begins_with_the_space_before_it_or_has_none(base: ModelProto) -> None:
    texts = [piece.text for piece in build(base, 40, rounds=0).pieces]
    assert any(text.startswith(SPACE) and len(text) > 1 for text in texts)
    assert all(SPACE not in text[1:] for text in texts)


def test_what_the_filter_objects_to_is_listed_and_not_learned(base: ModelProto) -> None:
    def judge(text: str) -> Verdict | None:
        return Verdict("denylist", "no moles") if "鼴" in text else None

    built = build(base, 24, judge=judge)
    assert not any("鼴" in piece.text for piece in built.pieces)
    rules = {row.piece: row.rule for row in built.left_out}
    assert rules["鼴"] == "denylist"
    texts = [piece.text for piece in built.pieces]
    assert find_lost(base, texts) == set()


@pytest.mark.parametrize("places", [8, 24])
def test_listed_pieces_take_their_places(base: ModelProto, places: int) -> None:
    listed = ["囍囍", "機器學習", "纛"]
    built = build(base, places, listed=listed)
    kinds = {piece.text: piece.kind for piece in built.pieces}
    assert len(built.pieces) == places and {*listed} <= kinds.keys()
    assert (kinds["囍囍"], kinds["囍"], kinds["纛"]) == ("list", "step", "list")
    assert find_lost(base, list(kinds)) == set()


def test_a_list_that_is_too_long_says_what_found_no_place(base: ModelProto) -> None:
    listed = [chr(0x9F00 + number) * 2 for number in range(12)]
    built = build(base, 6, listed=listed)
    missed = {row.piece for row in built.left_out if row.rule == "list:no-place"}
    taken = {piece.text for piece in built.pieces if piece.kind == "list"}
    assert len(built.pieces) == 6 and missed and missed | taken == {*listed}


def test_hugging_face_reads_the_chosen_pieces_alike(base: ModelProto, tmp_path: Path) -> None:
    """SentencePiece can merge characters that are no pieces; Hugging Face cannot."""
    texts = [piece.text for piece in build(base, 12, min_count=1).pieces]
    model = append_pieces(base, texts)
    write_tokenizer_json(model, tmp_path / "tokenizer.json")
    fast = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    for text in [*texts, *("".join(pair) for pair in pairwise(texts))]:
        plain = text.replace(SPACE, " ")
        assert fast.encode(plain, add_special_tokens=False).ids == processor.encode(plain)
