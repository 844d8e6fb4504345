"""From the files of a run to plain tables, one module for each stage."""
