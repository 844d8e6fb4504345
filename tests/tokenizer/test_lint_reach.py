"""A piece is called dead exactly when no text is encoded with it: against all short texts."""

from __future__ import annotations

import io
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2 as schema

from tokenizer.lint.charsmap import read_charsmap
from tokenizer.lint.proof import find_unreachable
from tokenizer.lint.reach import find_dead
from tokenizer.model import ModelProto, PieceType, parse_model

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"
RULES = {"c": "a", "ab": "b", "d": "ab", "e": "", "f": "xa", "bb": "y", "g": " "}
KINDS = st.sampled_from([PieceType.NORMAL] * 6 + [PieceType.USER_DEFINED, PieceType.UNUSED])
SCORES = st.integers(-4, 0).map(float)


def make_model(
    pieces: dict[str, tuple[float, int]], *, rules: bytes = b"", **normaliser: bool
) -> ModelProto:
    """A BPE model of these pieces: text -> (score, type); ids follow the unknown piece's 0."""
    model: Any = schema.ModelProto()  # pyright: ignore[reportAttributeAccessIssue]
    model.trainer_spec.model_type = 2
    spec = model.normalizer_spec
    spec.precompiled_charsmap = rules
    spec.add_dummy_prefix = spec.remove_extra_whitespaces = False
    for name, value in normaliser.items():
        setattr(spec, name, value)
    model.pieces.add(piece="<unk>", score=0, type=int(PieceType.UNKNOWN))
    for text, (score, kind) in pieces.items():
        model.pieces.add(piece=text, score=score, type=int(kind))
    return model


def list_pieces(letters: str, longest: int) -> st.SearchStrategy[dict[str, tuple[float, int]]]:
    texts = st.text(st.sampled_from(letters), min_size=1, max_size=longest)
    return st.dictionaries(texts, st.tuples(SCORES, KINDS), min_size=1, max_size=14)


