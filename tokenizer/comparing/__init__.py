"""Tokens per character beside other tokenizers, and what each size of vocabulary costs."""
