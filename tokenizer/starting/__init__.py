"""Where the embedding rows of the new pieces start."""
