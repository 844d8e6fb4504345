"""The buckets of each stage: what they were asked to hold and what they hold."""

from __future__ import annotations

from collections import defaultdict

from reports.numbers import divide
from reports.read.files import Row, find_file, list_missing, read_rows
from tongwen.recipe import Recipe, Stage
from tongwen.run import RunFolder

_MIXTURE = (
    "part", "share", "asked_tokens", "available_tokens", "used_tokens", "epochs", "languages",
    "categories", "kinds",
)  # fmt: skip
_BALANCE = ("bucket", "category", "language", "tokens", "target_tokens")


def read_buckets(recipe: Recipe, run: RunFolder) -> Row:
    """Mixture, balance and fill of each stage that is trained here.

    Returns:
        A dict with `missing` and `stages`; of a stage `mixture`, `bins` (each category x language
        with its tokens in every bucket), `largest_deviation` of any bin's share of its bucket
        from the share it should have, `fill` of every bucket.
    """
    names = [f"buckets/{stage.name}" for stage in recipe.trained_stages]
    stages = [_read_stage(recipe, run, stage) for stage in recipe.trained_stages]
    return {
        "missing": list_missing(run, names),
        "stages": [stage for stage in stages if stage is not None],
    }


def _read_stage(recipe: Recipe, run: RunFolder, stage: Stage) -> Row | None:
    output = f"buckets/{stage.name}"
    balance = read_rows(run, output, "balance.parquet", _BALANCE)
    mixture = read_rows(run, output, "mixture.parquet", _MIXTURE)
    if balance is None or mixture is None:
        return None
    buckets = sorted({row["bucket"] for row in balance})
    bins = _collect_bins(balance, buckets)
    deviations = [abs(d) for row in bins for d in row["deviations"] if d is not None]
    fill = _read_fill(recipe, run, output)
    return {
        "name": stage.name,
        "vocabulary": stage.vocabulary,
        "buckets": buckets,
        "tokens": sum(row["tokens"] or 0 for row in balance),
        "mixture": sorted(mixture, key=lambda row: row["part"]),
        "bins": bins,
        "largest_deviation": max(deviations, default=None),
        "mean_deviation": divide(sum(deviations), len(deviations)),
        "fill": fill,
        "mean_fill": _mean_fill(recipe, fill),
    }


def _collect_bins(balance: list[Row], buckets: list[int]) -> list[Row]:
    """One row for each category x language, most tokens first."""
    found: defaultdict[tuple[str, str], dict[int, Row]] = defaultdict(dict)
    for row in balance:
        found[row["language"], row["category"]][row["bucket"]] = row
    sums = {name: _add_up(balance, buckets, name) for name in ("tokens", "target_tokens")}
    bins: list[Row] = []
    for (language, category), cells in found.items():
        tokens = [_value(cells, bucket, "tokens") for bucket in buckets]
        targets = [_value(cells, bucket, "target_tokens") for bucket in buckets]
        held = map(divide, tokens, sums["tokens"])
        wanted = map(divide, targets, sums["target_tokens"])
        bins.append(
            {
                "language": language,
                "category": category,
                "total": sum(tokens),
                "target": sum(targets),
                "tokens": tokens,
                "deviations": list(map(_subtract, held, wanted)),
            }
        )
    return sorted(bins, key=lambda row: (-row["total"], row["language"], row["category"]))


def _add_up(balance: list[Row], buckets: list[int], name: str) -> list[int]:
    sums = dict.fromkeys(buckets, 0)
    for row in balance:
        sums[row["bucket"]] += row[name] or 0
    return list(sums.values())


def _subtract(held: float | None, wanted: float | None) -> float | None:
    return None if held is None or wanted is None else held - wanted


def _value(cells: dict[int, Row], bucket: int, name: str) -> int:
    return (cells[bucket][name] or 0) if bucket in cells else 0


def _read_fill(recipe: Recipe, run: RunFolder, output: str) -> list[Row]:
    """Sequences and tokens of every bucket, from the lineage (which may be far larger than
    memory, so DuckDB adds it up)."""
    import duckdb

    folder = find_file(run, output, "plan")
    query = """
        SELECT bucket, max(sequence) + 1, sum(length)::BIGINT, count(*), count_if(start > 0)
        FROM read_parquet(?) GROUP BY bucket ORDER BY bucket
    """
    limit = {"memory_limit": recipe.run.memory, "threads": recipe.run.workers}
    with duckdb.connect(config=limit) as database:
        rows = database.execute(query, [f"{folder}/bucket-*.parquet"]).fetchall()
    length = recipe.buckets.sequence_length
    return [
        {
            "bucket": bucket,
            "sequences": sequences,
            "tokens": tokens,
            "runs": runs,
            "continued": continued,
            "fill": divide(tokens, sequences * length),
        }
        for bucket, sequences, tokens, runs, continued in rows
    ]


def _mean_fill(recipe: Recipe, fill: list[Row]) -> float | None:
    room = sum(row["sequences"] for row in fill) * recipe.buckets.sequence_length
    return divide(sum(row["tokens"] for row in fill), room)
