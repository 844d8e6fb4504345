"""Answers of `trace` and `forget` as rows and lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from buckets.lineage.forget import StageTakedown, Takedown
from buckets.lineage.trace import DocumentTrace, PositionTrace, Spot

VISIT_NAMES = (
    *("stage", "bucket", "sequence", "offset", "length", "epoch", "start", "iteration", "rank"),
    *("micro_batch", "place", "trained", "when"),
)
_FATES = {"trained": "yes", "seen": "in no checkpoint yet", "ahead": "no"}


def list_visits(trace: DocumentTrace) -> Iterator[tuple[Any, ...]]:
    """Rows of `VISIT_NAMES`."""
    for visit, spot in trace.visits:
        where = (visit.bucket, visit.sequence, visit.offset, visit.length)
        turn = (spot.iteration, spot.rank, spot.micro_batch, spot.place)
        fate = (_FATES[spot.fate], spot.when)
        yield spot.stage, *where, visit.epoch, visit.start, *turn, *fate


def list_facts(trace: PositionTrace) -> list[tuple[str, Any]]:
    """Names and values of what stands at a position."""
    return [*_list_place(trace.spot, trace.position), *_list_token(trace), *_list_document(trace)]


def _list_place(spot: Spot, position: int) -> list[tuple[str, Any]]:
    names = ("stage", "iteration", "rank", "micro_batch", "place", "bucket", "sequence")
    known: list[tuple[str, Any]] = [(name, getattr(spot, name)) for name in names]
    return [*known, ("position", position), ("trained", _FATES[spot.fate]), ("when", spot.when)]


def _list_token(trace: PositionTrace) -> list[tuple[str, Any]]:
    names = ("token", "before", "text", "after", "learned")
    return [(name, getattr(trace, name)) for name in names]


def _list_document(trace: PositionTrace) -> list[tuple[str, Any]]:
    if trace.piece is None:
        return [("document", "none: padding")]
    names = ("origin", "category", "language", "bin", "epoch", "offset", "start", "length")
    known = [(name, getattr(trace.piece, name)) for name in names]
    gone = [f"{each.id} {each.origin} {each.kind} {each.jaccard:.3f}" for each in trace.duplicates]
    return [
        ("document", trace.piece.id),
        *known,
        ("document_token", trace.document_token),
        ("duplicates", gone),
        *trace.versions.items(),
    ]


def describe_takedown(takedown: Takedown) -> Iterator[str]:
    """What a takedown does, and what it does not reach, in lines."""
    for stage in takedown.stages:
        yield f"{stage.stage}: {_describe_stage(stage)}"
    for document, keepers in takedown.keepers.items():
        yield f"{document} is a duplicate; its like stays: {', '.join(keepers)}"
    yield "the text is still in"
    yield from (f"  {line}" for line in takedown.remaining)


def _describe_stage(stage: StageTakedown) -> str:
    if not stage.visits:
        return "not there"
    what = f"{len(stage.visits):,} pieces, {stage.tokens:,} tokens of buckets "
    what += ", ".join(map(str, stage.buckets))
    parts = []
    if stage.trained:
        parts.append(f"trained on in iterations {_join(stage.trained)} (by {stage.when})")
    if stage.seen:
        parts.append(f"read in iterations {_join(stage.seen)}, which no checkpoint has yet")
    return f"{what}; " + (", ".join(parts) if parts else "not trained on yet")


def _join(numbers: tuple[int, ...]) -> str:
    more = f" and {len(numbers) - 20:,} more" if len(numbers) > 20 else ""
    return ", ".join(map(str, numbers[:20])) + more
