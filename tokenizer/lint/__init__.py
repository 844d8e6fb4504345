"""What can be proven about a tokenizer file: ours or anybody's."""
