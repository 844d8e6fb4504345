"""Which pieces: runs of text, continued byte-pair encoding, what pays, users' lists, the filter."""
