"""`tongwen tokenizer ...`: the verbs that do more than build one output.

Those that only build one (`learn`) are registered in `tongwen.cli`.
"""

from __future__ import annotations

import typer

tokenizer_group = typer.Typer(
    no_args_is_help=True, help="Learn pieces, extend the vocabulary, prove, compare, start."
)
