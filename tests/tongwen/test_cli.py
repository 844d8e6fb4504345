"""The command line: messages instead of tracebacks, and help that teaches."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tongwen.recipe import load_recipe

HOME = Path(__file__).parents[2]
QUICKSTART = HOME / "recipes" / "quickstart.toml"


def tongwen(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "tongwen.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def variant(folder: Path, **changes: str) -> Path:
    """The quickstart recipe in another folder with some text replaced."""
    text = QUICKSTART.read_text(encoding="utf-8")
    for old, new in {'folder = "../runs/quickstart"': 'folder = "run"', **changes}.items():
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("tongwen: ") or "\ntongwen: " in done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize("verb", ["init", "run", "plan", "status", "doctor", "corpus", "train"])
def test_every_command_explains_itself(verb: str) -> None:
    done = tongwen(verb, "--help")
    assert done.returncode == 0
    assert verb in done.stdout


def test_a_missing_recipe_says_how_to_write_one(tmp_path: Path) -> None:
    refused(tongwen("run", tmp_path / "no.toml"), "there is no recipe", "tongwen init")


def test_a_pattern_that_matches_nothing_is_one_message(tmp_path: Path) -> None:
    recipe = variant(tmp_path, **{'"sample:*.jsonl"': '"nothing/*.jsonl"'})
    done = tongwen("run", recipe)
    refused(done, "no file matches 'nothing/*.jsonl'", str(tmp_path), "expected", "do:")
    assert not (tmp_path / "run").exists()


def test_a_base_that_is_no_tokenizer_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "bad.model").write_bytes(b"not a model")
    old = '"package:mistral_common/data/tokenizer.model.v1"'
    recipe = variant(tmp_path, **{old: '"bad.model"'})
    refused(tongwen("tokenizer", "learn", recipe), "bad.model", "expected")
    assert not (tmp_path / "run" / "tokenizer" / "vocabulary").exists()


def test_a_size_below_the_base_is_one_message(tmp_path: Path) -> None:
    recipe = variant(tmp_path, **{"size = 33792": "size = 30000"})
    refused(tongwen("tokenizer", "learn", recipe), "30000", "32000")


def test_a_changed_recipe_names_the_key(tmp_path: Path) -> None:
    recipe = variant(tmp_path)
    assert tongwen("corpus", "read", recipe).returncode == 0
    assert tongwen("corpus", "dedup", recipe).returncode == 0
    changed = variant(tmp_path, **{"threshold = 0.8": "threshold = 0.75"})
    done = tongwen("corpus", "dedup", changed)
    refused(done, "corpus.duplicates.threshold: was 0.8, is 0.75", "--redo corpus/duplicates")
    assert "changed" in tongwen("status", changed).stdout
    assert tongwen("corpus", "dedup", changed, "--redo").returncode == 0


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that has its vocabulary."""
    folder = tmp_path_factory.mktemp("prepared")
    done = tongwen("tokenizer", "learn", variant(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_a_corpus_command_loads_no_torch(prepared: Path) -> None:
    recipe = prepared / "stats.toml"
    recipe.write_text((prepared / "recipe.toml").read_text("utf-8"), encoding="utf-8")
    code = (
        "import sys; from tongwen.cli import app; "
        f"app(['corpus', 'stats', {str(recipe)!r}, '--redo'], standalone_mode=False); "
        "assert not {'torch', 'megatron', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (prepared / "run/corpus/statistics/record.json").exists()


def test_planted_copies_and_broken_lines_are_found_and_none_else(prepared: Path) -> None:
    truth = json.loads((prepared / "run/sample/truth/planted.truth.json").read_text("utf-8"))
    planted = {(line["kind"], f"sample/{truth['file']}:{line['line']}") for line in truth["lines"]}
    corpus = prepared / "run" / "corpus"
    gone = pq.read_table(corpus / "duplicates" / "duplicates.parquet").to_pylist()
    # Of two near copies the earlier line stays, which may be the planted one.
    found = {(row["kind"], row["origin"]) for row in gone}
    originals = {
        (line["kind"], f"sample/{line['original_file']}:{line['original_line']}")
        for line in truth["lines"]
        if line["kind"] != "broken"
    }
    assert len(found) == len(originals)
    assert found <= planted | originals
    rejects = pq.read_table(corpus / "documents" / "rejects.parquet").to_pylist()
    broken = {("broken", f"{row['file']}:{row['line']}") for row in rejects}
    assert broken == {each for each in planted if each[0] == "broken"}


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            'share = 0.8\nlanguages = ["en"]',
            'share = 0.8\nlanguages = ["fr"]',
            ("fr", "stages.pretraining.mixture.0", "en/arts (text)"),
        ),
        (
            'small_categories = "merge"',
            'small_categories = "refuse"',
            ("stages.pretraining", 'small_categories = "merge"', "qa_life"),
        ),
        ("tokens = 40_000", "tokens = 4_000_000", ("3,200,000", "max_epochs", "share 0.8")),
        ("tokens = 40_000\nbuckets = 4", "tokens = 1_000\nbuckets = 8", ("longer than a bucket",)),
    ],
    ids=["empty language", "category with one document", "too few tokens", "long document"],
)
def test_a_stage_that_cannot_be_filled_is_one_message(
    prepared: Path, old: str, new: str, parts: tuple[str, ...]
) -> None:
    recipe = variant(prepared, **{old: new})
    refused(tongwen("buckets", "build", recipe, "--stage", "pretraining"), *parts)
    assert not (prepared / "run" / "buckets" / "pretraining").exists()


