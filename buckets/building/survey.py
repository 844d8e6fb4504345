"""What of the run a stage may use: the kept documents but the held-out and the forgotten ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from buckets.choosing.survey import COLUMNS as SURVEY_COLUMNS
from buckets.choosing.survey import Survey, survey_documents
from buckets.lineage.forgotten import read_forgotten
from corpus import choose_held_out, read_kept
from corpus.sources import list_shards
from tongwen.recipe import Recipe, Stage
from tongwen.run import RunFolder

COLUMNS = ("id", "origin", "text", "prompt", "category", "language")


def survey_stage(recipe: Recipe, run: RunFolder, stage: Stage) -> tuple[Survey, pa.Array]:
    """Count a stage's documents; also the ids that it may not use."""
    held_out = choose_held_out(run, recipe.buckets.held_out_documents).column("id")
    excluded = pa.concat_arrays([*held_out.chunks, read_forgotten(run)])
    size = measure_documents(run.finished("corpus/documents"))
    return survey_documents(read_kept(run, SURVEY_COLUMNS), stage, excluded, size), excluded


def measure_documents(folder: Path) -> float:
    """Bytes of text of an average document, by what the shards say of themselves."""
    size = rows = 0
    for path in list_shards(folder):
        if path.suffix == ".arrow":
            with pa.OSFile(str(path)) as file:
                rows += pa.ipc.open_file(file).count_rows()
            size += path.stat().st_size
            continue
        metadata = pq.read_metadata(path)
        column = metadata.schema.names.index("text")
        rows += metadata.num_rows
        size += sum(
            metadata.row_group(group).column(column).total_uncompressed_size
            for group in range(metadata.num_row_groups)
        )
    return size / max(rows, 1)
