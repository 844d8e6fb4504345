"""Boilerplate is cut as plain Python would cut it, whole characters only, and nothing else goes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.counts import find_keys, read_range, tally
from corpus.dedup.cuts import CUTS, PARAGRAPHS
from corpus.dedup.lines import split_lines
from corpus.dedup.paragraphs import Boilerplate, cut_paragraphs
from corpus.dedup.partitions import choose_cut
from corpus.engine import LocalEngine, RayEngine, open_engine
from corpus.hashing.shingles import split_tokens
from corpus.hashing.signatures import normalized_keys
from corpus.reading.records import Document
from corpus.sources import open_folder, open_table
from tests.corpus.planted import make_documents, write_documents
from tests.corpus.test_independence import KilledEngine
from tongwen.recipe import Duplicates, Engine

FOOTER = "版权所有，未经许可不得转载本站内容，违者必究，联系我们请来信。"
SIGN = "🙂 Subscribe to our newsletter 🙃 and follow us everywhere 🎉"
SHORTEST = 20


class Expected(NamedTuple):
    """What plain Python makes of some texts."""

    texts: list[str | None]
    """None where a document goes as a whole."""
    frequent: dict[tuple[str, ...], int]


def cut_slowly(texts: Sequence[str], most: int, shortest: int = SHORTEST) -> Expected:
    """The oracle."""

    def name(line: str) -> tuple[str, ...]:
        return tuple(split_tokens(line)) if len(line.strip()) >= shortest else ()

    counts = Counter(key for text in texts for key in {*map(name, text.split("\n"))} if key)
    frequent = {key: count for key, count in counts.items() if count > most}
    cut: list[str | None] = []
    for text in texts:
        lines = text.split("\n")
        left = [line for line in lines if name(line) not in frequent]
        gone = len(left) < len(lines) and not "".join(left).strip()
        cut.append(None if gone else "\n".join(left))
    return Expected(cut, frequent)


POOL: tuple[str, ...] = (
    FOOTER,
    FOOTER.replace("，", ", "),
    f"　　{FOOTER}　\r",
    SIGN,
    SIGN.upper(),
    f"\t{SIGN}\u2028",
    "ＡＢＣ　ｗｉｄｅ　ｌｅｔｔｅｒｓ　ｏｆ　ａ　ｍｅｎｕ",
    "abc wide letters of a menu",
    "一二三四五六七八九十一二三四五六七八九",
    "一二三四五六七八九十一二三四五六七八九十",
    "一二三四五六七八九十一二三四五六七八九。",
    "-" * 40,
    "🙂" * 30,
    "𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇𠀈𠀉𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇𠀈𠀉",
    "naïve cafés déjà vus in the Zürich of old",
    "",
    " \t",
    "短",
)


def mix_texts(seed: int, number: int = 60) -> list[str]:
    """Texts of paragraphs out of a pool, some of them with a paragraph of their own; all differ."""
    chance, texts = random.Random(seed), dict[str, None]()
    while len(texts) < number:
        lines = chance.choices(POOL, k=chance.randint(1, 6))
        if chance.random() < 0.6:
            lines.insert(chance.randint(0, len(lines)), f"其他的{chance.randint(0, 10**9)}段落")
        texts["\n".join(lines)] = None
    return list(texts)


def apply_table(folder: Path, documents: Sequence[Document]) -> list[str]:
    """The texts, cut in plain Python as the table says; every piece must be whole characters."""
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in pq.read_table(folder / CUTS).to_pylist():
        spans.setdefault((row["id"], row["origin"]), []).append((row["start"], row["stop"]))
    texts = []
    for document in documents:
        data, left, last = document.text.encode(), "", 0
        for start, stop in spans.pop((document.id, document.origin), []):
            assert last <= start < stop
            data[start:stop].decode()
            left += data[last:start].decode()
            last = stop
        texts.append(left + data[last:].decode())
    assert not spans
    return texts


def run_cut(
    folder: Path, out: Path, most: int, engine: LocalEngine | None = None, memory: int = 10**9
) -> Boilerplate:
    out.mkdir(exist_ok=True)
    source, rules = open_folder(folder), Duplicates(paragraphs=most)
    kept = np.ones(source.num_rows, bool)
    return cut_paragraphs(source, kept, rules, engine or LocalEngine(), memory, out)


def read_tables(out: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """The bytes of one table, the rows of the other without regard to their order."""
    rows = pq.read_table(out / CUTS).to_pylist()
    rows.sort(key=lambda row: (row["id"], row["origin"], row["start"]))
    return (out / PARAGRAPHS).read_bytes(), rows


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(600, 30_000), st.booleans())
def test_cuts_are_those_of_plain_python(
    tmp_path_factory: pytest.TempPathFactory, seed: int, most: int, shard_bytes: int, roomy: bool
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    documents = make_documents(mix_texts(seed))
    write_documents(folder / "docs", documents, shard_bytes=shard_bytes, group_bytes=500)
    found = run_cut(folder / "docs", folder / "out", most, memory=10**9 if roomy else 1000)
    expected = cut_slowly([document.text for document in documents], most)
    whole = [row for row, text in enumerate(expected.texts) if text is None]
    assert found.rows.tolist() == whole
    # Documents that go as a whole have no cuts.
    cut = apply_table(folder / "out", documents)
    for document, text, left in zip(documents, cut, expected.texts, strict=True):
        assert text == (document.text if left is None else left)
    table = pq.read_table(folder / "out" / PARAGRAPHS).to_pylist()
    assert {
        tuple(split_tokens(row["text"])): row["documents"] for row in table
    } == expected.frequent
    before = sum(len(document.text) for document in documents)
    assert found.counts == {
        "frequent_paragraphs": len(expected.frequent),
        "cut_paragraphs": pq.read_metadata(folder / "out" / CUTS).num_rows,
        "cut_documents": sum(
            left is not None and left != document.text
            for document, left in zip(documents, expected.texts, strict=True)
        ),
        "cut_characters": before - sum(map(len, cut)),
    }
    assert not [path for path in (folder / "out").iterdir() if path.name.startswith(".")]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.text("a一🙂𠀀é \n\r\u3000\u2028\x85\x1c.", max_size=12), max_size=4)),
    st.randoms(use_true_random=False),
)
def test_any_lines_can_be_cut_and_the_others_stay(
    parts: list[list[str]], chance: random.Random
) -> None:
    texts = ["\n".join(part) for part in parts]
    # Offsets that do not begin at 0.
    lines = split_lines(pa.array(["before\nit", *texts]).slice(1))
    expected = [line for text in texts for line in text.split("\n")]
    assert lines.characters.tolist() == [len(line.strip()) for line in expected]
    assert [lines.read(number) for number in range(len(expected))] == [
        line.strip() for line in expected
    ]
    assert np.array_equal(lines.keys, normalized_keys(pa.array(expected, pa.string())))
    chosen = np.array([chance.random() < 0.5 for _ in expected], bool)
    cuts = lines.cut(chosen)
    number = 0
    for place, text in enumerate(texts):
        own = text.split("\n")
        left = [line for i, line in enumerate(own, number) if not chosen[i]]
        number += len(own)
        whole = len(left) < len(own) and not "".join(left).strip()
        assert bool(cuts.whole[place]) == whole
        data, last, joined = text.encode(), 0, ""
        mine = cuts.texts == place
        for start, stop in zip(cuts.starts[mine], cuts.stops[mine], strict=True):
            joined += data[last:start].decode()
            last = stop
        assert joined + data[last:].decode() == (text if whole else "\n".join(left))


def test_white_space_is_that_of_python() -> None:
    codes = [*range(0xD800), *range(0xE000, 0x11000)]
    texts = [f"{chr(code)}{chr(code)}中{chr(code)}" for code in codes if code != 10]
    assert split_lines(pa.array(texts)).characters.tolist() == [len(t.strip()) for t in texts]


def plant(paragraph: str, number: int, others: int = 3) -> list[str]:
    """A paragraph in so many documents, before, behind and between what is theirs."""
    texts = []
    for i in range(number):
        own = [f"这是第{i}篇文章的开头部分，与众不同，独一无二。", f"第{i}篇到此结束。"]
        own.insert(i % 3, paragraph)
        texts.append("\n".join(own))
    return texts + [f"没有页脚的第{i}篇文章，内容也是独一无二的。" for i in range(others)]


@pytest.mark.parametrize("paragraph", [FOOTER, SIGN])
@pytest.mark.parametrize("more", [0, 1])
def test_a_paragraph_goes_from_one_document_more_than_allowed(
    tmp_path: Path, paragraph: str, more: int
) -> None:
    documents = make_documents(plant(paragraph, 7 + more))
    write_documents(tmp_path / "docs", documents)
    found = run_cut(tmp_path / "docs", tmp_path / "out", 7)
    assert found.counts["cut_documents"] == (8 if more else 0)
    texts = apply_table(tmp_path / "out", documents)
    assert [paragraph in text for text in texts] == [not more] * (7 + more) + [False] * 3
    rows = pq.read_table(tmp_path / "out" / PARAGRAPHS).to_pylist()
    shown = {"documents": 8, "characters": len(paragraph), "text": paragraph}
    assert [{name: row[name] for name in shown} for row in rows] == [shown] * more


def test_variants_are_one_paragraph_shown_as_the_smallest_id_has_it(tmp_path: Path) -> None:
    long = SIGN + " again" * 150
    variants = [long, long.upper(), f"　{long}。", long.replace(" ", "  ")]
    documents = make_documents([f"document {i}\n{text}" for i, text in enumerate(variants)])
    write_documents(tmp_path / "docs", documents)
    assert run_cut(tmp_path / "docs", tmp_path / "out", 3).counts["cut_paragraphs"] == 4
    (row,) = pq.read_table(tmp_path / "out" / PARAGRAPHS).to_pylist()
    first = min(documents, key=lambda document: document.id).text.partition("\n")[2].strip()
    assert (row["text"], row["characters"], row["documents"]) == (first[:600], len(first), 4)
    assert {each["key"] for each in pq.read_table(tmp_path / "out" / CUTS).to_pylist()} == {
        row["key"]
    }


def test_a_paragraph_counts_once_in_a_document(tmp_path: Path) -> None:
    texts = [f"第{i}篇\n" + "\n".join([FOOTER] * 5) for i in range(3)]
    write_documents(tmp_path / "docs", make_documents(texts))
    assert not run_cut(tmp_path / "docs", tmp_path / "none", 3).counts["cut_paragraphs"]
    assert run_cut(tmp_path / "docs", tmp_path / "all", 2).counts["cut_paragraphs"] == 15


def test_prompts_are_not_looked_at(tmp_path: Path) -> None:
    table = pa.table({"prompt": [f"{FOOTER}\n{i}" for i in range(9)], "text": list("abcdefghi")})
    source, kept = open_table(table), np.ones(9, bool)
    found = cut_paragraphs(source, kept, Duplicates(paragraphs=1), LocalEngine(), 10**9, tmp_path)
    assert found.counts["frequent_paragraphs"] == 0
    assert pq.read_table(tmp_path / CUTS).num_rows == 0


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(600, 20_000), st.integers(1, 3))
def test_shards_order_workers_and_memory_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shard_bytes: int, workers: int
) -> None:
    folder, chance = tmp_path_factory.mktemp("order"), random.Random(seed)
    documents = make_documents(mix_texts(seed, 150))
    write_documents(folder / "whole", documents)
    expected = run_cut(folder / "whole", folder / "one", 4)
    assert expected.counts["cut_paragraphs"] > 50
    names = {document.origin for document in (documents[row] for row in expected.rows)}
    chance.shuffle(documents)
    write_documents(folder / "mixed", documents, shard_bytes=shard_bytes, group_bytes=400)
    engine = LocalEngine(workers)
    found = run_cut(folder / "mixed", folder / "two", 4, engine, chance.choice([1000, 10**8]))
    assert found.counts == expected.counts
    assert {documents[row].origin for row in found.rows} == names
    assert read_tables(folder / "two") == read_tables(folder / "one")


@pytest.mark.parametrize("tasks", [0, 3, 8, 10, 12, 13, 18])
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, tasks: int) -> None:
    documents = make_documents(mix_texts(3, 300))
    folder = write_documents(tmp_path / "docs", documents, shard_bytes=9000, group_bytes=600)
    expected = run_cut(folder, tmp_path / "expected", 4)
    with pytest.raises(KeyboardInterrupt):
        run_cut(folder, tmp_path / "out", 4, KilledEngine(tasks), memory=1000)
    (left,) = (tmp_path / "out").iterdir()
    kinds = ("counts", "frequent", "done")
    whole = {path: path.stat().st_mtime_ns for kind in kinds for path in left.glob(f"{kind}-*")}
    assert len(whole) == tasks
    again = KeepingEngine(left)
    # With other ranges too.
    found = run_cut(folder, tmp_path / "out", 4, again, memory=1000 if tasks % 2 else 2000)
    assert {path: again.seen.get(path) for path in whole} == whole
    assert found.counts == expected.counts
    assert read_tables(tmp_path / "out") == read_tables(tmp_path / "expected")
    assert not left.exists()


class KeepingEngine(LocalEngine):
    """Notes when the files of a folder were written."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.seen = folder, dict[Path, int]()

    def map(self, task: Any, items: Any) -> Iterator[Any]:
        for made in super().map(task, items):
            yield made
            self.seen.update({path: path.stat().st_mtime_ns for path in self.folder.iterdir()})


