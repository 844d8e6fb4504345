"""Tokens per character of our vocabularies on sources they have not seen, beside published ones.

    python benchmarks/compression.py --base llama2/tokenizer.model --train zh/*.jsonl.zst \\
        --folds 6 --tokenizer Chinese-LLaMA-2=chinese-llama2/tokenizer.model \\
        --tokenizer ChatGLM2=chatglm2/tokenizer.model --english en/*.jsonl.zst --write

Held out are sources, never documents of the same source.  With --folds K the sources are dealt into
K parts, the largest first, and each part is measured with vocabularies learned from the others, so
that every source is measured and none was seen.  With --test the two sets are given; a source in
both is an error.  Every size is learned in four ways: with Chinese punctuation and the space in
front of Chinese text in pieces, with one of them, with neither.  The figure is the mean of sources
(each source counts alike); the reference is Chinese-LLaMA-2, and Colossal-LLaMA-2 follows from it
by the published ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import harness
import pyarrow as pa
import pyarrow.compute as pc

from corpus.alone import open_files
from corpus.sources import Source
from tokenizer.comparing.compare import Comparer, add_batches
from tokenizer.comparing.rates import Rate, make_rates
from tokenizer.comparing.segments import ChangeCounter
from tokenizer.comparing.texts import open_tokenizers, read_batches
from tokenizer.encoding.encoder import Encoder
from tokenizer.learning.build import build_pieces
from tokenizer.learning.characters import make_kinds
from tokenizer.learning.filter import Filter
from tokenizer.learning.sources import collect_sources
from tokenizer.lint.proof import find_unreachable
from tokenizer.merge import append_pieces
from tokenizer.model import ModelProto, load_model
from tongwen.progress import say
from tongwen.recipe import Tokenizer

SIZES = (49_953, 55_296, 64_789, 69_104, 103_168)
LANGUAGE = "zh"
WAYS = {
    "both": {"punctuation_in_pieces": True, "spaces_in_pieces": True},
    "punctuation": {"punctuation_in_pieces": True, "spaces_in_pieces": False},
    "spaces": {"punctuation_in_pieces": False, "spaces_in_pieces": True},
    "han": {"punctuation_in_pieces": False, "spaces_in_pieces": False},
}
"""What may stand in a piece beside Han characters."""

Read = Callable[[list[str]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Made:
    """A vocabulary that was learned here.

    Attributes:
        dead: pieces that no text is encoded to.
        changed: English lines that it encodes differently from the base, of so many `lines`.
    """

    name: str
    size: int
    path: Path
    dead: int
    lines: int
    changed: int


def main() -> None:
    options = _parse()
    with contextlib.ExitStack() as stack:
        train = stack.enter_context(open_files(options.train))
        sources = _list_sources(train)
        if options.folds:
            largest = sorted(sources, key=lambda name: (-sources[name], name))
            parts = [largest[number :: options.folds] for number in range(options.folds)]
            folds = [(_select(train, part, False), _select(train, part, True)) for part in parts]
        else:
            test = stack.enter_context(open_files(options.test))
            _refuse_shared(set(sources), set(_list_sources(test)))
            folds = [(_select(train, [], False), _select(test, [], False))]
        body = measure_folds(options, folds)
    body += f"\n\nLearned from {len(sources)} sources: {'; '.join(sorted(sources))}."
    title = "Compression on unseen sources"
    if options.write:
        sys.argv = [_hide_folder(each) for each in sys.argv]  # the section shows the command
        harness.write_section(options.results, options.section, title, body)
    else:
        print(body)


def _select(documents: Source, sources: Sequence[str], inside: bool) -> Read:
    """Reads the Chinese documents of some sources, or of all others."""
    names = pa.array(sources, pa.string())

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        wanted = list(dict.fromkeys([*columns, "language", "source"]))
        for batch in _read_language(read_batches(documents, wanted)):
            found = pc.is_in(batch.column("source"), value_set=names)  # pyright: ignore
            chosen = batch.filter(found if inside else pc.invert(found))  # pyright: ignore
            if chosen.num_rows:
                yield chosen

    return read


def _hide_folder(argument: str) -> str:
    name, equals, file = argument.partition("=")
    return f"{name}={Path(file).name}" if equals else argument


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--train", nargs="+", required=True, help="files to learn from")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--test", nargs="+", help="files of other sources")
    way.add_argument("--folds", type=int, help="deal the sources of --train into so many parts")
    parser.add_argument("--english", nargs="+", default=[], help="files that must not change")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--tokenizer", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--reference", help="default: the one called Chinese-LLaMA-2")
    parser.add_argument("--only", choices=list(WAYS), nargs="+", default=list(WAYS))
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a key of [tokenizer], as a recipe has it: rounds=0, balance=0.5",
    )
    parser.add_argument("--section", default="compression", help="its name in RESULTS.md")
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    return parser.parse_args()


def _read_language(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        chosen = batch.filter(pc.equal(batch.column("language"), LANGUAGE))  # pyright: ignore
        if chosen.num_rows:
            yield chosen


def _list_sources(documents: Source) -> Counter[str]:
    """Characters of each source."""
    found: Counter[str] = Counter()
    for batch in _read_language(read_batches(documents, ("language", "source", "text"))):
        sizes = pc.utf8_length(batch.column("text")).to_pylist()  # pyright: ignore
        for source, size in zip(batch.column("source").to_pylist(), sizes, strict=True):
            found[source] += size
    return found


def _refuse_shared(train: set[str], test: set[str]) -> None:
    if shared := sorted(train & test):
        raise SystemExit(
            "these sources are in both --train and --test, so that nothing would be held out: "
            + ", ".join(shared)
        )


def make_vocabularies(options: argparse.Namespace, read: Read, folder: Path) -> Iterator[Made]:
    """Learn every size in every way and write the models."""
    base = load_model(options.base)
    for way in options.only:
        for size, texts in learn(read, base, way, options).items():
            model = append_pieces(base, texts)
            path = folder / f"{size}-{way}.model"
            path.write_bytes(model.SerializeToString())
            dead = len(find_unreachable(model, len(base.pieces)))
            lines, changed = count_changes(options.base, path, options.english)
            yield Made(f"ours ({way}) {size:,}", size, path, dead, lines, changed)


def learn(
    read: Read, base: ModelProto, way: str, options: argparse.Namespace
) -> dict[int, list[str]]:
    """The new pieces of each size: the one place that knows how pieces are learned."""
    keys = {"languages": (LANGUAGE,), **WAYS[way], **tomllib.loads("\n".join(options.set))}
    section = Tokenizer(base=str(options.base), **keys)
    kinds = make_kinds(punctuation=section.punctuation_in_pieces, spaces=section.spaces_in_pieces)
    judge = Filter.from_recipe(section.filter, Path).judge
    sources = collect_sources(read, pa.array([], pa.string()), section, kinds)
    found: dict[int, list[str]] = {}
    for size in sorted(options.size):
        sized = section.model_copy(update={"size": size})
        built = build_pieces(base, sources, kinds, sized, judge)
        found[size] = [piece.text for piece in built.pieces]
    return found


def count_changes(base: Path, extended: Path, files: Sequence[str]) -> tuple[int, int]:
    """English lines compared, and those that are encoded differently."""
    if not files:
        return 0, 0
    counter = ChangeCounter(Encoder(base), Encoder(extended), [LANGUAGE])
    with open_files(files) as documents:
        for batch in read_batches(documents):
            counter.add(batch)
    found = counter.list_changes()
    return sum(int(row["lines"]) for row in found), sum(int(row["changed"]) for row in found)


def measure_folds(options: argparse.Namespace, folds: Sequence[tuple[Read, Read]]) -> str:
    """Learn and measure in each fold; the tables laid end to end are one measurement."""
    tables: list[pa.Table] = []
    proofs: dict[str, list[Made]] = {}
    for number, (train, test) in enumerate(folds, 1):
        say(f"fold {number} of {len(folds)}")
        with tempfile.TemporaryDirectory(prefix="tongwen-compression-") as folder:
            made = list(make_vocabularies(options, train, Path(folder)))
            paths = [f"{each.name}={each.path}" for each in made]
            tokenizers = [f"base={options.base}", *paths, *options.tokenizer]
            comparer = Comparer(open_tokenizers(tokenizers))
            add_batches(comparer, test(["text", "prompt", "category", "language", "source"]))
            tables.append(comparer.finish())
        for each in made:
            proofs.setdefault(each.name, []).append(each)
    return _show(pa.concat_tables(tables), proofs, options.reference)


def _show(table: pa.Table, proofs: dict[str, list[Made]], reference: str | None) -> str:
    means = make_rates(table, reference=reference)
    sources = make_rates(table, "source", reference=reference)
    parts = [
        f"Measured on the Chinese of {means[0].sources} sources, each with vocabularies that "
        f"nothing of it was learned for ({means[0].documents:,} documents, "
        f"{means[0].characters:,} characters).",
        _show_means(means, sources, proofs),
        "Tokens per character by source, as a ratio to the reference:",
        _show_sources(means, sources),
    ]
    return "\n\n".join(parts)


def _show_means(
    means: Sequence[Rate], sources: Sequence[Rate], proofs: dict[str, list[Made]]
) -> str:
    rows = [
        (
            rate.tokenizer,
            f"{rate.pieces:,}",
            f"{rate.mean_of_sources:.4f}",
            _show_ratio(rate.mean_to_reference),
            _show_ratio(_average_ratio(sources, rate.tokenizer)),
            _show_ratio(rate.to_reference),
            *_show_proof(proofs.get(rate.tokenizer, [])),
        )
        for rate in sorted(means, key=lambda rate: (rate.pieces, rate.tokenizer))
    ]
    head = (
        *("tokenizer", "pieces", "mean of sources", "ratio of means", "mean of ratios"),
        *("ratio of all tokens", "dead pieces", "English lines changed"),
    )
    return harness.make_table(head, rows)


def _average_ratio(sources: Sequence[Rate], tokenizer: str) -> float | None:
    ratios = [each.to_reference for each in sources if each.tokenizer == tokenizer]
    known = [ratio for ratio in ratios if ratio is not None]
    return sum(known) / len(known) if known else None


def _show_ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.4f}"


def _show_proof(made: Sequence[Made]) -> tuple[str, str]:
    if not made:
        return "", ""
    lines, changed = sum(each.lines for each in made), sum(each.changed for each in made)
    dead = sum(each.dead for each in made)
    return f"{dead:,}", f"{changed:,} of {lines:,}" if lines else "-"


def _show_sources(means: Sequence[Rate], sources: Sequence[Rate]) -> str:
    """A row for each tokenizer, a column for each source, named below by a number."""
    names = sorted({rate.name for rate in sources})
    found = {(rate.tokenizer, rate.name): rate.to_reference for rate in sources}
    rows = [
        (
            rate.tokenizer,
            *(_show_ratio(found[rate.tokenizer, name]) for name in names),
        )
        for rate in sorted(means, key=lambda rate: (rate.pieces, rate.tokenizer))
    ]
    numbers = [str(number) for number in range(1, len(names) + 1)]
    legend = "; ".join(f"{number}: {name}" for number, name in zip(numbers, names, strict=True))
    return harness.make_table(("tokenizer", *numbers), rows) + "\n\n" + legend


if __name__ == "__main__":
    main()
