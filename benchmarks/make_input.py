"""A big corpus made of a small one: distinct documents, near duplicates and copies, by a seed.

The sentences of a language are shuffled and laid end to end, then cut at the lengths of real
documents: every pass over the text gives documents of real words and lengths that share hardly a
shingle.  One in eight is then an earlier document with an edit that leaves a Jaccard similarity of
0.8 to 1 by its size (a part replaced, the end cut off, text appended), one in thirty an exact copy.
The price: order and meaning inside a document are lost, which no contender looks at.
"""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

NEAR, COPIES = 0.125, 0.033
"""Shares of the documents that are near duplicates and exact copies."""
RESERVOIR = 20_000
"""So many earlier documents, evenly spread, are at hand to be edited."""
NGRAM = 5
"""Tokens of a shingle."""
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_SENTENCE = re.compile(r"[^。！？!?\n]{1,200}[。！？!?\n]*\s*|[。！？!?\n]+\s*")


def read_lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The objects of JSON-lines files, plain or .zst."""
    import zstandard

    for path in paths:
        with path.open("rb") as file:
            plain = path.suffix != ".zst"
            stream = file if plain else zstandard.ZstdDecompressor().stream_reader(file)
            with io.TextIOWrapper(stream, encoding="utf-8") as lines:
                yield from map(json.loads, lines)


@dataclass
class Language:
    """Sentences and document lengths (in characters) of one language."""

    sentences: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Take a document apart."""
        self.sentences += _SENTENCE.findall(text)
        self.lengths.append(len(text))

    def make(self, chance: random.Random) -> Iterator[str]:
        """Documents of one pass over the shuffled sentences."""
        chance.shuffle(self.sentences)
        sentences = iter(self.sentences)
        for length in chance.sample(self.lengths, len(self.lengths)):
            parts: list[str] = []
            missing = length
            while missing > 0 and (part := next(sentences, None)) is not None:
                parts.append(part)
                missing -= len(part)
            if not parts:
                return
            yield "".join(parts).strip()


def edit(text: str, other: str, chance: random.Random) -> str:
    """A near copy: of m shingles so many go and come that those of both are 0.8 to 1 of all."""
    similarity = chance.uniform(0.8, 1.0)
    spans = [match.span() for match in _TOKEN.finditer(text)]
    num = len(spans) - NGRAM + 1
    kind = chance.choice(("replace", "replace", "cut", "append"))
    changed = int(num * (1 - similarity) / (1 + similarity)) - NGRAM + 1
    if kind == "replace" and changed >= 1:
        first = chance.randrange(len(spans) - changed)
        start, stop = spans[first][0], spans[first + changed - 1][1]
        return text[:start] + _take_tokens(other, changed) + text[stop:]
    if kind == "append":
        return f"{text}\n{_take_tokens(other, int(num * (1 / similarity - 1)))}"
    cut = int(num * (1 - similarity))
    return text[: spans[-cut][0]].rstrip() if cut >= 1 else text


def _take_tokens(text: str, count: int) -> str:
    stop = 0
    for match in islice(_TOKEN.finditer(text), count):
        stop = match.end()
    return text[:stop]


class Made(NamedTuple):
    """A document of the big corpus.

    Attributes:
        kind: new, near or copy.
        source: number of the document that it was made of, its own where it is new.
    """

    number: int
    text: str
    language: str
    kind: str
    source: int


def make_documents(languages: dict[str, Language], chance: random.Random) -> Iterator[Made]:
    """Documents without end."""
    earlier: list[Made] = []
    number = 0
    while True:
        for text, language in _interleave(languages, chance):
            new = Made(number, text, language, "new", number)
            place = len(earlier) if len(earlier) < RESERVOIR else chance.randrange(5 * RESERVOIR)
            earlier[place : place + 1] = [new] if place < RESERVOIR else []
            yield new
            number += 1
            draw = chance.random() * (1 - NEAR - COPIES)
            if draw < NEAR + COPIES:
                source = chance.choice(earlier)
                kind = "near" if draw < NEAR else "copy"
                changed = edit(source.text, text, chance) if kind == "near" else source.text
                yield Made(number, changed, source.language, kind, source.number)
                number += 1


def _interleave(languages: dict[str, Language], chance: random.Random) -> Iterator[tuple[str, str]]:
    """The documents of one pass of every language, mixed."""
    streams = {name: language.make(chance) for name, language in sorted(languages.items())}
    weights = {name: len(languages[name].lengths) for name in streams}
    while streams:
        names = sorted(streams)
        (name,) = chance.choices(names, [weights[each] for each in names])
        text = next(streams[name], None)
        if text is None:
            del streams[name]
        elif text:
            yield text, name


def make_corpus(texts: Sequence[Path], whole: Path, half: Path, size: int, seed: int) -> str:
    """Write `size` bytes of JSON lines to `whole` and the first half of them to `half`.

    Beside `whole`, `.planted` has "ID SOURCE KIND LANGUAGE" of every near duplicate and copy.

    Returns:
        What was made, in words.
    """
    languages: dict[str, Language] = {}
    for line in read_lines(texts):
        language = "zh" if line.get("lang", line.get("language")) == "zh" else "en"
        languages.setdefault(language, Language()).add(line["text"])
    counts = {"new": 0, "near": 0, "copy": 0}
    written = 0
    with (
        whole.open("wb") as file,
        half.open("wb") as start,
        whole.with_suffix(".planted").open("w", encoding="utf-8") as planted,
    ):
        for made in make_documents(languages, random.Random(seed)):
            line = {"text": made.text, "lang": made.language, "id": made.number}
            if made.kind != "new":
                planted.write(f"{made.number} {made.source} {made.kind} {made.language}\n")
            data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
            file.write(data)
            if written < size / 2:
                start.write(data)
            counts[made.kind] += 1
            written += len(data)
            if written >= size:
                break
    total = sum(counts.values())
    return (
        f"{written / 1e6:,.0f} MB, {total:,} documents: {counts['new']:,} new, "
        f"{counts['near']:,} near duplicates, {counts['copy']:,} copies"
    )


def write_sample(texts: Sequence[Path], path: Path, size: int, seed: int) -> None:
    """`size` bytes of texts in random order, one JSON string a line; books are left out.

    A document of more than 100,000 characters would be a small sample of its own.
    """
    found = [line["text"] for line in read_lines(texts) if len(line["text"]) <= 100_000]
    random.Random(seed).shuffle(found)
    with path.open("w", encoding="utf-8") as file:
        for text in found:
            file.write(json.dumps(text, ensure_ascii=False) + "\n")
            size -= len(text.encode())
            if size <= 0:
                break


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description="Write a sample, or a big corpus.")
    parser.add_argument("texts", type=Path, nargs="+", help="JSON lines with `text`, plain or .zst")
    parser.add_argument("--sample", type=Path, help="where the sample goes")
    parser.add_argument("--whole", type=Path, help="where the corpus goes")
    parser.add_argument("--half", type=Path, help="where its first half goes")
    parser.add_argument("--bytes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    size = int(options.bytes)
    if options.sample:
        write_sample(options.texts, options.sample, size, options.seed)
    if options.whole and options.half:
        print(make_corpus(options.texts, options.whole, options.half, size, options.seed))


if __name__ == "__main__":
    main()
