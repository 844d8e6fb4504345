"""Documents into sequences of one length, and the sequences into an order."""

from __future__ import annotations

from buckets.packing.pack import Packing, bound_run, pack_bucket, pack_documents

__all__ = ["Packing", "bound_run", "pack_bucket", "pack_documents"]
