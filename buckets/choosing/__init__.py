"""Which documents a stage uses: its mixture, in tokens."""
