"""Text to tokens, shingles and signatures; `shingles` is the definition in plain Python."""
