"""The vocabulary: what it holds, how well it compresses, what it costs and what lint says."""

from __future__ import annotations

from itertools import chain

from reports.read.compression import read_compression
from reports.read.files import Row, list_missing, read_json, read_optional_json
from reports.read.pieces import read_left_out, read_pieces
from tongwen.recipe import Recipe
from tongwen.run import RunFolder

_STARTS = ("train/extended", "tokenizer/start")
_CHANGED = 20


def read_tokenizer(recipe: Recipe, run: RunFolder) -> Row:
    """Compression by tokenizer, language and category; the new pieces; sample segmentations.

    Returns:
        A dict with `missing`; the parts of `read_compression`; `unchanged` (lines compared and
        changed, of languages that no pieces were learned for), `pieces`, `left_out`,
        `segmentation`; and `sweep`, `lint`, `start`, as their files hold them, None where those
        were not made.

    Raises:
        TongwenError: a finished output cannot be read.
    """
    compression = read_compression(run)
    tokenizers = compression["tokenizers"] or ()
    base_size = next((row["size"] for row in tokenizers if row["name"] == "base"), None)
    return {
        "missing": list_missing(run, ("tokenizer/vocabulary", "tokenizer/comparison")),
        **compression,
        "unchanged": read_json(run, "tokenizer/comparison", "unchanged.json"),
        "pieces": read_pieces(run, base_size),
        "left_out": read_left_out(run),
        "segmentation": read_json(run, "tokenizer/comparison", "segmentation.json"),
        "sweep": read_optional_json(run, "tokenizer/sweep", "sweep.json", ("rows",)),
        "lint": _read_lint(run),
        "start": _read_start(run),
    }


def _read_lint(run: RunFolder) -> Row | None:
    found = read_optional_json(run, "tokenizer/lint", "lint.json", ("findings",))
    if found is None:
        return None
    return {**found, "changed": list(found.get("changed") or ())[:_CHANGED]}


def _read_start(run: RunFolder) -> Row | None:
    """The table of starts, from whichever output has it."""
    found = (read_optional_json(run, output, "start.json", ("rows",)) for output in _STARTS)
    return next((table for table in found if table is not None), None)


def list_tokenizer_languages(table: Row) -> set[str]:
    """Every language that was measured."""
    rows = table["tokenizers"] or ()
    return set(chain.from_iterable(row["languages"] for row in rows))
