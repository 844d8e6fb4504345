"""Each rule of lint finds exactly the defect that was planted, and nothing in our vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tokenizer.planting import (
    ENGLISH,
    OF_THE_BASE,
    Edit,
    N,
    add,
    copy,
    find,
    list_found,
    shrink,
)
from tokenizer.lint import Report, lint_model
from tokenizer.lint.rules import RULES
from tokenizer.lint.sizes import describe_parallel
from tokenizer.merge import append_pieces
from tokenizer.model import SPACE, ModelProto, PieceType

CHINESE = ["你好，世界！\n意大利的 quick 机器学习"]
Lint = Callable[..., Report]


@pytest.fixture(scope="module")
def small(base: ModelProto) -> ModelProto:
    """A base of about 3,000 pieces, one short of a multiple of 8."""
    return shrink(base)


@pytest.fixture
def lint(small: ModelProto, tmp_path: Path) -> Lint:
    """Lint the small base with an edit, against the small base."""

    def run(edit: Edit, texts: list[str] | None = None, **options: Any) -> Report:
        paths = [tmp_path / name for name in ("tokenizer.model", "base.model")]
        for path, model in zip(paths, (copy(small), small), strict=True):
            if path is paths[0]:
                edit(model)
            path.write_bytes(model.SerializeToString())
        return lint_model(paths[0], base=paths[1], texts=texts or [], **options)

    return run


def test_nothing_is_found_in_our_vocabulary(vocabulary: Path, base_path: Path) -> None:
    texts = [*ENGLISH, *CHINESE]
    report = lint_model(vocabulary, base=base_path, texts=texts)
    # ▁X is learned where Chinese follows Latin text, which the planted corpus has.
    assert list_found(report) == {"specials": "note", "prefixes": "note"}
    assert set(report.skipped) == {"config"}
    assert (report.size, report.base_size, report.kind) == (32_160, 32_000, "BPE")
    assert (report.lines, report.changed_lines, report.changed) == (3, 0, ())
    assert not report.find("fast").examples[0].startswith("tokenizer.json made")


def test_nothing_but_facts_is_found_in_an_unchanged_base(lint: Lint) -> None:
    report = lint(lambda model: None, ENGLISH, tensor_parallel=(1,))
    assert list_found(report) == {"specials": "note"}


def test_base_alone_has_notes_only(base_path: Path) -> None:
    report = lint_model(base_path)
    assert list_found(report) == dict.fromkeys(OF_THE_BASE - {"parallel"}, "note")
    assert report.find("ties").count == 14


HF_ONLY = {"fast": "warning"}
"""Hugging Face spells a character that has no piece in bytes before it merges."""

PLANTED: dict[str, tuple[Edit, dict[str, str], str]] = {
    "dead piece": (add("意大利"), {"unreachable": "error"}, f"{N} 意大利"),
    "duplicate": (
        add("the"),
        {"loading": "error", "duplicates": "error"},
        f"{N} the: also",
    ),
    "added tie": (
        lambda model: [add("人民", -40_000.0)(model), add("中国", -40_000.0)(model)],
        {"ties": "warning"},
        "2 merges with the score -40,000",
    ),
    "log probability": (add("中国", -40_000.5), {"poured": "warning"}, f"{N} 中国 (-40000.5)"),
    "score 0": (
        lambda model: [add("人民", 0.0)(model), add("中国", 0.0)(model)],
        {"poured": "warning", "ties": "warning", "overtaking": "warning"},
        "2 merges with a score of 0",
    ),
    "overtaking": (add("中国", -1.0), {"overtaking": "warning"}, f"{N} 中国 (-1)"),
    "whole before its parts": (
        lambda model: [add("中国", -50_000.0)(model), add("中国民", -40_000.0)(model)],
        {"order": "note"},
        f"{N + 1} 中国民: -40000 before its parts 中国 -50000",
    ),
    "space inside": (
        lambda model: [add("国▁", -40_000.0)(model), add("国▁人", -40_001.0)(model)],
        {"inner-spaces": "note"},
        f"{N} 国▁",
    ),
    "dummy prefix": (add("▁国"), {"prefixes": "note"}, f"{N} ▁国"),
    "control character": (add("国\x07"), {"characters": "warning"}, "U+0007 control"),
    "private use": (add("\ue123"), {"characters": "warning"}, "U+E123 private use"),
    "unassigned": (add("\U000e0fff"), {"characters": "warning"}, "U+E0FFF unassigned"),
    "zero width": (add("国\u2060"), {"characters": "warning", **HF_ONLY}, "U+2060 zero-width"),
    "replacement": (add("国\ufffd"), {"characters": "warning", **HF_ONLY}, "U+FFFD replacement"),
    "mixed scripts": (add("国a"), {"mixed-scripts": "note"}, f"{N} 国a"),
    "full width": (add("Ｑ"), {"normal-forms": "note"}, f"{N} Ｑ (U+FF31)"),
    "canonical twin": (add("\u037e"), {"normal-forms": "warning"}, "(U+037E)"),
    "special as text": (
        add("<pad>"),
        {"unreachable": "error", "specials-as-text": "warning"},
        f"{N} <pad>: no text gives it",
    ),
    "declared size": (
        lambda model: setattr(model.trainer_spec, "vocab_size", 7),
        {"declared-size": "note"},
        "trainer_spec.vocab_size = 7",
    ),
    "no end": (
        lambda model: setattr(model.pieces[2], "type", int(PieceType.UNUSED)),
        {"specials": "warning", "base-ids": "error"},
        "eos: 2 </s> is there as UNUSED",
    ),
    "missing byte": (
        lambda model: setattr(model.pieces[3], "type", int(PieceType.UNUSED)),
        {"bytes": "error", "base-ids": "error", "loading": "error"},
        "missing: <0x00>",
    ),
    "size": (lambda model: None, {}, "TP 2: 1 short of equal shares"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_defect_is_found_and_nothing_else(lint: Lint, name: str) -> None:
    edit, wanted, words = PLANTED[name]
    report = lint(edit)
    found = list_found(report)
    found.pop("parallel", None)
    assert found == {"specials": "note", **wanted}
    examples = [line for each in report.findings for line in each.examples]
    assert any(words in line for line in examples), examples


def test_dead_pieces_of_the_base_are_not_laid_to_our_door(
    small: ModelProto, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("base.model", "extended.model")]
    before = append_pieces(small, ["意大利"])
    after = append_pieces(before, ["中国"])
    for path, model in zip(paths, (before, after), strict=True):
        path.write_bytes(model.SerializeToString())
    finding = lint_model(paths[1], base=paths[0]).find("unreachable")
    assert (finding.severity, finding.count) == ("note", 1)
    assert finding.examples[1].endswith("(dead in the base, too)")


def test_a_piece_that_kills_one_of_the_base_is_found(lint: Lint) -> None:
    finding = lint(add("rea", 1.0)).find("unreachable")
    assert finding.severity == "error"
    assert any(line.endswith("(alive in the base)") for line in finding.examples)


def test_every_changed_id_of_the_base_is_listed(lint: Lint) -> None:
    def edit(model: ModelProto) -> None:
        find(model, "lo").score = -7.5
        model.pieces[1_300].piece = "龘龘"
        model.pieces[301].type = int(PieceType.USER_DEFINED)
        del model.pieces[N - 2 :]

    examples = lint(edit).find("base-ids").examples
    assert [line.split()[0] for line in examples] == sorted(
        (line.split()[0] for line in examples), key=int
    )
    assert len(examples) == 5 and examples[-1].startswith(f"{N - 1} ") and "gone" in examples[-1]
    assert any("-> 龘龘" in line for line in examples)
    assert any("NORMAL -> USER_DEFINED" in line for line in examples)
    assert any("lo: score" in line and "-> -7.5" in line for line in examples)


def test_changed_text_is_shown_side_by_side(lint: Lint) -> None:
    texts = ["say a real thing\nnothing\n你real", "real"]
    report = lint(add("rea", 1.0), texts)
    assert (report.lines, report.changed_lines) == (3, 2)
    assert report.find("base-text").count == 2 and report.worst == "error"
    first = report.changed[0]
    assert first.text == " say a real thing"
    assert "".join(first.base) == "".join(first.extended) == "▁say▁a▁real▁thing"
    assert first.base != first.extended and "▁real" in first.base


def test_a_long_changed_line_is_cut_to_the_place(lint: Lint) -> None:
    line = "one two three " * 3_000 + "real " + "four five " * 3_000
    change = lint(add("rea", 1.0), [line]).changed[0]
    assert "real" in change.text and len(change.text) < 100
    assert len(change.base) < 20 and len(change.extended) < 20


def test_ids_that_moved_alone_are_no_changed_text(lint: Lint, small: ModelProto) -> None:
    def edit(model: ModelProto) -> None:
        one, two = model.pieces[1_000], model.pieces[1_001]
        one.piece, two.piece = two.piece, one.piece
        one.score, two.score = two.score, one.score

    words = [small.pieces[number].piece.replace(SPACE, " ") for number in (1_000, 1_001)]
    report = lint(edit, words)
    assert report.find("base-ids").count == 2
    assert (report.lines, report.changed_lines) == (2, 0)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda spec: setattr(spec, "add_dummy_prefix", False),
            "add_dummy_prefix: True in the base",
        ),
        (lambda spec: setattr(spec, "remove_extra_whitespaces", True), "remove_extra_whitespaces"),
        (lambda spec: setattr(spec, "escape_whitespaces", False), "escape_whitespaces"),
    ],
)
def test_another_normaliser_is_an_error(lint: Lint, edit: Edit, words: str) -> None:
    report = lint(lambda model: edit(model.normalizer_spec), ENGLISH)
    finding = report.find("normaliser")
    assert (finding.severity, finding.count) == ("error", 1)
    assert words in finding.examples[0]


def test_another_name_of_the_normaliser_is_a_note(lint: Lint) -> None:
    report = lint(lambda model: setattr(model.normalizer_spec, "name", "other"))
    assert list_found(report)["normaliser"] == "note"


def test_text_that_does_not_come_back_is_counted(lint: Lint) -> None:
    report = lint(lambda m: setattr(m.normalizer_spec, "remove_extra_whitespaces", True), ENGLISH)
    finding = report.find("text-is-kept")
    assert (finding.severity, finding.count) == ("warning", 1)
    assert any("And a second  line -> And a second line" in line for line in finding.examples)


def test_parallel_sizes_are_those_of_the_published_vocabulary() -> None:
    assert "4,319 rows each" in describe_parallel(69_104, 16)
    assert describe_parallel(69_104, 1).endswith("multiple of 128: 69,120 rows, 16 unused")
    assert "16 short of equal shares" in describe_parallel(69_104, 32)


def test_asked_parallel_sizes_decide(lint: Lint) -> None:
    report = lint(lambda model: None, tensor_parallel=(N, 2, 512))
    finding = report.find("parallel")
    assert (finding.severity, finding.count) == ("note", 2)


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
