"""The sample corpus: a small bilingual corpus, and a copy of it with known defects planted.

The package holds three files that are clean: `zh.jsonl` and `en.jsonl` (documents) and `qa.jsonl`
(question-answer pairs), CC0-1.0, written for this purpose.  A demonstration of cleaning needs
dirt whose place is known, so `write_sample` adds a fourth file, `planted.jsonl`, made of exact
copies, near copies and lines that cannot be used, and `truth/planted.truth.json`, which says what
each of its lines is.  The truth lies in a folder of its own so that a pattern such as `*.jsonl`
or `*.json` over the sample never reads the answers as a corpus.

The bytes written depend on the arguments alone.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

__all__ = ["DOCUMENTS", "PAIRS", "PLANTED", "TRUTH", "PlantedLine", "write_sample"]

DOCUMENTS = ("en.jsonl", "zh.jsonl")
PAIRS = "qa.jsonl"
PLANTED = "planted.jsonl"
TRUTH = "truth/planted.truth.json"

Kind = Literal["exact", "near", "broken"]
Document = dict[str, str]

_HAN = re.compile(r"[\u4e00-\u9fff]")
_WORD = re.compile(r"[A-Za-z]{4,}")
_FILLERS = "也又还都便就很再"
_CLAUSES = ("这一点值得留意。", "不妨自己试一试。", "道理并不复杂。", "许多人并不知道。")
_WORDS = ("perhaps", "certain", "another", "indeed", "almost", "usually", "several", "rather")


@dataclass(frozen=True)
class PlantedLine:
    """What one line of `planted.jsonl` is.

    Attributes:
        line: its number, from 1.
        kind: an exact copy, a near copy or a line that cannot be used.
        detail: the edit that was made, or what is wrong with the line.
        original_file: the file it was copied from; None for a broken line.
        original_line: the line there, from 1; None for a broken line.
    """

    line: int
    kind: Kind
    detail: str
    original_file: str | None = None
    original_line: int | None = None


@dataclass(frozen=True)
class _Original:
    """A document of the sample and where it stands."""

    file: str
    line: int
    document: Document


@dataclass(frozen=True)
class _Plant:
    """A line to plant, before it has its place."""

    data: bytes
    kind: Kind
    detail: str
    original: _Original | None = None


def write_sample(
    folder: Path, *, seed: int = 1, num_exact: int = 12, num_near: int = 24, num_broken: int = 6
) -> list[Path]:
    """Write the sample corpus and its planted defects into a folder.

    Args:
        folder: where to write; it is made if it is not there, and files of the same names in it
            are replaced.
        seed: decides which documents are copied, how they are edited and the order of the lines.
        num_exact: exact copies to plant.
        num_near: near copies to plant, each one or two small edits away from its original.
        num_broken: lines to plant that no reader can use.

    Returns:
        The files written: documents, pairs, planted lines and, last, the truth about these.

    Raises:
        ValueError: a number is negative, or there are not enough long documents to copy.
    """
    if min(num_exact, num_near, num_broken) < 0:
        raise ValueError(f"cannot plant {num_exact}, {num_near} and {num_broken} lines")
    plants = _make_plants(random.Random(seed), num_exact, num_near, num_broken)
    contents = {name: _read(name) for name in (*DOCUMENTS, PAIRS)}
    contents[PLANTED] = b"".join(plant.data + b"\n" for plant in plants)
    contents[TRUTH] = _describe(plants)
    for name, data in contents.items():
        _write(folder / name, data)
    return [folder / name for name in contents]


def _make_plants(
    rng: random.Random, num_exact: int, num_near: int, num_broken: int
) -> list[_Plant]:
    originals = _choose_originals(rng, num_exact + num_near)
    plants = [_copy(original) for original in originals[:num_exact]]
    plants += [_edit(original, rng) for original in originals[num_exact:]]
    plants += [_break(index) for index in range(num_broken)]
    rng.shuffle(plants)
    return plants


def _choose_originals(rng: random.Random, count: int) -> list[_Original]:
    """Different long documents, the languages by turns so that each has copies of each kind."""
    pools = [_longer_half(name) for name in DOCUMENTS]
    for pool in pools:
        rng.shuffle(pool)
    turns = [original for pair in zip(*pools, strict=False) for original in pair]
    if count > len(turns):
        raise ValueError(f"the sample has originals for {len(turns)} copies, not for {count}")
    return turns[:count]


def _longer_half(name: str) -> list[_Original]:
    lines = _read(name).decode("utf-8").splitlines()
    originals = [_Original(name, number, json.loads(line)) for number, line in enumerate(lines, 1)]
    # The same small edit leaves a long text more similar to its original than a short one.
    originals.sort(key=lambda original: (-len(original.document["text"]), original.line))
    return originals[: len(originals) // 2]


def _copy(original: _Original) -> _Plant:
    return _Plant(_encode(original.document), "exact", "copy", original)


def _edit(original: _Original, rng: random.Random) -> _Plant:
    document = original.document
    edits = _CHINESE_EDITS if document["language"] == "zh" else _ENGLISH_EDITS
    name = rng.choice(sorted(edits))
    text = edits[name](document["text"], rng)
    return _Plant(_encode({**document, "text": text}), "near", name, original)


def _delete(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 2)):
        place = _pick_han(text, rng)
        text = text[:place] + text[place + 1 :]
    return text


def _insert(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 2)):
        place = _pick_han(text, rng)
        text = text[:place] + rng.choice(_FILLERS) + text[place:]
    return text


def _replace(text: str, rng: random.Random) -> str:
    place = _pick_han(text, rng)
    others = [filler for filler in _FILLERS if filler != text[place]]
    return text[:place] + rng.choice(others) + text[place + 1 :]


def _append(text: str, rng: random.Random) -> str:
    return text + rng.choice(_CLAUSES)


def _replace_word(text: str, rng: random.Random) -> str:
    match = rng.choice(list(_WORD.finditer(text)))
    others = [word for word in _WORDS if word != match[0].lower()]
    return text[: match.start()] + rng.choice(others) + text[match.end() :]


def _pick_han(text: str, rng: random.Random) -> int:
    # An edit of punctuation would be undone where a text is normalised before it is compared.
    return rng.choice([match.start() for match in _HAN.finditer(text)])


_CHINESE_EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "append a clause": _append,
    "delete characters": _delete,
    "insert characters": _insert,
    "replace a character": _replace,
}
_ENGLISH_EDITS: dict[str, Callable[[str, random.Random], str]] = {"replace a word": _replace_word}
_REST = b', "category": "broken", "language": "zh", "source": "tongwen-sample"}'
_BROKEN: tuple[tuple[str, bytes], ...] = (
    ("bad JSON", '{"text": "这一行没有写完'.encode()),
    ("invalid UTF-8", b'{"text": "\xff\xfe\xb0\xa1"' + _REST),
    ("empty text", b'{"text": ""' + _REST),
    ("text of the wrong type", b'{"text": 20240229' + _REST),
    ("no text", b'{"title": "untitled"' + _REST),
    ("not an object", b'["text", "category"]'),
)


def _break(index: int) -> _Plant:
    detail, data = _BROKEN[index % len(_BROKEN)]
    return _Plant(data, "broken", detail)


def _describe(plants: list[_Plant]) -> bytes:
    lines = [_locate(plant, number) for number, plant in enumerate(plants, 1)]
    truth = {"file": PLANTED, "lines": [asdict(line) for line in lines]}
    return (json.dumps(truth, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _locate(plant: _Plant, number: int) -> PlantedLine:
    if plant.original is None:
        return PlantedLine(number, plant.kind, plant.detail)
    original = plant.original
    return PlantedLine(number, plant.kind, plant.detail, original.file, original.line)


def _encode(document: Document) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _read(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
