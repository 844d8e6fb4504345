"""What shows that the buckets are what they should be."""
