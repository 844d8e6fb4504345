"""The steps of the tokenizer: a vocabulary, its comparison with others, an extended model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import choose_held_out, read_kept
from tokenizer.comparing.compare import (
    choose_sentences,
    compare_tokenizers,
    measure_rate,
    show_segmentation,
)
from tokenizer.comparing.counters import open_counter
from tokenizer.encoding.encoder import Encoder
from tokenizer.export import write_tokenizer, write_tokenizer_json
from tokenizer.files import resolve_model
from tokenizer.learning.characters import make_kinds
from tokenizer.learning.learn import Limits, Piece, learn_pieces, refuse_size
from tokenizer.learning.runs import RunCounter, Runs
from tokenizer.learning.sampling import Read, read_held_out, read_texts
from tokenizer.lint.proof import compare_lines, find_unreachable
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, load_model
from tokenizer.starting.embeddings import extend_model
from tongwen.errors import TongwenError
from tongwen.progress import progress
from tongwen.recipe import Recipe
from tongwen.record import Counts, write_text
from tongwen.run import RunFolder

PIECES = pa.schema(
    {
        "id": pa.int32(),
        "piece": pa.string(),
        "score": pa.float32(),
        "count": pa.int64(),
        "characters": pa.int32(),
        "kind": pa.string(),
        "reachable": pa.bool_(),
    }
)


def build_vocabulary(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """Learn pieces from the kept documents and append them to the base (tokenizer/vocabulary)."""
    path = resolve_model(recipe, recipe.tokenizer.base)
    base = load_model(path)
    num_pieces = recipe.tokenizer.size - len(base.pieces)
    if num_pieces <= 0:
        raise refuse_size(path, recipe.tokenizer.size, len(base.pieces))
    runs = _collect_runs(recipe, run)
    pieces = learn_pieces(runs, base, _make_kinds(recipe), num_pieces, _read_limits(recipe))
    model = append_pieces(base, [piece.text for piece in pieces])
    _check_reachable(model, len(base.pieces))
    write_tokenizer(model, out)
    _write_pieces(model, pieces, out / "pieces.parquet")
    (out / "base").mkdir()
    shutil.copyfile(path, out / "base" / "tokenizer.model")
    write_tokenizer_json(base, out / "base" / "tokenizer.json")
    return _count_vocabulary(runs, pieces, len(base.pieces))


def build_comparison(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """Measure the vocabulary and others on the held-out documents (tokenizer/comparison)."""
    vocabulary = run.finished("tokenizer/vocabulary")
    paths = {
        "base": vocabulary / "base" / "tokenizer.model",
        "extended": vocabulary / "tokenizer.model",
    }
    for other in recipe.tokenizer.compare:
        if other.name in paths:
            raise _refuse_name(other.name)
        paths[other.name] = resolve_model(recipe, other.path)
    counters = {name: open_counter(path) for name, path in paths.items()}
    read, held_out = _open_corpus(run), _list_held_out(recipe, run)
    table = compare_tokenizers(counters, read_held_out(read, held_out))
    pq.write_table(table, out / "comparison.parquet", compression="zstd")
    languages = tuple(dict.fromkeys((*recipe.tokenizer.languages, "en")))
    sentences = choose_sentences(read_held_out(read, held_out), languages)
    shown = show_segmentation(sentences, Encoder(paths["base"]), Encoder(paths["extended"]))
    unchanged = _compare_unlearned(recipe, paths, read_held_out(read, held_out))
    write_text(out / "unchanged.json", json.dumps(unchanged, indent=1) + "\n")
    write_text(out / "segmentation.json", json.dumps(shown, ensure_ascii=False, indent=1) + "\n")
    return _count_comparison(table, list(paths), languages)


def _compare_unlearned(
    recipe: Recipe, paths: dict[str, Path], batches: Iterable[pa.RecordBatch]
) -> list[dict[str, str | int]]:
    """For each language that nothing was learned for: which held-out lines changed?"""
    texts: dict[str, list[str]] = {}
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("language", "prompt", "text"))
        for language, prompt, text in zip(*columns, strict=True):
            if language not in recipe.tokenizer.languages:
                texts.setdefault(language, []).extend((prompt, text))
    models = (load_model(paths["base"]), load_model(paths["extended"]))
    names = ("lines", "changed", "with_chinese")
    return [
        {"language": language, **dict(zip(names, compare_lines(*models, found), strict=True))}
        for language, found in sorted(texts.items())
    ]


def build_extended_model(recipe: Recipe, run: RunFolder, out: Path, *, before: str) -> Counts:
    """Give a model rows for the new pieces (train/extended).

    Args:
        before: the training step whose model is extended; "": `[model] base` of the recipe.
    """
    if before:
        source = run.finished(before) / "model"
    else:
        assert recipe.model.base is not None
        source = recipe.resolve(recipe.model.base)
    return {**extend_model(source, run.finished("tokenizer/vocabulary"), out / "model")}


def _open_corpus(run: RunFolder) -> Read:
    return lambda columns: read_kept(run, columns)


def _list_held_out(recipe: Recipe, run: RunFolder) -> pa.Array:
    table = choose_held_out(run, recipe.buckets.held_out_documents)
    return table.column("id").combine_chunks().cast(pa.string())


def _make_kinds(recipe: Recipe) -> NDArray[np.uint8]:
    return make_kinds(punctuation=recipe.tokenizer.punctuation_in_pieces)


def _collect_runs(recipe: Recipe, run: RunFolder) -> Runs:
    section, counter = recipe.tokenizer, RunCounter(_make_kinds(recipe))
    read, held_out = _open_corpus(run), _list_held_out(recipe, run)
    with progress("counting runs", unit="characters") as advance:
        for texts in read_texts(read, section.languages, held_out, section.max_characters):
            advance(counter.add(texts))
    return counter.finish()


def _read_limits(recipe: Recipe) -> Limits:
    section = recipe.tokenizer
    return Limits(section.max_piece_length, section.character_coverage, section.min_count)


def _check_reachable(model: ModelProto, start: int) -> None:
    """No dead piece may leave this house: one would be a defect of the learner."""
    dead = [model.pieces[number].piece for number in find_unreachable(model, start)]
    if dead:
        raise TongwenError(
            f"{len(dead)} new pieces cannot be produced: {', '.join(dead[:10])}",
            where="tokenizer/vocabulary",
            expected="every piece is the encoding of its own text",
            do="this is a defect of tongwen; please report it with the recipe",
        )


def _write_pieces(model: ModelProto, pieces: list[Piece], path: Path) -> None:
    start = len(model.pieces) - len(pieces)
    rows = [
        {
            "id": number,
            "piece": piece.text,
            "score": model.pieces[number].score,
            "count": piece.count,
            "characters": len(piece.text),
            "kind": piece.kind,
            "reachable": True,
        }
        for number, piece in enumerate(pieces, start)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=PIECES), path, compression="zstd")


def _count_vocabulary(runs: Runs, pieces: list[Piece], base_size: int) -> Counts:
    kinds = [piece.kind for piece in pieces]
    return {
        "pieces": base_size + len(pieces),
        "base_pieces": base_size,
        "characters_added": kinds.count("character"),
        "merges_added": kinds.count("merge"),
        "fillers_added": kinds.count("filler"),
        "unreachable": 0,
        "characters_learned_from": runs.num_characters,
        "distinct_runs": len(runs.weights),
    }


def _count_comparison(table: pa.Table, names: list[str], languages: tuple[str, ...]) -> Counts:
    documents = sum(table["documents"].to_pylist()) // len(names)
    counts: Counts = {"documents": documents}
    for language in languages:
        for name in names:
            rate = measure_rate(table, name, language)
            if rate is not None:
                counts[f"{name}_{language}_tokens_per_character"] = round(rate, 4)
    return counts


def _refuse_name(name: str) -> TongwenError:
    return TongwenError(
        f"two tokenizers are called {name!r}",
        where="tokenizer.compare",
        expected="names that differ, and neither `base` nor `extended`",
        do="rename one",
    )
