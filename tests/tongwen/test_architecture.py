"""The shape of the house: imports go one way, and a corpus command loads no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
MAY_IMPORT = {
    "corpus": {"corpus"},
    "tokenizer": {"tokenizer", "corpus"},
    "buckets": {"buckets", "tokenizer", "corpus"},
    "train": {"train", "buckets", "tokenizer", "corpus"},
    "reports": {"reports"},
}
SPINE = {
    "tongwen.amend",
    "tongwen.lock",
    "tongwen.errors",
    "tongwen.heap",
    "tongwen.progress",
    "tongwen.recipe",
    "tongwen.record",
    "tongwen.run",
}
COMMAND_LINE = {
    "tongwen.pipeline",
    "tongwen.steps",
    "tongwen.cli",
    "tongwen.cli_buckets",
    "tongwen.cli_corpus",
    "tongwen.cli_tokenizer",
    "tongwen.init",
    "tongwen.draft",
}
TRAINING = {"torch", "megatron", "transformers", "tensorboard"}


def imports_of(file: Path) -> set[str]:
    """Dotted names of every module that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def packages(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("stage", MAY_IMPORT)
def test_a_stage_imports_only_the_stages_before_it(stage: str) -> None:
    files = sorted((HOME / stage).rglob("*.py"))
    assert files
    for file in files:
        others = packages(imports_of(file)) & set(MAY_IMPORT)
        assert others <= MAY_IMPORT[stage], file


@pytest.mark.parametrize("stage", MAY_IMPORT)
def test_of_the_spine_a_stage_uses_only_the_bottom(stage: str) -> None:
    for file in sorted((HOME / stage).rglob("*.py")):
        used = {name for name in imports_of(file) if name.startswith("tongwen.")}
        allowed = SPINE | {name for name in used if name.rpartition(".")[0] in SPINE}
        assert used <= allowed, file


def test_the_bottom_of_the_spine_knows_no_stage() -> None:
    for name in SPINE | {"tongwen.__init__"}:
        place = HOME / name.replace(".", "/")
        files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for file in files:
            assert not packages(imports_of(file)) & set(MAY_IMPORT), file


def test_only_the_command_line_knows_the_stages() -> None:
    for file in sorted((HOME / "tongwen").glob("*.py")):
        if packages(imports_of(file)) & set(MAY_IMPORT):
            assert f"tongwen.{file.stem}" in COMMAND_LINE, file


@pytest.mark.parametrize("stage", ["corpus", "tokenizer", "buckets", "reports"])
def test_only_training_knows_torch(stage: str) -> None:
    for file in sorted((HOME / stage).rglob("*.py")):
        assert not packages(imports_of(file)) & TRAINING, file


@pytest.mark.parametrize("stage", MAY_IMPORT)
def test_importing_a_stage_loads_neither_torch_nor_megatron(stage: str) -> None:
    code = f"import sys, {stage}; print(*sorted({{'torch', 'megatron'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("module", ["corpus.steps", "tokenizer.steps", "buckets.steps"])
def test_building_a_data_stage_loads_neither_torch_nor_megatron(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'torch', 'megatron'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
