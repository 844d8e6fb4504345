"""Lint: everything that can be proven or counted about a SentencePiece model, ours or anybody's.

    report = lint_model(Path("tokenizer.model"), base=Path("llama2.model"), texts=lines)
    report.worst, report.find("unreachable").count

The price: each line is encoded by both models (3-10 MB/s a core), and for a BPE model without
tokenizer.json one is made in order to ask Hugging Face tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizer.lint.fast import Fast, make_fast, open_fast
from tokenizer.lint.loading import open_processor
from tokenizer.lint.measuring import measure_texts
from tokenizer.lint.report import Report, write_report
from tokenizer.lint.rules import RULES
from tokenizer.lint.subject import Subject, find_model, read_config, read_rows
from tokenizer.model import ModelProto, parse_model
from tongwen.errors import TongwenError
from tongwen.record import Counts

TENSOR_PARALLEL = (1, 2, 4, 8)
"""Sizes that a vocabulary should be divisible by, unless others are asked for."""

_NEEDS = {
    "bpe": "a BPE model",
    "base": "--base",
    "base and texts": "--base and --text",
    "config": "config.json or safetensors beside the model",
    "fast": "a tokenizer.json beside the model, or a BPE model that can be exported",
}


def lint_model(
    path: Path | str,
    *,
    base: Path | str | None = None,
    texts: Iterable[str] = (),
    tensor_parallel: Sequence[int] = TENSOR_PARALLEL,
) -> Report:
    """Run all rules on a SentencePiece model.

    Args:
        path: a .model file, or a folder with one; tokenizer.json, config.json and safetensors
            beside it are looked at, too.
        base: the model (or folder) that it extends.
        texts: read once, line by line; those without a CJK-only character are compared with the
            base.
        tensor_parallel: sizes that should divide the vocabulary.

    Raises:
        TongwenError: a file cannot be read or is something else.
    """
    place = find_model(Path(path))
    before = parse_model(find_model(Path(base))) if base is not None else None
    subject = _open_subject(place, before, texts, tuple(tensor_parallel))
    findings = tuple(rule.run(subject) for rule in RULES if subject.has(rule.needs))
    return Report(
        file=place.name,
        kind=subject.kind,
        size=subject.size,
        base_size=len(before.pieces) if before is not None else None,
        findings=findings,
        skipped={rule.name: _NEEDS[rule.needs] for rule in RULES if not subject.has(rule.needs)},
        changed=tuple(subject.texts.changes),
        lines=subject.texts.compared,
        changed_lines=subject.texts.changed,
    )


def lint_files(
    path: Path,
    *,
    base: Path | None = None,
    texts: Sequence[str] = (),
    languages: Sequence[str] = (),
    tensor_parallel: Sequence[int] = TENSOR_PARALLEL,
) -> Report:
    """`lint_model` on the documents of files of any kind that the corpus stage reads.

    Args:
        texts: paths of the files.
        languages: take documents in these languages; all of them by default.

    Raises:
        TongwenError: as `lint_model`, or a file with text cannot be read.
    """
    from tokenizer.lint.texts import open_texts

    settings: dict[str, Any] = {"base": base, "tensor_parallel": tensor_parallel}
    if not texts:
        return lint_model(path, **settings)
    with open_texts(texts, languages) as found:
        return lint_model(path, texts=found, **settings)


def parse_sizes(words: str) -> tuple[int, ...]:
    """Tensor-parallel sizes from `1,2,4,8`.

    Raises:
        TongwenError: one is no positive whole number.
    """
    parts = [part.strip() for part in words.split(",") if part.strip()]
    if not parts or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise TongwenError(
            f"{words!r} is no list of sizes",
            where="--tensor-parallel",
            expected="whole numbers above 0 with commas between, such as 1,2,4,8",
        )
    return tuple(dict.fromkeys(int(part) for part in parts))


def build_lint(model: Path, base: Path | None, texts: Iterable[str], out: Path) -> Counts:
    """Lint a vocabulary and write lint.json into a folder; returns what to record."""
    report = lint_model(model, base=base, texts=texts)
    write_report(report, out / "lint.json")
    unreachable = report.find("unreachable")
    return {
        "pieces": report.size,
        "rules": len(report.findings),
        "errors": report.count("error"),
        "warnings": report.count("warning"),
        "notes": report.count("note"),
        "unreachable": unreachable.count,
        "lines_compared": report.lines,
        "lines_changed": report.changed_lines,
    }


def _open_subject(
    path: Path, base: ModelProto | None, texts: Iterable[str], sizes: tuple[int, ...]
) -> Subject:
    model = parse_model(path)
    processor, refusal = open_processor(model, path)
    before = open_processor(base, path)[0] if base is not None else None
    fast = _find_fast(path, model, refusal)
    return Subject(
        path=path,
        model=model,
        base=base,
        processor=processor,
        refusal=refusal,
        config=read_config(path.parent),
        rows=read_rows(path.parent),
        fast=fast,
        texts=measure_texts(texts, processor, before, fast),
        tensor_parallel=sizes,
    )


def _find_fast(path: Path, model: ModelProto, refusal: str) -> Fast | None:
    beside = path.parent / "tokenizer.json"
    if beside.is_file():
        return open_fast(beside)
    return make_fast(model) if not refusal else None
