"""A change of mind: another mixture for what of a stage is not trained on yet.

The buckets that a training has begun stay as they are, byte by byte.  From the next one on all is
planned anew by the recipe as it is now.  What was used of every document by then is known, so its
use goes on behind it: nothing is used more often than the new mixture allows, nothing is lost, and
a long document that was cut at the seam goes on with its next token.

    buckets   0 1 2 3 | 4 5 6 7        iteration 70 lies in bucket 3: it is finished as planned
    mixture   0 0 0 0 | 1 1 1 1        4 to 7 are built anew with what documents have left

The output keeps its identity, so that the training goes on; what was done is in its record, which
mixture a bucket was made by in `buckets.parquet`.

The price: the documents are encoded again, as for a new stage, and the buckets to come written.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from buckets.lineage.consumed import Place, find_place, write_consumed
from tongwen.amend import amend_output
from tongwen.errors import TongwenError
from tongwen.recipe import Recipe, Stage
from tongwen.record import Counts, Record
from tongwen.run import RunFolder

MAY_CHANGE = (
    *("stage.mixture", "stage.tokens", "stage.buckets", "stage.curriculum"),
    "buckets.small_categories",
)
"""Keys of a buckets step that another mixture may change."""

PART_NAMES = ("part", "takes", "before", "after", "asked before", "asked after")


@dataclass(frozen=True)
class Remix:
    """What a remix changes.

    Attributes:
        place: where the new mixture begins.
        mixture: its number.
        tokens: asked for from there on.
        parts: rows of `PART_NAMES`: of what is left, shares in percent and tokens.
    """

    place: Place
    mixture: int
    tokens: int
    parts: tuple[tuple[str | int | float | None, ...], ...]


def plan_remix(
    recipe: Recipe,
    run: RunFolder,
    stage: Stage,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    from_bucket: int | None = None,
) -> Remix:
    """Check whether a stage can be mixed anew, and say what that changes.

    Args:
        recipe, stage: as they are to be from now on.
        config, inputs: of the step `buckets/STAGE` by this recipe.
        from_bucket: where the new mixture begins; None: the first bucket that is not begun.

    Raises:
        TongwenError: there are no buckets, the training is finished, nothing is left or changed,
            or something changed that acts on what was trained on.
    """
    name = f"buckets/{stage.name}"
    folder, record = run.finished(name), run.record(name)
    assert record is not None
    _check_changes(record, config, inputs, stage)
    place = find_place(recipe, run, stage, from_bucket)
    tokens = stage.tokens - place.tokens
    if tokens <= 0 or place.bucket >= stage.buckets:
        raise TongwenError(
            f"nothing is left to be mixed: {place.bucket} buckets with {place.tokens:,} tokens are "
            f"begun, and the recipe asks for {stage.buckets} with {stage.tokens:,}",
            where=f"stages.{stage.name}",
            expected=f"more than {place.bucket} buckets and {place.tokens:,} tokens",
            do="raise the stage's buckets and tokens, or leave it as it is",
        )
    mixture = max(pq.read_table(folder / "mixture.parquet")["mixture"].to_pylist()) + 1
    return Remix(place, mixture, tokens, _compare_parts(record, folder, stage, place, tokens))


def remix_stage(
    recipe: Recipe,
    run: RunFolder,
    stage: Stage,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    from_bucket: int | None = None,
) -> tuple[Remix, Record]:
    """Mix anew what of a stage is not trained on; the arguments are those of `plan_remix`.

    Raises:
        TongwenError: as `plan_remix`, a training of the stage is running, or the new mixture asks
            for documents that are not there.
    """
    from buckets.building import Start, build_buckets

    name = f"buckets/{stage.name}"
    remix = plan_remix(recipe, run, stage, config=config, inputs=inputs, from_bucket=from_bucket)
    before = run.record(name)
    assert before is not None
    place = remix.place

    def edit(out: Path) -> Counts:
        clear_from(out, place.bucket)
        consumed = out / ".consumed.parquet"
        if place.bucket:
            write_consumed(recipe, out, place.bucket, consumed)
        start = Start(
            bucket=place.bucket,
            mixture=remix.mixture,
            consumed=consumed if place.bucket else None,
            tokens=place.tokens,
            sequences=place.sequence,
        )
        counts = build_buckets(recipe, run, out, stage, start)
        consumed.unlink(missing_ok=True)
        return counts

    change = {
        "kind": "remix",
        "from_bucket": place.bucket,
        "from_sequence": place.sequence,
        "iteration": place.iteration,
        "mixture": remix.mixture,
        "before": dict(before.config["stage"]),
    }
    amended = amend_output(run.path(name), edit, change=change, config=config)
    return remix, amended


def clear_from(out: Path, bucket: int) -> None:
    """Remove the buckets from some number on; nothing is written into what the output shares."""
    for path in [*out.glob("bucket-*.*"), *(out / "plan").glob("bucket-*.*")]:
        if int(path.name[len("bucket-") :].partition(".")[0]) >= bucket:
            path.unlink()
    for name in ("places.parquet", "order.json"):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / "work", ignore_errors=True)


def _check_changes(
    record: Record, config: Mapping[str, Any], inputs: Mapping[str, str], stage: Stage
) -> None:
    changed = _list_changes(record.config, config)
    wrong = [line for key, line in changed.items() if not key.startswith(MAY_CHANGE)]
    wrong += _list_changes(record.inputs, inputs).values()
    if wrong:
        raise TongwenError(
            "more than the mixture is other than when the buckets were made:\n    "
            + "\n    ".join(wrong),
            where=f"buckets/{stage.name}",
            expected="changes of " + ", ".join(MAY_CHANGE),
            do="change it back, or build the buckets (and train) from the beginning: "
            f"tongwen run RECIPE --redo buckets/{stage.name}",
        )
    if not changed:
        raise TongwenError(
            "the buckets were made by this very recipe",
            where=f"stages.{stage.name}",
            expected="a changed mixture (or tokens, buckets) of the stage",
            do="edit the stage's [[stages.mixture]] first",
        )


def _list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Key -> what it was and is, for two levels of keys."""
    old, new = _flatten(before), _flatten(after)
    return {
        key: f"{key}: was {old.get(key)!r}, is {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    }


def _flatten(table: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            found[name] = value
    return found


def _compare_parts(
    record: Record, folder: Path, stage: Stage, place: Place, tokens: int
) -> tuple[tuple[str | int | float | None, ...], ...]:
    """Shares and tokens asked of each part for what is left, before and after.

    Parts are put side by side that take the same documents.  A part without a share gets what is
    left in proportion to what the corpus has, known when it is built: None here.
    """
    columns = ["mixture", "part", "share", "languages", "categories", "kinds"]
    rows = pq.read_table(folder / "mixture.parquet", columns=columns).to_pylist()
    last = max(row["mixture"] for row in rows)
    balance = pq.read_table(folder / "balance.parquet", columns=["bucket", "tokens"]).to_pylist()
    left = sum(row["tokens"] for row in balance if row["bucket"] >= place.bucket)
    old = {_name_part(row): row["share"] for row in rows if row["mixture"] == last}
    new = {_name_part(vars(part)): part.share for part in stage.mixture}
    return tuple(
        (number, name, *map(_percent, shares), *_ask(shares, (left, tokens)))
        for number, name in enumerate(dict.fromkeys([*old, *new]), 1)
        for shares in [(old.get(name, 0.0), new.get(name, 0.0))]
    )


def _name_part(part: Mapping[str, Any]) -> str:
    words = [" ".join(part[key]) for key in ("languages", "categories", "kinds") if part[key]]
    return ", ".join(words) or "everything else"


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def _ask(shares: tuple[float | None, ...], tokens: tuple[int, int]) -> list[int | None]:
    pairs = zip(shares, tokens, strict=True)
    return [None if share is None else round(share * total) for share, total in pairs]
