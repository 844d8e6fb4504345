"""Text to ids: ours beside SentencePiece and Hugging Face tokenizers, one core, one vocabulary.

    python benchmarks/encoder.py --model tokenizer.model --zh zh/*.jsonl.zst --en en/*.jsonl.zst

All read the same documents, an even share of each file.  Hugging Face's tokenizer is the
`tokenizer.json` that `tokenizer.export` writes of the model.  Each contender is a process of its
own; they take turns.  Threads are timed by the wall, before the process is bound to one core.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import harness
from harness import Worker

LANGUAGES = {"zh": "Chinese", "en": "English"}
OURS = "ours"
LABELS = {
    OURS: "ours, Arrow column",
    "ours-list": "ours, list of strings",
    "sentencepiece": "SentencePiece, document by document",
    "sentencepiece-batch": "SentencePiece, batch, num_threads=1",
    "hf": "tokenizers, encode_batch",
    "hf-fast": "tokenizers, encode_batch_fast",
}
_THREAD_ROUNDS = 11
PACKAGES = ("numba", "numpy", "pyarrow", "sentencepiece", "tokenizers")
NOTES = """
MB are 10^6 bytes of UTF-8 text, seconds are CPU seconds of one core. "x ours" is how many times as
fast ours (Arrow column) is in the same round: median [least-most]. "other ids" are documents whose
ids differ from SentencePiece's; tokenizers keeps `<s>` in a text as a special token.
"""


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="SentencePiece .model")
    parser.add_argument("--zh", type=Path, nargs="+", default=[], help="JSON lines, plain or .zst")
    parser.add_argument("--en", type=Path, nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=12, help="of text in a language")
    parser.add_argument("--only", nargs="+", default=list(LABELS), choices=list(LABELS))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--results", type=Path, help="the file to write a section of")
    options = parser.parse_args()
    threads = [measure_threads(options, model) for model in options.model]
    harness.pin_to_one_core()
    figures = [
        measure(options, model, language)
        for model in options.model
        for language in LANGUAGES
        if getattr(options, language)
    ]
    report(options, figures, threads)


def measure(options: argparse.Namespace, model: Path, language: str) -> dict[str, Any]:
    """The rates of all contenders on one language."""
    workers = start_workers(options, options.only, model, language)
    costs = harness.interleave({each.name: each.run for each in workers}, options.rounds)
    told = {each.name: each.told for each in workers}
    stop_workers(workers)
    rates = {
        name: [told[name]["bytes"] / 1e6 / cost.cpu for cost in rounds]
        for name, rounds in costs.items()
    }
    return {"model": str(model), "language": language, "rates": rates, "about": told}


def measure_threads(options: argparse.Namespace, model: Path) -> dict[str, Any]:
    """Seconds by the wall of one thread and of two, on all the text."""
    language = "zh" if options.zh else "en"
    workers = start_workers(options, ["threads-1", "threads-2"], model, language)
    rounds = max(options.rounds, _THREAD_ROUNDS)
    costs = harness.interleave({each.name: each.run for each in workers}, rounds)
    stop_workers(workers)
    walls = {name: [cost.wall for cost in rounds] for name, rounds in costs.items()}
    return {"model": str(model), "language": language, "walls": walls}


def start_workers(
    options: argparse.Namespace, names: Sequence[str], model: Path, language: str
) -> list[Worker]:
    workers = []
    for name in names:
        files = [str(file) for file in getattr(options, language)]
        command = [sys.executable, __file__, "--serve", name, str(model), str(options.megabytes)]
        workers.append(Worker(name, [*command, *files]))
        workers[-1].start()
    return workers


def stop_workers(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.stop()


def report(
    options: argparse.Namespace, figures: list[dict[str, Any]], threads: list[dict[str, Any]]
) -> None:
    parts = [f"{make_title(each)}\n\n{make_table(each)}" for each in figures]
    parts += [describe_threads(each) for each in threads]
    found = harness.find_versions(Path(sys.executable), PACKAGES)
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    body = "\n\n".join([*parts, NOTES.strip(), f"Versions. {versions}."])
    if options.json:
        table = {"figures": figures, "threads": threads}
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    if options.results:
        harness.write_section(options.results, "encoder", "Text to ids", body)
    else:
        print(body)


def make_title(figures: dict[str, Any]) -> str:
    about = figures["about"][next(iter(figures["about"]))]
    size = f"{about['bytes'] / 1e6:.1f} MB, {about['documents']:,} documents"
    return f"### {LANGUAGES[figures['language']]}, {about['pieces']:,} pieces, {size}"


def make_table(figures: dict[str, Any]) -> str:
    rates, rows = figures["rates"], []
    for name, each in rates.items():
        ratio = "" if name == OURS or OURS not in rates else format_ratios(rates[OURS], each)
        other = f"{figures['about'][name]['different']:,}"
        rows.append([LABELS[name], f"{median(each):,.3g}", ratio, other])
    return harness.make_table(["", "MB/s", "x ours", "other ids"], rows)


def format_ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    return harness.format_ratios(ours, theirs)


def describe_threads(threads: dict[str, Any]) -> str:
    one, two = threads["walls"]["threads-1"], threads["walls"]["threads-2"]
    ratios = [first / second for first, second in zip(one, two, strict=True)]
    span = f"[{min(ratios):.2f}-{max(ratios):.2f}]"
    name = f"{Path(threads['model']).name}, {LANGUAGES[threads['language']]}"
    return f"Two threads, by the wall: {median(ratios):.2f} {span} times one ({name})."


def serve(name: str, model: str, megabytes: str, *files: str) -> None:
    """One contender: read the text, compare its ids with SentencePiece's, then work in turns."""
    texts = list(read_sample([Path(file) for file in files], float(megabytes) * 1e6))
    encode, to_lists = PREPARE[name](Path(model), texts)
    different = 0 if name.startswith("threads") else count_different(Path(model), texts, to_lists)
    about = {
        "bytes": sum(len(text.encode()) for text in texts),
        "documents": len(texts),
        "pieces": load_sentencepiece(Path(model)).vocab_size(),
        "different": different,
    }

    def work() -> dict[str, Any]:
        encode()
        return {}

    harness.serve(work, about)