def test_a_stage_that_is_not_there_is_one_message(prepared: Path) -> None:
    refused(tongwen("train", "run", variant(prepared), "--stage", "no"), "'no'", "injection")


def test_processes_that_do_not_divide_are_one_message(tmp_path: Path) -> None:
    recipe = variant(tmp_path, **{"num_processes = 4": "num_processes = 3"})
    refused(tongwen("run", recipe), "num_processes = 3", "2 x 2 = 4")


def test_init_writes_a_recipe_that_holds(tmp_path: Path) -> None:
    for name, language in (("a.jsonl", "zh"), ("b.jsonl", "en")):
        line = {"text": "text " * 50, "category": "c", "lang": language}
        (tmp_path / name).write_text(f"{json.dumps(line)}\n" * 20, encoding="utf-8")
    (tmp_path / "qa").mkdir()
    line = {"source": "why?", "target": "because", "category": "q", "lang": "en"}
    (tmp_path / "qa" / "q.jsonl").write_text(f"{json.dumps(line)}\n" * 20, encoding="utf-8")
    recipe = tmp_path / "my.toml"
    done = tongwen("init", recipe, tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "qa")
    assert done.returncode == 0, done.stderr
    loaded = load_recipe(recipe)
    assert [source.paths for source in loaded.corpus.inputs] == [
        ("a.jsonl",),
        ("b.jsonl",),
        ("qa/*.jsonl",),
    ]
    assert [part.languages for part in loaded.stages[1].mixture] == [("zh",), ("en",), ()]
    assert tongwen("plan", recipe).returncode == 0
    refused(tongwen("init", recipe, tmp_path / "qa"), "the recipe exists", "--force")


def test_init_asks_only_for_languages_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "only.txt").write_text("这里只有中文。" * 20, encoding="utf-8")
    done = tongwen("init", tmp_path / "r.toml", tmp_path / "only.txt")
    assert done.returncode == 0, done.stderr
    parts = [part for stage in load_recipe(tmp_path / "r.toml").stages for part in stage.mixture]
    assert {part.languages for part in parts} == {("zh",)}
    assert {part.share for part in parts} == {1.0}


def test_init_of_nothing_says_what_it_looks_for(tmp_path: Path) -> None:
    refused(tongwen("init", tmp_path / "r.toml", tmp_path), "no data files", ".jsonl")


def test_a_users_file_cannot_be_taken_for_a_stage(tmp_path: Path) -> None:
    (tmp_path / "corpus.py").write_text("raise SystemExit('taken')", encoding="utf-8")
    recipe = variant(tmp_path)
    done = tongwen("corpus", "read", recipe, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
