"""A takedown: documents leave every stage's buckets and stay out of later ones.

First all is looked up and checked, then the ids are written to `forgotten.jsonl`, then stage after
stage is changed, each whole before or whole after.  A takedown that is killed is finished by asking
for it again.  What was trained on stays in the weights; when that was is said and recorded.

The price: the text stays in the input files and in the outputs that are listed; and an id that no
stage has is looked for in all documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import duckdb
import pyarrow.parquet as pq

from buckets.lineage.erase import Filling, erase_pieces
from buckets.lineage.forgotten import add_forgotten, read_forgotten
from buckets.lineage.stage import Visit
from buckets.lineage.trace import Lineage
from tongwen.amend import amend_output
from tongwen.errors import TongwenError

_SHOWN = 20


@dataclass(frozen=True)
class StageTakedown:
    """What a takedown does to a stage.

    Attributes:
        visits: the pieces that go.
        trained, seen: iterations (from 1) that had any: in the weights; done but in no checkpoint.
        when: of the newest checkpoint or the finished training; "" if nothing was trained on.
    """

    stage: str
    visits: tuple[Visit, ...]
    trained: tuple[int, ...]
    seen: tuple[int, ...]
    when: str

    @property
    def buckets(self) -> list[int]:
        """The buckets that are written anew."""
        return sorted({visit.bucket for visit in self.visits})

    @property
    def tokens(self) -> int:
        """That become padding."""
        return sum(visit.length for visit in self.visits)


@dataclass(frozen=True)
class Takedown:
    """What a takedown does.

    Attributes:
        ids: the documents, sorted, each once.
        keepers: of those among them that are duplicates: id -> documents that stay for it.
        remaining: outputs that still hold the text, or may.
    """

    ids: tuple[str, ...]
    stages: tuple[StageTakedown, ...]
    keepers: dict[str, tuple[str, ...]]
    remaining: tuple[str, ...]


def plan_takedown(lineage: Lineage, ids: Sequence[str]) -> Takedown:
    """Look everything up; nothing is changed.

    Raises:
        TongwenError: no id is given, one is not known, or is a held-out document.
    """
    wanted = tuple(sorted(set(ids)))
    if not wanted:
        raise TongwenError("no document is named", expected="ids of 32 hexadecimal digits")
    _refuse_held_out(lineage, wanted)
    stages = tuple(_plan_stage(lineage, name, wanted) for name in lineage.stages)
    placed = {visit.id for stage in stages for visit in stage.visits}
    placed |= set(read_forgotten(lineage.run).to_pylist())
    _refuse_unknown(lineage, [each for each in wanted if each not in placed])
    keepers = {each: lineage.find_keepers(each) for each in wanted}
    keepers = {each: tuple(k for k in found if k != each) for each, found in keepers.items()}
    return Takedown(
        wanted,
        stages,
        {each: found for each, found in keepers.items() if found},
        _list_remaining(lineage),
    )


def forget(lineage: Lineage, takedown: Takedown) -> None:
    """Do what `plan_takedown` found.

    Raises:
        TongwenError: a training reads the buckets, or another command changes them.
    """
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    add_forgotten(lineage.run, [_make_line(takedown, each, date) for each in takedown.ids])
    for stage in takedown.stages:
        if stage.visits:
            _change_stage(lineage, stage, takedown.ids, date)


def _change_stage(lineage: Lineage, stage: StageTakedown, ids: Sequence[str], date: str) -> None:
    name = f"buckets/{stage.stage}"
    record = lineage.run.record(name)
    assert record is not None
    erase = partial(
        erase_pieces,
        visits=stage.visits,
        filling=_find_filling(lineage, stage.stage),
        counts=record.counts,
    )
    there = {visit.id for visit in stage.visits}
    change = {
        "kind": "forget",
        "ids": [each for each in ids if each in there],
        "date": date,
        "buckets": stage.buckets,
        "pieces": len(stage.visits),
        "tokens": stage.tokens,
        "trained_iterations": list(stage.trained),
        "trained_when": stage.when,
    }
    amend_output(lineage.run.finished(name), erase, change=change)


def _find_filling(lineage: Lineage, stage: str) -> Filling:
    """The padding of a build: the vocabulary's end of document."""
    from tokenizer.model import parse_model

    chosen = next(each for each in lineage.recipe.stages if each.name == stage)
    folder = lineage.run.finished("tokenizer/vocabulary")
    folder = folder / "base" if chosen.vocabulary == "base" else folder
    model = parse_model(folder / "tokenizer.model")
    eos = model.trainer_spec.eos_id
    return Filling(int(eos), len(model.pieces))