def test_ray_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    folder = write_documents(tmp_path / "docs", make_documents(mix_texts(4, 300)), group_bytes=600)
    run_cut(folder, tmp_path / "expected", 4)
    with open_engine(Engine(kind="ray"), workers=2) as engine:
        assert isinstance(engine, RayEngine)
        (tmp_path / "out").mkdir()
        source, rules = open_folder(folder), Duplicates(paragraphs=4)
        kept = np.ones(source.num_rows, bool)
        cut_paragraphs(source, kept, rules, engine, 20_000, tmp_path / "out")
    for name in (CUTS, PARAGRAPHS):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


words = st.integers(0, 3).map(lambda value: value << 62 | value)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(words, words, st.integers(0, 9), words)), st.integers(0, 70))
def test_counts_of_ranges_are_those_of_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, given_: list[tuple[int, int, int, int]], most: int
) -> None:
    """Few words, so first words of keys are equal too."""
    owners = np.array(sorted(owner for _, _, owner, _ in given_), np.int64)
    rows = [(first, second, 1, tag) for first, second, _, tag in given_]
    entries = np.array(rows, np.uint64).reshape(-1, 4)
    merged = {(a, b): (n, tag) for a, b, n, tag in tally(entries, owners).tolist()}
    documents: dict[tuple[int, int], set[int]] = {}
    tags: dict[tuple[int, int], list[int]] = {}
    for (first, second, _, tag), owner in zip(rows, owners.tolist(), strict=True):
        new = owner not in documents.setdefault((first, second), set())
        documents[first, second].add(owner)
        tags.setdefault((first, second), []).extend([tag] * new)
    assert merged == {key: (len(own), min(tags[key])) for key, own in documents.items()}
    whole = np.array([(*key, n, tag) for key, (n, tag) in sorted(merged.items())], np.uint64)
    whole = whole.reshape(-1, 4)
    path = tmp_path_factory.mktemp("range") / "entries"
    whole.tofile(path)
    cut = choose_cut(len(whole), most * 100)
    parts = [read_range(path, cut, number) for number in range(cut.num_parts)]
    assert np.array_equal(np.concatenate(parts), whole)
    wanted = np.arange(len(entries)) % 3 > 0
    places = find_keys(whole, np.ascontiguousarray(entries[:, :2]), wanted)
    assert [sorted(merged)[place] if place >= 0 else None for place in places.tolist()] == [
        row[:2] if want else None for row, want in zip(rows, wanted.tolist(), strict=True)
    ]
    unknown = np.array([(5, 5), (1 << 63, 1)], np.uint64)
    assert find_keys(whole, unknown, np.ones(2, bool)).tolist() == [-1, -1]
