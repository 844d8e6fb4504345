"""Rules about scores: in a BPE model they are the order of merges and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizer.lint.finding import Found
from tokenizer.lint.subject import Subject, is_blank, show_text
from tokenizer.model import PieceType


def check_ties(subject: Subject) -> Found:
    """Merges with equal scores: which one comes first depends on the place in the text.

    Pieces of spaces alone are a note: LLaMA-2 and Mistral have 15 of them at -10^9.
    """
    groups: dict[float, list[int]] = {}
    for number in subject.merge_ids:
        groups.setdefault(subject.model.pieces[number].score, []).append(number)
    tied = [g for g in groups.values() if len(g) > 1 and any(n in subject.added for n in g)]
    tied.sort(key=len, reverse=True)
    lines = [_show_tie(subject, group) for group in tied]
    harmless = all(is_blank(subject.text(number)) for group in tied for number in group)
    return Found(sum(map(len, tied)), lines, "note" if harmless else None)


def _show_tie(subject: Subject, group: Sequence[int]) -> str:
    score = subject.model.pieces[group[0]].score
    shown = ", ".join(subject.show(number) for number in group[:6])
    more = ", ..." if len(group) > 6 else ""
    return f"{len(group):,} merges with the score {score:,.10g}: {shown}{more}"


def check_poured(subject: Subject) -> Found:
    """Scores that no BPE training gives: log probabilities, or the 0 of a merge script."""
    mine = [number for number in subject.merge_ids if number in subject.added]
    scores = {number: subject.model.pieces[number].score for number in mine}
    fractions = [number for number, score in scores.items() if score != int(score)]
    heads = [number for number, score in scores.items() if score >= 0]
    heads = heads if len(heads) > 1 else []
    kinds = (
        (fractions, "with a score that is no whole number, as a unigram model's log probability"),
        (heads, "with a score of 0 or more, as scripts append them"),
    )
    lines = [
        f"{len(found):,} merges {words}: {_show_scores(subject, found)}"
        for found, words in kinds
        if found
    ]
    return Found(len({*fractions, *heads}), lines)


def _show_scores(subject: Subject, found: Sequence[int]) -> str:
    pieces = subject.model.pieces
    return ", ".join(f"{subject.show(n)} ({pieces[n].score:.6g})" for n in found[:6])


def check_overtaking(subject: Subject) -> Found:
    """Added merges that come before merges of the base."""
    base = subject.base
    assert base is not None
    lowest = min(
        (p.score for p in base.pieces if p.type == PieceType.NORMAL and not is_blank(p.piece)),
        default=0.0,
    )
    mine = [number for number in subject.merge_ids if number in subject.added]
    early = [number for number in mine if subject.model.pieces[number].score >= lowest]
    head = f"the base's last merge has the score {lowest:,.10g}; before it come"
    lines = [f"{head} {_show_scores(subject, early)}"] if early else []
    return Found(len(early), lines)


def check_order(subject: Subject) -> Found:
    """Merges of which no two parts were merged before: not the order a BPE training leaves."""
    scores = {p.piece: p.score for p in subject.model.pieces if p.type == PieceType.NORMAL}
    found: list[str] = []
    for number in subject.merge_ids:
        text = subject.text(number)
        if number in subject.added and not is_blank(text) and _is_out_of_order(text, scores):
            found.append(f"{subject.show(number)}: {_show_parts(text, scores)}")
    return Found(len(found), found)


def _is_out_of_order(text: str, scores: dict[str, float]) -> bool:
    own, worst = scores[text], [_rate_cut(text, cut, scores) for cut in range(1, len(text))]
    known = [score for score in worst if score is not None]
    return bool(known) and all(score < own for score in known)


def _rate_cut(text: str, cut: int, scores: dict[str, float]) -> float | None:
    """The lower score of two parts; None where one of them is no piece."""
    parts = (text[:cut], text[cut:])
    if any(len(part) > 1 and part not in scores for part in parts):
        return None
    return min((scores[part] for part in parts if len(part) > 1), default=float("inf"))


def _show_parts(text: str, scores: dict[str, float]) -> str:
    cuts = [cut for cut in range(1, len(text)) if _rate_cut(text, cut, scores) is not None]
    parts = (part for cut in cuts[:2] for part in (text[:cut], text[cut:]) if len(part) > 1)
    listed = ", ".join(f"{show_text(part)} {scores[part]:.6g}" for part in dict.fromkeys(parts))
    return f"{scores[text]:.6g} before its parts {listed}"
