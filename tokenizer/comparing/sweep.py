"""Sizes of vocabulary side by side: how well each compresses, and what each costs.

Continued BPE is nested: the pieces of a smaller vocabulary are the first of a larger one.  So
pieces are learned once, up to the largest size that the corpus supports, and every size is a
prefix of them, measured on the same held-out documents in one pass.  The price: the curve is that
of plain continued BPE.  A vocabulary whose pieces are chosen for what they save compresses a few
percent better at every size, which shifts the curve and leaves its shape.

The budget of the recipe is a number of tokens at its own size.  It is taken as text of the learned
languages alone, budget / (tokens per character at that size) characters, and each size is priced
for training on those characters.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from corpus import choose_held_out, read_kept
from tokenizer.comparing.compare import compare_tokenizers
from tokenizer.comparing.costs import (
    LLAMA_7B,
    Budget,
    Cost,
    find_cheapest,
    find_knee,
    price_sizes,
)
from tokenizer.comparing.counters import open_counter
from tokenizer.files import resolve_model
from tokenizer.learning.characters import make_kinds
from tokenizer.learning.learn import Limits, learn_candidates
from tokenizer.learning.sampling import Read, read_held_out
from tokenizer.learning.sources import collect_sources, join_runs
from tokenizer.learning.weighting import UNIT
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, load_model
from tongwen.errors import TongwenError
from tongwen.progress import say
from tongwen.recipe import Model, Recipe
from tongwen.record import Counts, write_text
from tongwen.run import RunFolder

pc: Any = pyarrow.compute  # its functions are made at import: a checker cannot see them

SHAPES = ("recipe", "7b")
LENGTH_7B = 4096
"""Tokens of a sequence of LLaMA-2-7B."""

Row = dict[str, Any]


def build_sweep(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """Learn, measure and price the sizes of `[tokenizer.sweep]` (tokenizer/sweep).

    Raises:
        TongwenError: the corpus supports none of the sizes, or none of the held-out documents is
            in a language that is learned for.
    """
    base = load_model(resolve_model(recipe, recipe.tokenizer.base))
    start = len(base.pieces)
    sizes = sorted({*recipe.tokenizer.sweep.sizes, recipe.tokenizer.size})
    pieces = _learn(recipe, run, base, sizes[-1] - start)
    supported = start + len(pieces)
    measured = [size for size in sizes if start < size <= supported]
    left_out = [size for size in sizes if size not in measured]
    if not measured:
        raise _refuse_sizes(sizes, start, supported)
    if left_out:
        shown = ", ".join(f"{size:,}" for size in left_out)
        say(f"sizes from {start + 1:,} to {supported:,} are supported; left out: {shown}")
    models = {start: base} | {
        size: append_pieces(base, pieces[: size - start]) for size in measured
    }
    rates = measure_sizes(models, _read_documents(recipe, run))
    result = {"supported_size": supported, "left_out": left_out, **_describe(recipe, rates, start)}
    text = json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False)
    write_text(out / "sweep.json", text + "\n")
    return _count_sweep(result)


def measure_sizes(
    models: Mapping[int, ModelProto], batches: Iterable[pa.RecordBatch]
) -> dict[int, float]:
    """Tokens per character of each model over all documents.

    Args:
        models: by size.
        batches: columns text, prompt, category, language.

    Raises:
        TongwenError: there is no text.
    """
    with tempfile.TemporaryDirectory(prefix="tongwen-sweep-") as folder:
        counters = {}
        for size, model in models.items():
            path = Path(folder) / f"{size}.model"
            path.write_bytes(model.SerializeToString())
            counters[str(size)] = open_counter(path)
        table = compare_tokenizers(counters, batches)
    sums = table.group_by("size").aggregate([("tokens", "sum"), ("characters", "sum")]).to_pylist()
    rates = {row["size"]: row["tokens_sum"] / row["characters_sum"] for row in sums}
    if not rates:
        raise TongwenError(
            "no held-out document is in a language that pieces are learned for",
            where="tokenizer.languages",
            expected="languages of the corpus, with at least five documents of a category each",
        )
    return dict(sorted(rates.items()))


def _learn(recipe: Recipe, run: RunFolder, base: ModelProto, num_pieces: int) -> list[str]:
    """Up to `num_pieces` pieces, as many as the corpus supports."""
    section = recipe.tokenizer
    if num_pieces <= 0:
        return []
    kinds = make_kinds(punctuation=section.punctuation_in_pieces, spaces=section.spaces_in_pieces)
    sources = collect_sources(_open_corpus(run), _list_held_out(recipe, run), section, kinds)
    limits = Limits(section.max_piece_length, section.character_coverage, section.min_count * UNIT)
    found = learn_candidates(join_runs(sources), base, kinds, num_pieces, limits)
    return [piece.text for piece in found]


def _open_corpus(run: RunFolder) -> Read:
    return lambda columns: read_kept(run, columns)


def _list_held_out(recipe: Recipe, run: RunFolder) -> pa.Array:
    table = choose_held_out(run, recipe.buckets.held_out_documents)
    return table.column("id").combine_chunks().cast(pa.string())


def _read_documents(recipe: Recipe, run: RunFolder) -> Iterator[pa.RecordBatch]:
    """The held-out documents of the learned languages."""
    spoken = pa.array(recipe.tokenizer.languages, pa.string())
    held_out = _list_held_out(recipe, run)
    for batch in read_held_out(_open_corpus(run), held_out):
        chosen = batch.filter(pc.is_in(batch.column("language"), value_set=spoken))
        if chosen.num_rows:
            yield chosen


def _describe(recipe: Recipe, rates: Mapping[int, float], start: int) -> Row:
    """Everything of sweep.json beside what the corpus supports."""
    sizes = [size for size in rates if size != start]
    own = recipe.tokenizer.size
    reference = own if own in sizes else sizes[-1]
    tokens = _count_budget(recipe)
    characters = tokens / rates[reference]
    prices, length = recipe.tokenizer.sweep, recipe.buckets.sequence_length
    models = {"recipe": (recipe.model, length), "7b": (LLAMA_7B, LENGTH_7B)}
    shapes = {
        name: _price(rates, start, model, Budget(characters, length, prices), own)
        for name, (model, length) in models.items()
    }
    return {
        "language": "+".join(recipe.tokenizer.languages),
        "reference_size": reference,
        "knee": find_knee(sizes, [rates[size] for size in sizes]),
        "budget_tokens": tokens,
        "budget_characters": characters,
        "flops_per_second": prices.flops_per_second,
        "utilization": prices.utilization,
        "dollars_per_gpu_hour": prices.dollars_per_gpu_hour,
        **shapes["recipe"],
        "shapes": shapes,
    }


def _price(rates: Mapping[int, float], start: int, model: Model, budget: Budget, own: int) -> Row:
    """The rows of a model, and which of its sizes costs least."""
    costs = price_sizes(rates, model, budget, own)
    added = [cost for cost in costs if cost.size != start]
    return {
        "sequence_length": budget.length,
        "least_cost": find_cheapest(added),
        "base": next(asdict(cost) for cost in costs if cost.size == start),
        "rows": [asdict(cost) for cost in added],
    }


def _count_budget(recipe: Recipe) -> int:
    """Tokens of the stages with the extended vocabulary; of all where there is none."""
    extended = [stage for stage in recipe.trained_stages if stage.vocabulary == "extended"]
    return sum(stage.tokens for stage in extended or recipe.stages)


def _count_sweep(result: Row) -> Counts:
    return {
        "sizes": len(result["rows"]),
        "left_out": len(result["left_out"]),
        "supported_size": result["supported_size"],
        "knee": result["knee"] or "-",
        "least_cost": result["least_cost"],
    }


def _refuse_sizes(sizes: Sequence[int], start: int, supported: int) -> TongwenError:
    return TongwenError(
        f"none of the sizes {', '.join(map(str, sizes))} can be built",
        where="tokenizer.sweep.sizes",
        expected=f"{start + 1} to {supported}: the base has {start:,} pieces, and the corpus "
        f"supports {supported - start:,} more",
        do="change the sizes, lower min_count or learn from more text",
    )


def read_sweep(folder: Path) -> Row:
    """sweep.json of a finished sweep."""
    return json.loads((folder / "sweep.json").read_text(encoding="utf-8"))


def list_costs(result: Row, shape: str) -> list[Cost]:
    """The base's and every size's cost for the model of the recipe or LLaMA-2-7B's."""
    found = result["shapes"][shape]
    return [Cost(**row) for row in (found["base"], *found["rows"])]
