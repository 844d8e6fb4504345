"""The steps of the tokenizer: a vocabulary, its proofs, its comparison with others, a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import choose_held_out, read_kept
from tokenizer.comparing.compare import measure_rate
from tokenizer.comparing.write import write_comparison
from tokenizer.export import check_token_ids, write_tokenizer
from tokenizer.files import resolve_model
from tokenizer.learning.bases import check_base
from tokenizer.learning.build import Built, build_pieces
from tokenizer.learning.characters import make_kinds
from tokenizer.learning.corpora import check_runs
from tokenizer.learning.filter import Filter
from tokenizer.learning.learn import refuse_size
from tokenizer.learning.left_out import describe_left_out, write_left_out
from tokenizer.learning.lists import read_lists
from tokenizer.learning.sampling import Read, read_held_out
from tokenizer.learning.sources import Source, collect_sources
from tokenizer.learning.weighting import UNIT
from tokenizer.lint.lint import build_lint as write_lint
from tokenizer.lint.proof import find_unreachable
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, load_model
from tokenizer.starting.embeddings import extend_model
from tongwen.errors import TongwenError
from tongwen.progress import say
from tongwen.recipe import Recipe, Tokenizer
from tongwen.record import Counts
from tongwen.run import RunFolder

PIECES = pa.schema(
    {
        "id": pa.int32(),
        "piece": pa.string(),
        "score": pa.float32(),
        "count": pa.int64(),
        "uses": pa.int64(),
        "characters": pa.int32(),
        "kind": pa.string(),
        "reachable": pa.bool_(),
    }
)


def build_vocabulary(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """Learn pieces from the kept documents and append them to the base (tokenizer/vocabulary)."""
    section, path = recipe.tokenizer, resolve_model(recipe, recipe.tokenizer.base)
    base = load_model(path)
    start = len(base.pieces)
    if section.size <= start:
        raise refuse_size(path, section.size, start)
    for remark in check_base(base, path, section.size - start):
        say(f"      {remark}")
    sources = _collect_sources(recipe, run)
    built = _learn(recipe, base, sources)
    for line in describe_left_out(built.left_out):
        say(f"      {line}")
    model = append_pieces(base, [piece.text for piece in built.pieces])
    _check_reachable(model, start)
    write_tokenizer(model, out)
    _write_pieces(model, built, out / "pieces.parquet")
    write_left_out(built.left_out, out / "left_out.parquet")
    write_tokenizer(base, out / "base")
    (out / "base" / "tokenizer.model").write_bytes(path.read_bytes())
    return _count_vocabulary(sources, built, start)


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
    table = write_comparison(
        paths,
        read_held_out(_open_corpus(run), _list_held_out(recipe, run)),
        out,
        learned=recipe.tokenizer.languages,
        seed=recipe.run.seed,
        workers=recipe.run.workers,
    )
    languages = tuple(dict.fromkeys((*recipe.tokenizer.languages, "en")))
    return _count_comparison(table, list(paths), languages)


def build_lint(recipe: Recipe, run: RunFolder, out: Path) -> Counts:
    """Prove what the vocabulary does, on the held-out text of all languages (tokenizer/lint)."""
    vocabulary = run.finished("tokenizer/vocabulary")
    base = vocabulary / "base" / "tokenizer.model"
    return write_lint(vocabulary, base, _read_held_out_texts(recipe, run), out)


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
    vocabulary = run.finished("tokenizer/vocabulary")
    counts = extend_model(
        source, vocabulary, out / "model", recipe.tokenizer.embeddings, seed=recipe.run.seed
    )
    check_token_ids(load_model(vocabulary / "tokenizer.model"), out / "model")
    return {**counts}


def _open_corpus(run: RunFolder) -> Read:
    return lambda columns: read_kept(run, columns)


def _list_held_out(recipe: Recipe, run: RunFolder) -> pa.Array:
    table = choose_held_out(run, recipe.buckets.held_out_documents)
    return table.column("id").combine_chunks().cast(pa.string())


def _make_kinds(section: Tokenizer) -> NDArray[np.uint8]:
    return make_kinds(punctuation=section.punctuation_in_pieces, spaces=section.spaces_in_pieces)


def _collect_sources(recipe: Recipe, run: RunFolder) -> list[Source]:
    section, read = recipe.tokenizer, _open_corpus(run)
    kinds = _make_kinds(section)
    sources = collect_sources(read, _list_held_out(recipe, run), section, kinds)
    check_runs(sum(source.size for source in sources), section.languages)
    return sources


def _learn(recipe: Recipe, base: ModelProto, sources: list[Source]) -> Built:
    section = recipe.tokenizer
    kinds = _make_kinds(section)
    listed, rejects = read_lists(
        [recipe.resolve(path) for path in section.lists],
        {piece.piece for piece in base.pieces},
        max_piece_length=section.max_piece_length,
    )
    built = build_pieces(
        base,
        sources,
        kinds,
        section,
        Filter.from_recipe(section.filter, recipe.resolve).judge,
        [entry.text for entry in listed],
        num_threads=recipe.run.workers,
    )
    built.left_out = [*rejects, *built.left_out]
    return built


def _read_held_out_texts(recipe: Recipe, run: RunFolder) -> Iterator[str]:
    for batch in read_held_out(_open_corpus(run), _list_held_out(recipe, run)):
        for column in ("prompt", "text"):
            yield from batch.column(column).to_pylist()


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


def _write_pieces(model: ModelProto, built: Built, path: Path) -> None:
    start = len(model.pieces) - len(built.pieces)
    rows = [
        {
            "id": number,
            "piece": piece.text,
            "score": model.pieces[number].score,
            "count": piece.count,
            "uses": uses,
            "characters": len(piece.text),
            "kind": piece.kind,
            "reachable": True,
        }
        for number, (piece, uses) in enumerate(
            zip(built.pieces, built.uses.tolist(), strict=True), start
        )
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=PIECES), path, compression="zstd")


def _count_vocabulary(sources: list[Source], built: Built, start: int) -> Counts:
    kinds = [piece.kind for piece in built.pieces]
    return {
        "pieces": start + len(built.pieces),
        "base_pieces": start,
        "characters_added": kinds.count("character"),
        "merges_added": kinds.count("merge"),
        "listed_added": kinds.count("list"),
        "steps_added": kinds.count("step"),
        "fillers_added": kinds.count("filler"),
        "unused": int((built.uses == 0).sum()),
        "left_out": len(built.left_out),
        "unreachable": 0,
        "characters_learned_from": round(sum(source.size for source in sources) / UNIT),
        "distinct_runs": sum(len(source.runs.weights) for source in sources),
        "sources": len(sources),
        "rounds": max(len(built.rates) - 1, 0),
        "tokens_per_character_of_runs": round(built.rates[-1], 4),
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
