"""How well duplicates are found: planted edits against brute force."""
