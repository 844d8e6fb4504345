"""Which bucket every document goes to: bins of equal tokens, in order."""
