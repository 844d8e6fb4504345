"""What the buckets promise, proved on their files."""
