"""`tongwen buckets ...`: the buckets of the training stages, and what they can answer for."""

from __future__ import annotations

import typer

buckets_group = typer.Typer(
    no_args_is_help=True, help="Documents to balanced, packed, traceable Megatron shards."
)