def count_different(model: Path, texts: list[str], to_lists: Callable[[], list[list[int]]]) -> int:
    expected = load_sentencepiece(model).encode(texts, num_threads=1)
    return sum(one != other for one, other in zip(to_lists(), expected, strict=True))


Prepared = tuple[Callable[[], Any], Callable[[], list[list[int]]]]


def prepare_ours(model: Path, texts: list[str], *, column: bool, num_threads: int = 1) -> Prepared:
    import pyarrow as pa

    from tokenizer import Encoder

    encoder = Encoder(model, num_threads=num_threads)
    given = pa.array(texts, pa.large_string()) if column else texts

    def to_lists() -> list[list[int]]:
        ids, offsets = encoder.encode(given)
        return [ids[start:stop].tolist() for start, stop in pairwise(offsets)]

    return lambda: encoder.encode(given), to_lists


def prepare_sentencepiece(model: Path, texts: list[str], *, batch: bool) -> Prepared:
    processor = load_sentencepiece(model)
    if batch:
        return lambda: processor.encode(texts, num_threads=1), lambda: processor.encode(texts)
    return (lambda: [processor.encode(text) for text in texts]), lambda: processor.encode(texts)


def load_sentencepiece(model: Path) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(model))


def prepare_hf(model: Path, texts: list[str], *, fast: bool) -> Prepared:
    from tokenizers import Tokenizer

    from tokenizer.export import write_tokenizer_json
    from tokenizer.model import parse_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        write_tokenizer_json(parse_model(model), path)
        tokenizer = Tokenizer.from_file(str(path))
    encode = tokenizer.encode_batch_fast if fast else tokenizer.encode_batch

    def run() -> list[Any]:
        return encode(texts, add_special_tokens=False)

    return run, lambda: [each.ids for each in run()]


PREPARE: dict[str, Callable[[Path, list[str]], Prepared]] = {
    OURS: lambda model, texts: prepare_ours(model, texts, column=True),
    "ours-list": lambda model, texts: prepare_ours(model, texts, column=False),
    "threads-1": lambda model, texts: prepare_ours(model, texts * 4, column=True),
    "threads-2": lambda model, texts: prepare_ours(model, texts * 4, column=True, num_threads=2),
    "sentencepiece": lambda model, texts: prepare_sentencepiece(model, texts, batch=False),
    "sentencepiece-batch": lambda model, texts: prepare_sentencepiece(model, texts, batch=True),
    "hf": lambda model, texts: prepare_hf(model, texts, fast=False),
    "hf-fast": lambda model, texts: prepare_hf(model, texts, fast=True),
}


def read_sample(files: Sequence[Path], size: float) -> Iterator[str]:
    """Documents from the beginning of each file, of each about as many bytes."""
    for file in files:
        left = size / len(files)
        for text in read_texts(file):
            left -= len(text.encode())
            yield text
            if left <= 0:
                break


def read_texts(file: Path) -> Iterator[str]:
    """The texts of a file of JSON lines; of questions and answers, both."""
    for line in open_lines(file):
        table = json.loads(line)
        yield from (table[key] for key in ("source", "target", "text") if wants(table, key))


def wants(table: dict[str, Any], key: str) -> bool:
    """`source` names an origin where there is a text, and is the question where there is none."""
    return key in table and (key == "text" or "text" not in table)


def open_lines(file: Path) -> Iterator[str]:
    if file.suffix != ".zst":
        with file.open(encoding="utf-8") as lines:
            yield from lines
        return
    import zstandard

    with zstandard.open(file, "rb") as raw:
        yield from io.TextIOWrapper(raw, encoding="utf-8")


if __name__ == "__main__":
    main()
