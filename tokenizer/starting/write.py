"""`tongwen tokenizer start`: which ways are compared, and the folder of the one that is taken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tokenizer.starting.embeddings import extend_model
from tokenizer.starting.methods import INPUTS, OUTPUTS
from tokenizer.starting.table import name_start
from tongwen.errors import TongwenError
from tongwen.recipe import Embeddings
from tongwen.record import Counts, identify_file, produce, write_text

TABLE = "start.json"
STARTS = (
    *("mean", "weighted", "gaussian"),
    *("weighted/mean", "late/mean", "mean/weighted", "mean/prior", "late/prior"),
)
COLUMNS = (
    *("method", "language", "bits_per_character", "bits_per_byte", "tokens"),
    *("identical_rows", "input_rows_moved", "output_rows_moved", "input_norm", "output_norm"),
)


def parse_methods(words: Sequence[str], noise: float, match_norm: bool) -> list[Embeddings]:
    """`METHOD` or `INPUT/OUTPUT` as settings; without any, each method beside the mean.

    Raises:
        TongwenError: there is no such method.
    """
    words = words or STARTS
    found: list[Embeddings] = []
    for word in words:
        first, _, second = word.partition("/")
        table = {"input": first, "output": second or first, "noise": noise}
        try:
            found.append(Embeddings.model_validate(table | {"match_norm": match_norm}))
        except ValidationError:
            raise TongwenError(
                f"there is no start {word!r}",
                where="--method",
                expected=f"METHOD or INPUT/OUTPUT; input: {', '.join(INPUTS)}; "
                f"output: {', '.join(OUTPUTS)}",
            ) from None
    return list({name_start(start): start for start in found}.values())


def write_start(
    out: Path,
    source: Path,
    vocabulary: Path,
    settings: Embeddings,
    table: dict[str, Any],
    *,
    seed: int,
) -> None:
    """Write the extended model and start.json, whole or not at all.

    Raises:
        TongwenError: the folder holds another model, or the disk is full.
    """
    files = [*source.glob("*.safetensors"), source / "config.json"]
    files += [vocabulary / "tokenizer.model", vocabulary / "pieces.parquet"]
    inputs = {f"{file.parent.name}/{file.name}": identify_file(file) for file in sorted(files)}

    def build(folder: Path) -> Counts:
        counts: Counts = {**extend_model(source, vocabulary, folder, settings, seed=seed)}
        text = json.dumps(table, ensure_ascii=False, indent=1)
        write_text(folder / TABLE, text + "\n")
        return counts

    config = {"embeddings": settings.model_dump(), "seed": seed, "table": table}
    produce(out, kind="tokenizer/start", config=config, inputs=inputs, build=build)
