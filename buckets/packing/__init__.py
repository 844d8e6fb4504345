"""Documents into sequences of one length, and the sequences into an order."""

from __future__ import annotations

from buckets.packing.fit import Packing, best_fit, pack_documents

__all__ = ["Packing", "best_fit", "pack_documents"]
