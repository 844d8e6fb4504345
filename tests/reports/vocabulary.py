"""The outputs of the tokenizer written by hand, as `tongwen` would leave them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.comparing.published import list_published

Row = dict[str, Any]
WORDS = (
    *("我们", "中国", "人民", "可以", "没有", "一个", "这个", "什么", "时候", "工作", "问题"),
    *("社会", "经济", "发展", "中华人民共和国", "研究", "学习"),
)
KINDS = ("character", "merge", "merge", "list", "filler")
RATES = {
    "base": (32_000, 1.4, 0.26), "extended": (69_104, 0.62, 0.26),
    "Chinese-LLaMA-2": (55_296, 0.675, 0.27), "Qwen-7B": (151_643, 0.65, 0.24),
    "Qwen2": (151_643, 0.65, 0.24),
}  # fmt: skip
"""Pieces, tokens per character of Chinese and of English."""
SIZES = (40_000, 49_953, 55_296, 60_000, 69_104, 80_000, 100_000)


def write(path: Path, rows: list[Row], schema: pa.Schema | None = None) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")


def spell(number: int) -> str:
    """A piece of one to four characters that no other number has."""
    letters: list[str] = []
    left = number + 1
    while left:
        left, place = divmod(left, 3_000)
        letters.append(chr(0x4E00 + place))
    return "".join(letters)


def write_vocabulary(out: Path, num_pieces: int, evil: str, *, old: bool = False) -> None:
    """pieces.parquet, the first pieces known words and one hostile; left_out.parquet."""
    rows: list[Row] = []
    for number in range(num_pieces):
        piece = WORDS[number] if number < len(WORDS) else spell(number)
        row: Row = {
            "id": 32_000 + number, "piece": piece, "score": -1000.0 - number,
            "count": 90_000 // (number + 1), "characters": len(piece),
            "kind": KINDS[number % len(KINDS)], "reachable": True,
            "uses": 80_000 // (number + 1),
        }  # fmt: skip
        rows.append(row)
    if len(rows) > 3:
        rows[3]["piece"] = evil
    if old:
        rows = [{key: value for key, value in row.items() if key != "uses"} for row in rows]
    write(out / "pieces.parquet", rows)
    if not old:
        write(out / "left_out.parquet", _list_left_out(evil))


def _list_left_out(evil: str) -> list[Row]:
    shapes = [
        {
            "piece": f"1380000{n:04d}", "count": 500 - n, "rule": "shape:phone",
            "reason": "looks like a telephone number",
        }
        for n in range(40)
    ]  # fmt: skip
    reason = "a phrase of advertising"
    others = [
        {"piece": "点击下载", "count": 321, "rule": "advertising", "reason": reason},
        {"piece": evil, "count": 7, "rule": evil, "reason": evil},
        {"piece": "", "count": 12, "rule": "unpaying", "reason": "hardly ever a token"},
    ]
    return shapes + others


def write_comparison(
    out: Path, groups: Sequence[tuple[str, str]], chance: random.Random, evil: str, *, old: bool
) -> None:
    """comparison.parquet with two sources a category, sentences, unchanged lines."""
    rates = {**RATES, evil: (7, 0.9, 0.5)}
    rows: list[Row] = []
    for language, category in groups:
        for source in ("one", "two"):
            characters, factor = chance.randint(2_500, 45_000), chance.uniform(0.9, 1.15)
            for name, (size, zh, en) in rates.items():
                rate = zh * factor if language == "zh" else en
                tokens = round(characters * rate)
                row: Row = {
                    "tokenizer": name, "size": size, "category": category, "language": language,
                    "documents": 4, "characters": characters, "bytes": characters * 2,
                    "tokens": tokens, "fallback_tokens": tokens // 50, "words": characters // 3,
                    "source": source,
                }  # fmt: skip
                rows.append(row)
    if old:
        new = ("fallback_tokens", "words", "source")
        rows = [{key: value for key, value in row.items() if key not in new} for row in rows]
    write(out / "comparison.parquet", rows)
    if not old:
        bounds = {"by": "language", "language": "zh", "name": "", "low": 0.5, "high": 0.75}
        others = {"by": "category", "language": "zh", "name": "x", "low": 0.1, "high": 0.2}
        intervals = [{**each, "tokenizer": name} for each in (bounds, others) for name in rates]
        write(out / "intervals.parquet", intervals)
        (out / "published.json").write_text(json.dumps(list_published()), encoding="utf-8")
    sentence = {
        "language": "zh", "text": evil + "研究人员",
        "base": ["▁", "<0xE7>", "<0xA0>", "<0x94>", "人", "员", "在", "春", "天", evil],
        "extended": ["▁", "研究人员", "在", "春天", evil],
    }  # fmt: skip
    write_json(out / "segmentation.json", [sentence, {**sentence, "language": "en"}])
    unchanged = [{"language": "en", "lines": 420, "changed": 0, "with_chinese": 3}]
    write_json(out / "unchanged.json", unchanged)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def make_sweep() -> Row:
    rows = [
        {
            "size": size, "tokens_per_character": 0.5 + 9_000 / size,
            "embedding_parameters": 8192 * size, "flops_per_character": 2.1e10 + 1e4 * size,
            "gpu_hours": 700 + (90_000 - size) ** 2 / 3e7,
            "dollars": 800 + (90_000 - size) ** 2 / 3e7,
            "chosen": size == 69_104,
        }
        for size in SIZES
    ]  # fmt: skip
    return {
        "reference_size": 69_104, "knee": 55_296, "language": "zh", "least_cost": 80_000,
        "rows": rows, "left_out": [200_000],
        "shapes": {"recipe": {"rows": rows}, "7b": {"rows": rows, "least_cost": 100_000}},
    }  # fmt: skip


def write_sweep(out: Path) -> None:
    write_json(out / "sweep.json", make_sweep())


def make_lint(evil: str) -> Row:
    def find(rule: str, severity: str, number: int, *examples: str) -> Row:
        return {
            "rule": rule, "severity": severity, "count": number, "title": f"Title of {rule}",
            "explanation": f"Why {rule} matters, and what to do.", "examples": examples,
        }  # fmt: skip

    changed = {
        "text": evil + "the cat", "base": ["▁the", "▁cat", evil], "extended": ["▁th", "e", evil],
    }  # fmt: skip
    return {
        "file": "tokenizer.model", "size": 69_104, "base_size": 32_000,
        "findings": [
            find("duplicates", "ok", 0),
            find("unreachable", "error", 657, "意大利", "国务院", evil),
            find(evil, "warning", 3, evil),
            find("tensor_parallel", "note", 1, "TP 32: 16 rows of padding"),
        ],
        "skipped": {"changed_base": "a base model"},
        "changed": [changed], "lines": 787, "changed_lines": 3,
    }  # fmt: skip


def write_lint(out: Path, evil: str) -> None:
    write_json(out / "lint.json", make_lint(evil))


def make_start() -> Row:
    """Bits of two languages; `weighted` is the best start for Chinese, `mean` for English."""
    bits = {
        "zh": {"base": 3.0, "mean": 5.2, "weighted": 5.1, "mean/gaussian": 5.4},
        "en": {"base": 1.0, "mean": 1.0, "weighted": 1.1, "mean/gaussian": 1.2},
    }
    rows = [
        {
            "method": method, "language": language, "input": "", "output": "", "tokens": 9_000,
            "bits_per_character": value, "bits_per_byte": value / 3, "identical_rows": place,
        }
        for language, values in bits.items()
        for place, (method, value) in enumerate(values.items())
    ]  # fmt: skip
    return {"model": "base", "characters": {"zh": 70_000, "en": 50_000}, "rows": rows}
