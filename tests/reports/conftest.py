"""A run folder written by hand, file by file as the stages would leave it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.reports.vocabulary import (
    Row,
    write,
    write_comparison,
    write_lint,
    write_sweep,
    write_vocabulary,
)
from tongwen import Recipe, RunFolder
from tongwen.recipe import parse_recipe
from tongwen.record import produce

EVIL = "<script>alert('x')</script>&\"| `*_ [a](http://evil)"

_REJECT = ("file", "line", "reason", "detail", "excerpt")
REJECTS = pa.schema([(name, "int64" if name == "line" else "string") for name in _REJECT])
ZH = "法律 文档 对话 旅行 古文 诗词 教材 访谈 百科 新闻 手册 医学 数学 阅读 小说 书信"
ZH += " 戏曲 地方志 评论 食谱"
EN = "documentation dictionaries textbooks literature kernel peps essays manuals letters news"


@dataclass(frozen=True)
class Plan:
    """What the run folder should be like."""

    zh: Sequence[str] = tuple(ZH.split()[:4])
    en: Sequence[str] = tuple(EN.split()[:2])
    sources: Sequence[str] = ("github/one", "debian/two", EVIL)
    iterations: int = 30
    scale: int = 40
    sequence_length: int = 64
    num_buckets: int = 4
    text: str = "他们在春天种下了种子，秋天收获。They planted seeds. "
    without: Sequence[str] = ()
    seed: int = 5
    num_pieces: int = 1000
    old: bool = False
    """Without the files and columns that came later."""
    stages: Sequence[tuple[str, str]] = field(
        default=(("foundation", "base"), ("injection", "extended"), ("replay", "extended"))
    )

    @property
    def groups(self) -> list[tuple[str, str]]:
        return [("zh", name) for name in self.zh] + [("en", name) for name in self.en]


def make_recipe(home: Path, plan: Plan) -> Recipe:
    """A recipe of three stages whose run folder is `home/run`."""
    stages = [
        {
            "name": name, "vocabulary": vocabulary, "tokens": 1000 * plan.scale,
            "mixture": [{"share": 1.0}],
        }
        for name, vocabulary in plan.stages
    ]  # fmt: skip
    table = {
        "run": {"folder": "run"},
        "corpus": {"inputs": [{"paths": ["a.jsonl"]}]},
        "tokenizer": {"base": "base.model", "size": 2000},
        "buckets": {"sequence_length": plan.sequence_length},
        "stages": stages,
        "model": {
            "num_layers": 2, "hidden_size": 64, "ffn_hidden_size": 128, "num_attention_heads": 4,
            "num_query_groups": 4,
        },
        "reports": {"title": f"中文 {EVIL}"},
    }  # fmt: skip
    return parse_recipe(table, home=home)


def make_run(home: Path, plan: Plan) -> tuple[Recipe, RunFolder]:
    """Write every output that is not left out."""
    recipe = make_recipe(home, plan)
    writer = Writer(recipe.folder, plan)
    writer.write_corpus()
    writer.write_tokenizer()
    offsets = random.Random(plan.seed)
    for number, (stage, vocabulary) in enumerate(plan.stages):
        writer.write_buckets(stage, offsets)
        writer.write_training(number, stage, vocabulary, offsets)
    return recipe, RunFolder(recipe.folder)


class Writer:
    """Writes outputs with their records."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self.root, self.plan, self.random = root, plan, random.Random(plan.seed)

    def output(self, name: str, build: Callable[[Path], Any]) -> None:
        if name in self.plan.without:
            return

        def run(out: Path) -> dict[str, int | float | str]:
            build(out)
            return {"rows": 17, "note": EVIL}

        config = {"setting": {"list": [1, 2], "text": EVIL}, "empty": []}
        produce(self.root / name, kind=name, config=config, inputs={"a": "b" * 32}, build=run)

    def write_corpus(self) -> None:
        rejects = self._make_rejects()
        statistics = self._make_statistics()
        characters = [self._count_characters(*group) for group in self.plan.groups]
        self.output(
            "corpus/documents", lambda out: write(out / "rejects.parquet", rejects, REJECTS)
        )
        self.output("corpus/duplicates", self._write_duplicates)

        def write_statistics(out: Path) -> None:
            write(out / "statistics.parquet", statistics)
            write(out / "characters.parquet", characters)
            counts: dict[tuple[str, str], int] = {}
            for row in rejects:
                counts[row["file"], row["reason"]] = counts.get((row["file"], row["reason"]), 0) + 1
            rows = [{"file": f, "reason": r, "lines": n} for (f, r), n in counts.items()]
            write(out / "rejects_by_reason.parquet", rows)

        self.output("corpus/statistics", write_statistics)

    def _make_rejects(self) -> list[Row]:
        reasons = ("bad_json", "empty", "bad_utf8", "no_text")
        weights = (5, 3, 1, 1)
        return [
            {
                "file": self.random.choice(["raw/a.jsonl", EVIL]),
                "line": line,
                "reason": self.random.choices(reasons, weights)[0],
                "detail": "column 17",
                "excerpt": EVIL,
            }
            for line in range(1, 8 * self.plan.scale)
        ]

    def _make_statistics(self) -> list[Row]:
        rows: list[Row] = []
        for place, (language, category) in enumerate(self.plan.groups):
            for source in self.plan.sources:
                size = self.random.randint(20, 90) * self.plan.scale // (1 + place % 7)
                exact, near = size // 20, size // self.random.randint(6, 30)
                normalized, known, other = size // 40, size // 50, size // 60
                kept = size - exact - near - normalized - known - other
                characters = kept * self.random.randint(200, 3000)
                rows.append(
                    {
                        "category": category, "language": language, "source": source,
                        "documents": size, "kept_documents": kept, "exact_duplicates": exact,
                        "normalized_duplicates": normalized, "near_duplicates": near,
                        "known_duplicates": known, "characters": characters,
                        "bytes": characters * 2, "length_p05": 12.0, "length_p50": 345.5,
                        "length_p95": 9876.0,
                    }
                )  # fmt: skip
        return rows

    def _count_characters(self, language: str, category: str) -> Row:
        """Chinese is mixed with Latin, and one part in nine is traditional."""
        latin, han = self.random.randint(100, 900), self.random.randint(100, 900)
        han = 10 * han * self.plan.scale if language == "zh" else 0
        rest = {"kana_hangul": 0, "digits": 7, "punctuation": 50, "space": 99, "other": 1}
        return {
            "category": category, "language": language, "documents": 9, "han": han,
            "latin": latin, **rest, "characters": han + latin + sum(rest.values()),
            "simplified": han // 4, "traditional": han // 32,
        }  # fmt: skip

    def _write_duplicates(self, out: Path) -> None:
        rows = [
            {
                "id": f"{i:032x}", "origin": f"a.jsonl:{i}", "keeper": f"{i // 3:032x}",
                "jaccard": 1.0 if i % 4 == 0 else min(1.0, 0.8 + self.random.random() ** 2 * 0.2),
                "kind": "exact" if i % 4 == 0 else "near",
            }
            for i in range(30 * self.plan.scale)
        ]  # fmt: skip
        for i, edge in enumerate((0.82, 0.86, 0.94, 0.96)):  # at the edges of the columns drawn
            rows[4 * i + 1]["jaccard"] = edge
        write(out / "duplicates.parquet", rows)
        parameters = {"num_perm": 128, "bands": 16, "rows": 8, "threshold": 0.8, "ngram": 5}
        (out / "parameters.json").write_text(json.dumps(parameters), encoding="utf-8")
        text = self.plan.text * 12
        examples = [
            {
                "id": f"{i:032x}", "keeper": f"{i + 99:032x}", "jaccard": 0.8 + i / 50,
                "text": text.replace("秋天", "冬天", i + 1)[:600] + EVIL, "keeper_text": text[:600],
            }
            for i in range(8)
        ]  # fmt: skip
        write(out / "examples.parquet", examples)

    def write_tokenizer(self) -> None:
        plan = self.plan
        self.output(
            "tokenizer/vocabulary",
            lambda out: write_vocabulary(out, plan.num_pieces, EVIL, old=plan.old),
        )
        self.output(
            "tokenizer/comparison",
            lambda out: write_comparison(out, plan.groups, self.random, EVIL, old=plan.old),
        )
        if not plan.old:
            self.output("tokenizer/sweep", write_sweep)
            self.output("tokenizer/lint", lambda out: write_lint(out, EVIL))

    def write_buckets(self, stage: str, chance: random.Random) -> None:
        def held_out(out: Path) -> None:
            rows = [
                {
                    "sequence": i, "id": f"{i:032x}", "category": c, "language": g,
                    "characters": 9, "bytes": 9,
                }
                for i, (g, c) in enumerate(self.plan.groups)
            ]  # fmt: skip
            write(out / "held_out.parquet", rows)

        if stage == self.plan.stages[0][0]:
            self.output("buckets/held_out", held_out)
        self.output(f"buckets/{stage}", lambda out: self._write_buckets(out, chance))

    def _write_buckets(self, out: Path, chance: random.Random) -> None:
        balance: list[Row] = []
        plan: list[Row] = []
        length = self.plan.sequence_length
        for bucket in range(self.plan.num_buckets):
            total = 0
            for place, (language, category) in enumerate(self.plan.groups):
                target = 400 * self.plan.scale // (1 + place % 5)
                tokens = target + chance.randint(-target // 60, target // 60)
                total += tokens
                balance.append(
                    {
                        "bucket": bucket, "category": category, "language": language,
                        "tokens": tokens, "target_tokens": target,
                    }
                )  # fmt: skip
            for sequence, start in enumerate(range(0, total, length - 1)):
                plan.append(
                    {
                        "id": "0" * 32, "category": "x", "language": "zh", "epoch": 0,
                        "bucket": bucket, "sequence": sequence, "offset": 0,
                        "start": 0 if sequence % 3 else 5,
                        "length": min(length - 1, total - start),
                    }
                )  # fmt: skip
        write(out / "balance.parquet", balance)
        (out / "plan").mkdir()
        write(out / "plan" / "bucket-00000.parquet", plan)
        used = sum(row["tokens"] for row in balance)
        mixture = [
            {
                "part": part, "share": share, "asked_tokens": round(used * share),
                "available_tokens": used * 2, "used_tokens": round(used * share), "epochs": share,
                "languages": languages, "categories": [EVIL] if part else [], "kinds": [],
            }
            for part, (share, languages) in enumerate([(0.7, ["zh"]), (0.3, ["en"])])
        ]  # fmt: skip
        write(out / "mixture.parquet", mixture)

    def write_training(
        self, number: int, stage: str, vocabulary: str, chance: random.Random
    ) -> None:
        def build(out: Path) -> None:
            events = self._make_events(number, stage, chance)
            lines = "".join(json.dumps(event) + "\n" for event in events)
            (out / "metrics.jsonl").write_text(lines, encoding="utf-8")
            speeds = [
                {"iteration": i, "seconds": 0.5, "tokens_per_second": 900 + i} for i in (1, 2, 3)
            ]
            text = "".join(json.dumps(speed) + "\n" for speed in speeds)
            (out / "timings.jsonl").write_text(text, encoding="utf-8")

        self.output(f"train/{stage}", build)

    def _make_events(self, number: int, stage: str, chance: random.Random) -> list[Row]:
        count = self.plan.iterations
        zh0, en0 = ((9.5, 3.9), (6.8, 2.4), (4.6, 2.6))[number % 3]
        zh1, en1 = ((7.2, 2.2), (4.6, 2.7), (4.3, 2.1))[number % 3]
        events: list[Row] = []
        for i in range(count + 1):
            done = 1 - 0.002 ** (i / count)
            tokens = i * 50 * self.plan.scale
            if i:
                loss = 9 - 4 * done - number + chance.uniform(-0.12, 0.12)
                events.append(
                    {
                        "event": "train", "stage": stage, "iteration": i, "bucket": 0,
                        "tokens": tokens, "loss": float("nan") if i == 7 else loss,
                        "learning_rate": 1e-3 * min(1.0, i / 10) * (1 - 0.9 * i / count),
                        "grad_norm": 1.5 + chance.random(),
                    }
                )  # fmt: skip
            if i % max(1, count // 10) == 0 or i == count:
                bits = {"zh": zh0 + (zh1 - zh0) * done, "en": en0 + (en1 - en0) * done}
                events.append(
                    {
                        "event": "evaluation", "stage": stage, "iteration": i, "tokens": tokens,
                        "bits_per_character": bits,
                        "bits_per_byte": {"zh": bits["zh"] / 3, "en": bits["en"]},
                        "by_category": {
                            f"{g}/{c}": bits[g] * (0.9 + 0.02 * (place % 11))
                            for place, (g, c) in enumerate(self.plan.groups)
                        },
                    }
                )  # fmt: skip
        return events


@pytest.fixture(scope="session")
def build_run() -> Callable[..., tuple[Recipe, RunFolder]]:
    """`build_run(folder, **options of Plan)`: a run folder with small or hostile content."""
    return lambda home, **options: make_run(home, Plan(**options))


@pytest.fixture(scope="session")
def hostile() -> Row:
    """Few groups, with names that try to break out."""
    return {"zh": ("法律", EVIL, "长" * 300, "🧧" * 40), "en": ("news", "a" * 300)}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, hostile: Row) -> tuple[Recipe, RunFolder]:
    """A finished run."""
    return make_run(tmp_path_factory.mktemp("finished"), Plan(**hostile))
