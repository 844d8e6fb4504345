"""Text to ids and back, exactly as SentencePiece does it."""
