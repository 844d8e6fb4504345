"""Files and lines become documents, or rejects with a reason."""
