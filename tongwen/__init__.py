"""tongwen: teach a LLaMA-family model a new language, from raw text to the evidence for it.

This package is the spine: recipe, record, progress, errors and the command line.  The work is
done in the packages `corpus`, `tokenizer`, `buckets`, `train` and `reports`.
"""

from tongwen.errors import TongwenError
from tongwen.recipe import Recipe, load_recipe
from tongwen.run import RunFolder

__all__ = ["Recipe", "RunFolder", "TongwenError", "load_recipe"]
