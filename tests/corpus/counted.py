"""A small corpus with planted duplicates of every kind, and what a plain loop says about it."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.counting.character_classes import COUNTS, count_characters
from corpus.counting.statistics import write_statistics
from corpus.counting.views import KINDS
from corpus.documents import RejectWriter, ShardWriter
from corpus.reading.records import Document, Reject, hash_document
from tongwen.record import produce
from tongwen.run import RunFolder

Row = dict[str, Any]
PIECES = ("汉语简体", "漢語繁體", "plain words ", "12，", "かな한글", "é🧧\n", "\x1b[31m")
DUPLICATES = pa.schema(
    [(name, pa.string()) for name in ("id", "origin", "keeper")]
    + [("jaccard", pa.float64()), ("kind", pa.string()), ("later", pa.int64())]
)
CUTS = pa.schema(
    [("id", pa.string()), ("origin", pa.string()), ("start", pa.int64()), ("stop", pa.int64())]
)
ALL_KINDS = (*KINDS, "of a kind not known yet")


def make_documents(chance: random.Random, number: int) -> list[Document]:
    """Documents of a few groups, some with prompts, some the same."""
    found: list[Document] = []
    for line in range(1, number + 1):
        text = "".join(chance.choices(PIECES, k=chance.randint(1, 30)))
        text = found[-1].text if found and chance.random() < 0.2 else text
        prompt = "问？" * (chance.random() < 0.2)
        category, language = chance.choice([("法律", "zh"), ("law's", "en"), ("mixed", "zh")])
        source = chance.choice(["一", "two", ""])
        key = (hash_document(prompt, text), text, prompt, category, language, source)
        found.append(Document(*key, f"a b.jsonl:{line}"))
    return found


def choose_duplicates(chance: random.Random, documents: list[Document]) -> list[Row]:
    return [
        {
            "id": document.id, "origin": document.origin, "keeper": chance.choice(documents[:9]).id,
            "jaccard": 0.8 + chance.random() / 5, "kind": chance.choice(ALL_KINDS), "later": 1,
        }
        for document in documents
        if chance.random() < 0.4
    ]  # fmt: skip


def choose_cuts(chance: random.Random, documents: list[Document], gone: list[Row]) -> list[Row]:
    """Some of the plain words of some of the documents that stay."""
    origins, word = {row["origin"] for row in gone}, b"plain words "
    found: list[Row] = []
    for document in documents:
        at, data = 0, document.text.encode()
        while document.origin not in origins and (at := data.find(word, at)) >= 0:
            if chance.random() < 0.4:
                row = {"id": document.id, "origin": document.origin}
                found.append({**row, "start": at, "stop": at + len(word)})
            at += len(word)
    return found


def write_inputs(
    root: Path, documents: list[Document], duplicates: list[Row], cuts: list[Row] | None = None
) -> RunFolder:
    """A run folder with documents and duplicates, all in small row groups."""

    def write_documents(out: Path) -> dict[str, Any]:
        with ShardWriter(out, 20_000, 3000) as writer:
            for document in documents:
                writer.write(document)
        with RejectWriter(out / "rejects.parquet") as rejects:
            for line in range(7):
                rejects.write(Reject("a.jsonl", line, "empty" if line % 3 else "bad_json", "", ""))
        return {}

    def write_duplicates(out: Path) -> dict[str, Any]:
        table = pa.Table.from_pylist(duplicates, DUPLICATES)
        pq.write_table(table, out / "duplicates.parquet", row_group_size=11)
        if cuts is not None:
            table = pa.Table.from_pylist(cuts, CUTS)
            pq.write_table(table, out / "cuts.parquet", row_group_size=7)
        return {}

    for name, build in (("documents", write_documents), ("duplicates", write_duplicates)):
        folder = root / "corpus" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        produce(folder, kind=f"corpus/{name}", config={}, inputs={}, build=build)
    return RunFolder(root)


def count(run: RunFolder, workers: int = 1) -> Path:
    """Build the statistics."""
    folder = run.path("corpus/statistics")

    def build(out: Path) -> dict[str, Any]:
        return write_statistics(
            documents=run.finished("corpus/documents"),
            duplicates=run.finished("corpus/duplicates"),
            out=out,
            memory=200_000_000,
            workers=workers,
        )

    produce(folder, kind="corpus/statistics", config={}, inputs={}, build=build)
    return folder


def tell(documents: list[Document], duplicates: list[Row], cuts: list[Row]) -> list[Row]:
    """The rows of the table `documents`, by a plain loop."""
    gone = {row["origin"]: row for row in duplicates}
    num_cuts = Counter(row["origin"] for row in cuts)
    rows: list[Row] = []
    for document in documents:
        fate, cut = gone.get(document.origin, {}), 12 * num_cuts[document.origin]
        text = cut_slowly(document, [row for row in cuts if row["origin"] == document.origin])
        whole = document.prompt + text
        (counts,) = count_characters(pa.array([whole])).tolist()
        names = ("id", "origin", "category", "language", "source")
        rows.append(
            {
                **{name: getattr(document, name) for name in names},
                "kind_of_text": "qa" if document.prompt else "text",
                **dict(zip(COUNTS, counts, strict=True)),
                "characters": len(whole),
                "bytes": len(whole.encode()),
                "prompt_characters": len(document.prompt),
                "cut_characters": cut,
                "kept": not fate,
                "duplicate_kind": fate.get("kind"),
                "keeper": fate.get("keeper"),
                "jaccard": fate.get("jaccard"),
            }
        )
    return rows


def cut_slowly(document: Document, cuts: list[Row]) -> str:
    data = document.text.encode()
    for row in reversed(cuts):
        data = data[: row["start"]] + data[row["stop"] :]
    return data.decode()


def make_counted(root: Path, number: int = 700) -> tuple[RunFolder, list[Row]]:
    """A run folder with finished statistics, and the rows of its table `documents`."""
    chance = random.Random(7)
    documents = make_documents(chance, number)
    duplicates = choose_duplicates(chance, documents)
    cuts = choose_cuts(chance, documents, duplicates)
    run = write_inputs(root, documents, duplicates, cuts)
    count(run, workers=2)
    return run, tell(documents, duplicates, cuts)


def total(rows: list[Row], name: str) -> int:
    return sum(row[name] for row in rows)


def kept(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["kept"]]


def hash_files(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
