"""What each way to start the new rows costs before any training: bits per character at step 0.

Loss per token says nothing here, because the tokens differ; bits per character of the same text
do, and the base model with its own tokenizer stands beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tokenizer.encoding.encoder import Encoder
from tokenizer.starting.embeddings import make_sides
from tokenizer.starting.folder import INPUT, OUTPUT
from tokenizer.starting.rows import RowMaker
from tongwen.progress import progress
from tongwen.recipe import Embeddings

Rows = NDArray[np.float32]
Texts = Mapping[str, Sequence[str]]
"""Segments of text by language."""


class Model(Protocol):
    """What measures: the nats of sequences by a model with more rows (`train.step_zero`)."""

    def measure(
        self,
        sequences: Sequence[NDArray[np.int32]],
        new_input: Rows | None = None,
        new_output: Rows | None = None,
        advance: Callable[[float], None] = ...,
    ) -> NDArray[np.float64]: ...


def compare_starts(
    model: Model,
    source: Path,
    vocabulary: Path,
    texts: Texts,
    starts: Iterable[Embeddings],
    *,
    seed: int = 1,
    token_counts: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Bits per character and byte of texts, by language, for each way to start the new rows.

    Args:
        model: the base, opened.
        source: its folder.
        vocabulary: the folder of `tokenizer/vocabulary`.
        texts: held out: nothing was learned from them.
        starts: what to compare.
        seed, token_counts: as for `extend_model`.

    Returns:
        The table as start.json holds it; its first rows are the base's with its own tokenizer.
    """
    rows = _measure(model, Encoder(vocabulary / "base" / "tokenizer.model"), texts, {})
    extended = Encoder(vocabulary / "tokenizer.model")
    table = [{"method": "base", "input": "", "output": "", **row} for row in rows]
    for start in starts:
        makers = make_sides(source, vocabulary, start, seed=seed, token_counts=token_counts)
        made = {name: _collect(maker) for name, maker in makers.items()}
        about = {"method": name_start(start), "input": start.input, "output": start.output}
        about |= {"noise": start.noise, "match_norm": start.match_norm}
        about |= _describe(makers, made)
        table += [about | row for row in _measure(model, extended, texts, made)]
    sizes = {name: sum(map(len, found)) for name, found in texts.items()}
    return {"model": source.absolute().name, "characters": sizes, "rows": table}


def name_start(start: Embeddings) -> str:
    """`INPUT/OUTPUT`, or the one method of both."""
    return start.input if start.input == start.output else f"{start.input}/{start.output}"


def choose_best(table: dict[str, Any]) -> str:
    """The method with the fewest bits over all texts."""
    bits: dict[str, float] = {}
    for row in table["rows"]:
        if row["method"] != "base":
            weight = table["characters"][row["language"]]
            bits.setdefault(row["method"], 0.0)
            bits[row["method"]] += row["bits_per_character"] * weight
    return min(bits, key=lambda name: bits[name])


def _collect(maker: RowMaker) -> Rows:
    rows = np.empty((len(maker.parts), maker.tensor.shape[1]), np.float32)
    at = 0
    for block in maker.make_blocks():
        rows[at : at + len(block)] = block
        at += len(block)
    return rows


def _describe(makers: dict[str, RowMaker], made: dict[str, Rows]) -> dict[str, int | float]:
    """Rows that had to be moved, and the mean norm of the new rows over that of the base's."""
    identical = sum(maker.num_identical for maker in makers.values())
    facts: dict[str, int | float] = {"identical_rows": identical}
    for name, side in ((INPUT, "input"), (OUTPUT, "output")):
        if name in makers:
            maker, rows = makers[name], made[name]
            facts[f"{side}_rows_moved"] = maker.num_moved
            norm = float(np.linalg.norm(rows, axis=1).mean(dtype=np.float64)) if len(rows) else 0.0
            facts[f"{side}_norm"] = round(norm / maker.base_norm, 4) if maker.base_norm else 0.0
    return facts


def _measure(
    model: Model, encoder: Encoder, texts: Texts, made: dict[str, Rows]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for language, segments in texts.items():
        ids, offsets = encoder.encode(segments)
        first = np.array([encoder.bos], np.int32)
        cut = np.split(ids, offsets[1:-1])
        sequences = [np.concatenate([first, part]) for part in cut]
        with progress(f"measuring {language}", total=len(ids), unit="tokens") as advance:
            nats = model.measure(sequences, made.get(INPUT), made.get(OUTPUT), advance)
        bits = float(nats.sum()) / math.log(2)
        characters = sum(map(len, segments))
        size = sum(len(segment.encode()) for segment in segments)
        row: dict[str, Any] = {"language": language, "tokens": len(ids)}
        row["bits_per_character"] = round(bits / max(characters, 1), 4)
        row["bits_per_byte"] = round(bits / max(size, 1), 4)
        found.append(row)
    return found
