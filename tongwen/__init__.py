"""tongwen: teach a LLaMA-family model a new language, from raw text to the evidence for it.

This package is the spine: recipe, record, progress, errors and the command line.  The work is
done in the packages `corpus`, `tokenizer`, `buckets`, `train` and `reports`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tongwen.errors import TongwenError
from tongwen.recipe import Recipe, load_recipe
from tongwen.run import RunFolder

if TYPE_CHECKING:
    from tongwen.curate import deduplicate

__all__ = ["Recipe", "RunFolder", "TongwenError", "deduplicate", "load_recipe"]


def __getattr__(name: str) -> Any:
    """`deduplicate` knows the stages, and the bottom of the spine must not: imported when used."""
    if name == "deduplicate":
        from tongwen.curate import deduplicate

        return deduplicate
    raise AttributeError(f"module 'tongwen' has no attribute {name!r}")
