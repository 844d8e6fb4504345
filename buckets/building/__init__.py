"""A stage's buckets, from the kept documents to shards, plan and tables."""

from __future__ import annotations

from buckets.building.build import Start, build_buckets, load_encoder

__all__ = ["Start", "build_buckets", "load_encoder"]
