"""Are near duplicates found, all of them and nothing else?  Held against brute force.

    python benchmarks/dedup_quality.py --text zh/*.jsonl.zst en/*.jsonl.zst --neardup neardup

Planted edits: documents of `--text` (JSON lines with `text` and `lang`), half of all texts edited
copies of known strength, as `tongwen corpus audit` plants them.  Versions: four versions of the
same Chinese pages (`zh_pydocs_versions.tar.zst`).  Articles: English articles with planted
plagiarism and truth files (`minhash_articles_en.tar.zst`).  The truth is the exact Jaccard
similarity of all pairs; what is asked for is recall >= 0.995 and precision 1 at 0.8 or above, and
of the articles every planted pair and no other.  Exit status 1 if one does not hold.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard
from harness import RESULTS, find_versions, make_table, write_section
from numpy.typing import NDArray

from corpus import find_duplicates, minhash
from corpus.audit.auditing import Outcome, audit_documents
from corpus.audit.exhaustive import collect_sets, find_similar
from corpus.audit.sampling import MAX_CHARACTERS, MIN_CHARACTERS, SAMPLE
from corpus.audit.tables import make_tables
from tongwen.recipe import Duplicates

RECALL = 0.995
PER_FILE = 2000
CHOICES = ((128, 16, 8), (128, 18, 7), (128, 21, 6), (128, 25, 5), (256, 32, 8), (256, 36, 7))
"""Permutations, bands and rows that are compared."""
PACKAGES = ("numpy", "numba", "pyarrow", "datasketch")


@dataclass(frozen=True)
class Measured:
    """A set of texts and how the search did on it."""

    name: str
    texts: list[str]
    outcome: Outcome

    @property
    def totals(self) -> dict[str, Any]:
        return make_tables(self.outcome)["totals"]

    @property
    def holds(self) -> bool:
        return (self.totals["recall"] or 0) >= RECALL and self.totals["precision"] == 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--text", nargs="+", type=Path, required=True, help=".jsonl.zst files")
    parser.add_argument("--neardup", type=Path, help="folder of the two sets")
    parser.add_argument("--documents", type=int, default=4000, help="of each language")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    sets = [measure_planted(name, options) for name in ("zh", "en")]
    articles: list[tuple[str, ...]] = []
    all_right = True
    if options.neardup:
        sets.append(measure_versions(options.neardup))
        articles, all_right = check_articles(options.neardup)
    write_section(options.results, "dedup_quality", "Duplicates: quality", describe(sets, articles))
    sys.exit(0 if all_right and all(each.holds for each in sets) else 1)


def measure_planted(language: str, options: argparse.Namespace) -> Measured:
    """Edited copies among real documents of a language."""
    rows = read_documents(sorted(options.text), language, options.documents)
    columns = zip(*rows, strict=True)
    table = pa.table([pa.array(list(column), pa.string()) for column in columns], schema=SAMPLE)
    outcome = audit_documents(table)
    texts = [*table["text"].to_pylist(), *(copy.text for copy in outcome.copies)]
    return Measured(f"planted edits, {language}", texts, outcome)


def read_documents(
    files: Sequence[Path], language: str, most: int
) -> list[tuple[str, str, str, str]]:
    """Different documents of a language, the files taking turns."""
    found: dict[str, tuple[str, str, str, str]] = {}
    waiting = [read_texts(file, language) for file in files]
    while waiting and len(found) < most:
        going: list[Iterator[str]] = []
        for texts in waiting:
            for text in islice(texts, 1):
                found.setdefault(text, (str(len(found)), "", language, text))
                going.append(texts)
        waiting = going
    return list(found.values())[:most]


def read_texts(file: Path, language: str) -> Iterator[str]:
    """Texts of a file that are long enough, cut where the audit cuts them."""
    with zstandard.open(file, "rt", encoding="utf-8") as lines:
        for line in islice(lines, PER_FILE):
            row = json.loads(line)
            text = row.get("text", "")[:MAX_CHARACTERS]
            if row.get("lang") == language and len(text) >= MIN_CHARACTERS:
                yield text


def open_archive(path: Path) -> tarfile.TarFile:
    data = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    return tarfile.open(fileobj=io.BytesIO(data))


def read_lines(archive: tarfile.TarFile, name: str) -> list[str]:
    file = archive.extractfile(name)
    assert file is not None, name
    return file.read().decode("utf-8").splitlines()


def measure_versions(folder: Path) -> Measured:
    """Versions of the same pages, nothing planted."""
    with open_archive(folder / "zh_pydocs_versions.tar.zst") as archive:
        lines = read_lines(archive, "zh_pydocs_versions/docs.jsonl")
    texts = [json.loads(line)["text"] for line in lines]
    ids = [str(number) for number in range(len(texts))]
    columns = [ids, [""] * len(texts), ["zh"] * len(texts), texts]
    table = pa.table([pa.array(column) for column in columns], schema=SAMPLE)
    return Measured("versions of pages, zh", texts, audit_documents(table, copies=0.0))


def check_articles(folder: Path) -> tuple[list[tuple[str, ...]], bool]:
    """For every size of the set: pairs planted, pairs found, and others."""
    rows: list[tuple[str, ...]] = []
    right = True
    with open_archive(folder / "minhash_articles_en.tar.zst") as archive:
        for size in (100, 1000, 2500):
            name = f"minhash_articles_en/articles_{size}"
            truth = {frozenset(line.split()) for line in read_lines(archive, f"{name}.truth")}
            pairs = [line.partition(" ") for line in read_lines(archive, f"{name}.train")]
            ids, texts = [pair[0] for pair in pairs], [pair[2] for pair in pairs]
            found = find_duplicates(pa.table({"text": texts}))
            named = zip(found.rows.tolist(), found.keepers.tolist(), strict=True)
            made = {frozenset((ids[row], ids[keeper])) for row, keeper in named}
            lowest, next_best = find_margin(texts, ids, truth)
            counts = (len(texts), len(truth), len(made & truth), len(made - truth))
            rows.append((*map(str, counts), f"{lowest:.3f}", f"{next_best:.3f}"))
            right &= made == truth
    return rows, right


def find_margin(
    texts: list[str], ids: list[str], truth: set[frozenset[str]]
) -> tuple[float, float]:
    """Least similarity of a planted pair, greatest of any other, by brute force."""
    pairs, values = find_similar(collect_sets(pa.array(texts), 5), 0.02)
    planted = np.array([frozenset((ids[a], ids[b])) in truth for a, b in pairs.tolist()])
    assert planted.sum() == len(truth)
    return float(values[planted].min()), float(values[~planted].max())


def describe(sets: Sequence[Measured], articles: Sequence[tuple[str, ...]]) -> str:
    versions = find_versions(Path(sys.executable), PACKAGES)
    parameters = sets[0].outcome.parameters
    parts = [
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        f"Recall and precision at an exact Jaccard similarity of {parameters['threshold']} or "
        f"above, {parameters['num_perm']} permutations, {parameters['bands']} bands of "
        f"{parameters['rows']} rows, by brute force over all pairs, planted or not. A pair is "
        "found when one of the two was removed for a document that is really so similar. Asked "
        f"for: recall >= {RECALL}, precision 1. \"Recall below 1\" leaves out the pairs whose "
        "shingles are all the same, which no choice of bands can miss.",
        make_table(
            ("set", "texts", "pairs", "candidates", "found", "recall", "recall below 1", "removed",
             "falsely", "precision", ""),
            [format_set(each) for each in sets],
        ),
        "Recall by range of similarity:",
        make_table(("set", *name_ranges(sets[0])), [format_ranges(each) for each in sets]),
        "Planted copies by perturbation (found / to be found; below the threshold, left alone):",
        make_table(("perturbation", "zh", "en"), format_perturbations(sets[:2])),
        "Other bands and rows on the same texts: share of the pairs that become candidates, and in "
        "brackets candidates from 0.3 to below the threshold for each pair to be found.",
        make_table(
            ("permutations", "bands x rows", *(each.name for each in sets)), compare_bands(sets)
        ),
    ]  # fmt: skip
    if articles:
        head = ("articles", "planted", "found", "others removed", "least similar planted pair",
                "most similar other")  # fmt: skip
        about = "Articles with planted plagiarism, with the settings above (threshold 0.8, " \
            "5-word shingles):"  # fmt: skip
        parts += [about, make_table(head, articles)]
    return "\n\n".join(parts)


def format_set(each: Measured) -> tuple[str, ...]:
    totals = each.totals
    counts = [totals[name] for name in ("expected", "expected_candidates", "found")]
    every = each.outcome.every
    harder = every.expected & (every.similarity < 1.0)
    return (
        each.name,
        f"{len(each.texts):,}",
        *(f"{value:,}" for value in counts),
        f"{totals['recall']:.4f}",
        f"{every.found[harder].mean():.4f}",
        f"{totals['removed']:,}",
        f"{totals['false_removals']:,}",
        f"{totals['precision']:.4f}",
        "holds" if each.holds else "FAILS",
    )


def list_ranges(each: Measured) -> list[dict[str, Any]]:
    rows = make_tables(each.outcome)["by_range"]
    return [row for row in rows if row["from"] >= Duplicates().threshold]


def name_ranges(each: Measured) -> list[str]:
    return [f"{row['from']:.2f} - {row['to']:.2f}" for row in list_ranges(each)]


def format_ranges(each: Measured) -> list[str]:
    rows = list_ranges(each)
    return [each.name, *(f"{row['found']:,} / {row['expected']:,}" for row in rows)]


def format_perturbations(sets: Sequence[Measured]) -> Iterator[list[str]]:
    """A row for each perturbation, all strengths together."""
    tables = [make_tables(each.outcome)["by_perturbation"] for each in sets]
    names = dict.fromkeys(row["perturbation"] for table in tables for row in table)
    for name in names:
        cells: list[str] = []
        for table in tables:
            rows = [row for row in table if row["perturbation"] == name]
            keys = ("found", "expected", "left_alone", "below")
            found, expected, left, below = (sum(row[key] for row in rows) for key in keys)
            cells.append(f"{found} / {expected}; {left} / {below}" if rows else "-")
        yield [name, *cells]


def compare_bands(sets: Sequence[Measured]) -> Iterator[list[str]]:
    """Every choice of bands and rows, on every set."""
    truths = [find_similar(collect_sets(pa.array(each.texts), 5), 0.3) for each in sets]
    for num_perm, bands, rows in CHOICES:
        cells: list[str] = []
        for each, (pairs, values) in zip(sets, truths, strict=True):
            shared = share_band(each.texts, pairs, num_perm, bands, rows)
            similar = values >= Duplicates().threshold
            needless = (shared & ~similar).sum() / similar.sum()
            cells.append(f"{shared[similar].mean():.4f} ({needless:.2f})")
        yield [str(num_perm), f"{bands} x {rows}", *cells]


def share_band(
    texts: list[str], pairs: NDArray[np.int64], num_perm: int, bands: int, rows: int
) -> NDArray[np.bool_]:
    """Whether the texts of a pair agree in a band."""
    flat = np.asarray(minhash(pa.array(texts), num_perm=num_perm).flatten())
    cut = flat.reshape(len(texts), num_perm)[:, : bands * rows].reshape(len(texts), bands, rows)
    parts = np.array_split(pairs, len(pairs) // 4096 + 1)
    same = [(cut[part[:, 0]] == cut[part[:, 1]]).all(axis=2).any(axis=1) for part in parts]
    return np.concatenate(same)


if __name__ == "__main__":
    main()