def find_by_force(model: ModelProto, letters: str, longest: int) -> set[int]:
    """The normal and user-defined pieces that none of all texts up to a length is encoded with."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    seen = {each for ids in processor.encode(list_texts(letters, longest)) for each in ids}
    kinds = (PieceType.NORMAL, PieceType.USER_DEFINED)
    return {n for n, piece in enumerate(model.pieces) if piece.type in kinds and n not in seen}


@cache
def list_texts(letters: str, longest: int) -> list[str]:
    return [
        "".join(text) for size in range(1, longest + 1) for text in product(letters, repeat=size)
    ]


@settings(max_examples=100, deadline=None)
@given(pieces=list_pieces("ab▁", 4), prefix=st.booleans(), escape=st.booleans())
def test_dead_is_what_no_short_text_is_encoded_with(
    pieces: dict[str, tuple[float, int]], prefix: bool, escape: bool
) -> None:
    model = make_model(pieces, add_dummy_prefix=prefix, escape_whitespaces=escape)
    found = find_dead(model)
    assert {each.id for each in found} == find_by_force(model, "abx▁", 6)
    assert all(each.proven for each in found)


@settings(max_examples=60, deadline=None)
@given(pieces=list_pieces("aab", 5))
def test_runs_and_ties_are_no_exception(pieces: dict[str, tuple[float, int]]) -> None:
    pieces = {text: (float(len(text) > 2), kind) for text, (_, kind) in pieces.items()}
    model = make_model(pieces)
    assert {each.id for each in find_dead(model)} == find_by_force(model, "abx", 8)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_rules(RULES, tmp_path_factory.mktemp("rules"))


def compile_rules(rules: dict[str, str], folder: Path) -> bytes:
    """Rules as SentencePiece compiles them."""
    lines = [f"{_write_codes(old)}\t{_write_codes(new)}\n" for old, new in rules.items()]
    path = folder / "rules.tsv"
    path.write_text("".join(lines), encoding="utf-8")
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["x y z"] * 9),
        model_writer=writer,
        vocab_size=12,
        model_type="char",
        hard_vocab_limit=False,
        normalization_rule_tsv=str(path),
        minloglevel=2,
    )
    model: Any = schema.ModelProto()  # pyright: ignore[reportAttributeAccessIssue]
    model.ParseFromString(writer.getvalue())
    return model.normalizer_spec.precompiled_charsmap


def _write_codes(text: str) -> str:
    return " ".join(f"{ord(letter):X}" for letter in text)


def test_rules_are_read_as_they_were_written(rules: bytes) -> None:
    assert read_charsmap(rules).rules == RULES
    assert read_charsmap(b"").rules == {}
    with pytest.raises(ValueError, match="broken"):
        read_charsmap(b"\x07\0\0\0\0")


@settings(max_examples=60, deadline=None)
@given(pieces=list_pieces("abxy▁", 3), prefix=st.booleans(), remove=st.booleans())
def test_a_normaliser_shuts_out_exactly_what_no_short_text_brings(
    rules: bytes, pieces: dict[str, tuple[float, int]], prefix: bool, remove: bool
) -> None:
    model = make_model(
        pieces,
        rules=rules,
        add_dummy_prefix=prefix,
        remove_extra_whitespaces=remove,
    )
    found = find_dead(model)
    by_force = find_by_force(model, "abcdefgxyz▁", 4)
    held = PieceType.USER_DEFINED in {piece.type for piece in model.pieces}
    assert {each.id for each in found if each.proven or not held} <= by_force
    # One letter needs at most three; a longer piece may need more, and has a witness then.
    letters = {number for number in by_force if len(model.pieces[number].piece) == 1}
    assert letters <= {each.id for each in found}


@pytest.mark.parametrize(
    ("pieces", "piece", "cause"),
    [
        ({"abc": (-1, 1)}, "abc", "split"),
        ({"abc": (-1, 1), "abcd": (-2, 1)}, "abcd", "parts"),
        ({"ab": (-1, 1), "cd": (-1, 1), "bc": (0, 1), "abcd": (-5, 1)}, "abcd", "order"),
        ({"b": (0, 4), "ab": (-1, 1)}, "ab", "user-defined"),
        ({"a b": (0, 4)}, "a b", "normaliser"),
        ({"\0": (0, 1)}, "\0", "null"),
    ],
)
def test_a_dead_piece_has_its_cause(
    pieces: dict[str, tuple[float, int]], piece: str, cause: str
) -> None:
    causes = {each.piece: each.cause for each in find_dead(make_model(pieces))}
    assert causes[piece] == cause


def test_what_the_normaliser_always_replaces_is_proven_dead(rules: bytes) -> None:
    pieces = {"c": (0.0, 1), "a": (0.0, 1), "ab": (-1.0, 1)}
    found = find_dead(make_model(pieces, rules=rules))
    assert [(each.piece, each.cause, each.proven) for each in found] == [("c", "normaliser", True)]


@pytest.mark.parametrize(
    ("rules", "alive", "dead", "unproven"),
    [
        # Nothing parts a from b; only what is deleted does.
        ({"ab": "c"}, "", "", "ab"),
        ({"ab": "c", "e": ""}, "ab", "", ""),
        ({"ab": "b"}, "ab", "", ""),  # aab
        # No letter stays, but d writes them: its beginning, its end and what is between.
        ({"x": "q", "y": "q", "z": "q", "d": "xyz"}, "x y z xy yz", "yx xz", ""),
        ({"x": "q", "y": "q", "z": "q"}, "q", "x y z", ""),
    ],
)
def test_texts_that_rules_turn_into_a_piece_are_found(
    tmp_path: Path, rules: dict[str, str], alive: str, dead: str, unproven: str
) -> None:
    compiled = compile_rules(rules, tmp_path)
    models = (
        make_model({piece: (-1.0, 1)}, rules=compiled)
        for piece in f"{alive} {dead} {unproven}".split()
    )
    found = [each for model in models for each in find_dead(model)]
    assert {each.piece for each in found if each.proven} == set(dead.split())
    assert {each.piece for each in found if not each.proven} == set(unproven.split())


def test_unigram_pieces_that_others_undercut_are_found() -> None:
    model = make_model({"a": (-1, 1), "b": (-1, 1), "ab": (-3, 1), "ba": (-1.5, 1)})
    model.trainer_spec.model_type = 1
    assert [(each.piece, each.cause) for each in find_dead(model)] == [("ab", "cheaper")]


@pytest.mark.skipif(not SHARED.exists(), reason="published tokenizers not present")
@pytest.mark.parametrize(
    ("name", "dead", "added"),
    [
        ("chinese-llama2-55296/tokenizer.model", 658, 657),
        ("llama2/tokenizer.model", 0, 0),
        ("mistral-v1/tokenizer.model.v1", 0, 0),
        ("baichuan-7b/tokenizer.model", 350, 0),
        ("chatglm2/tokenizer.model", 1, 1),
        ("internlm-7b/V7_sft.model", 41, 33),
    ],
)
def test_dead_pieces_of_published_vocabularies(name: str, dead: int, added: int) -> None:
    found = find_unreachable(parse_model(SHARED / name))
    assert (len(found), sum(number >= 32_000 for number in found)) == (dead, added)