def _plan_stage(lineage: Lineage, name: str, ids: Sequence[str]) -> StageTakedown:
    visits = tuple(lineage.stage(name).find_visits(ids))
    spots = [lineage.find_spot(name, visit.bucket, visit.sequence) for visit in visits]
    trained = sorted({spot.iteration for spot in spots if spot.fate == "trained"})
    seen = sorted({spot.iteration for spot in spots if spot.fate == "seen"})
    when = lineage.training(name).when if trained else ""
    return StageTakedown(name, visits, tuple(trained), tuple(seen), when)


def _refuse_held_out(lineage: Lineage, ids: Sequence[str]) -> None:
    path = lineage.run.path("buckets/held_out") / "held_out.parquet"
    held = set(pq.read_table(path, columns=["id"])["id"].to_pylist()) if path.exists() else set()
    found = [each for each in ids if each in held]
    if found:
        raise TongwenError(
            f"{len(found)} of the documents are held out for the evaluation: {_show(found)}",
            where=str(path),
            expected="documents that a stage may train on; nothing was changed",
            do="forget the others without these; to be rid of these, take their lines out of the "
            "input files and build a new run folder",
        )


def _refuse_unknown(lineage: Lineage, ids: Sequence[str]) -> None:
    if not ids:
        return
    parts = str(lineage.run.finished("corpus/documents") / "part-*.parquet")
    query = "SELECT DISTINCT id FROM read_parquet($parts) WHERE list_contains($ids, id)"
    with duckdb.connect(config={"threads": 1, "memory_limit": "1GB"}) as database:
        rows = database.execute(query, {"parts": parts, "ids": list(ids)}).fetchall()
    unknown = sorted(set(ids) - {row[0] for row in rows})
    if unknown:
        raise TongwenError(
            f"{len(unknown)} ids are not known: {_show(unknown)}",
            where=str(lineage.run.path("corpus/documents")),
            expected="ids of the documents of this run; nothing was changed",
            do='look them up: tongwen corpus sql RECIPE "SELECT id FROM documents WHERE ..."',
        )


_HOLDERS = (
    ("corpus/documents", "the text of every document, and of lines that were rejected"),
    ("corpus/kept", "the texts that are kept"),
    ("corpus/duplicates", "examples.parquet and paragraphs.parquet show some texts"),
    ("corpus/statistics", "ids and origins, and no text"),
    ("corpus/sketch", "hashes of the text"),
    ("corpus/audit", "ids of the sample"),
    ("tokenizer/vocabulary", "pieces that were learned from all texts"),
    ("reports/report", "examples of texts"),
    ("reports/draft", "examples of texts"),
)


def _list_remaining(lineage: Lineage) -> tuple[str, ...]:
    there = [f"{name}: {what}" for name, what in _HOLDERS if lineage.run.path(name).exists()]
    return ("the input files: every line that it came from", *there)


def _make_line(takedown: Takedown, document: str, date: str) -> dict[str, Any]:
    stages = {
        stage.stage: {
            "buckets": sorted({v.bucket for v in stage.visits if v.id == document}),
            "tokens": sum(v.length for v in stage.visits if v.id == document),
        }
        for stage in takedown.stages
        if any(v.id == document for v in stage.visits)
    }
    return {"id": document, "date": date, "what": stages}


def _show(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more
