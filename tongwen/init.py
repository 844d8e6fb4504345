"""`tongwen init`: look at a user's files and write a complete, commented recipe for them.

The first lines of every file are read (never the whole corpus) to learn its form, its languages and
roughly how much text there is; the token budgets follow from that and from the machine.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tongwen.errors import TongwenError
from tongwen.record import write_text

SAMPLE_LINES = 200
SUFFIXES = (".jsonl", ".json", ".parquet", ".txt", ".md")
COMPRESSED = ("", ".gz", ".zst")
CPU_TOKENS = 400_000
"""Tokens of a stage that a machine without a GPU trains in minutes."""


@dataclass(frozen=True)
class FileFacts:
    """What the first lines of a file show.

    Attributes:
        characters: of the text, estimated for the whole file from the lines read.
        languages: lines read of each language.
        num_prompts: lines read that are question and answer.
    """

    path: Path
    characters: int
    languages: Counter[str]
    num_prompts: int
    num_lines: int

    @property
    def is_qa(self) -> bool:
        return self.num_prompts * 2 > self.num_lines


def write_recipe(
    recipe: Path,
    files: list[Path],
    base_tokenizer: str,
    compare: list[str],
    size: int,
    *,
    force: bool,
) -> str:
    """Write the recipe; returns what a person should read afterwards.

    Raises:
        TongwenError: the recipe exists, or no file with text was found.
    """
    if recipe.exists() and not force:
        raise TongwenError(
            "the recipe exists", where=str(recipe), do="choose another name, or add --force"
        )
    groups = {path: [examine_file(file) for file in list_files(path)] for path in files}
    facts = [each for group in groups.values() for each in group]
    if not any(each.num_lines for each in facts):
        raise TongwenError(
            "no text was found",
            where=", ".join(str(path) for path in files),
            expected=f"files ending in {', '.join(SUFFIXES)}, plain, .gz or .zst",
        )
    text = _render(recipe, groups, base_tokenizer, compare, size)
    recipe.parent.mkdir(parents=True, exist_ok=True)
    write_text(recipe, text)
    return _summary(recipe, facts)


def list_files(path: Path) -> list[Path]:
    """The data files of a folder (or the file itself), sorted.

    Raises:
        TongwenError: there is no such file or folder, or nothing in it has a known name.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise TongwenError(
            "only local files can be looked at",
            where=str(path),
            do="write the recipe for a few of the files, copied here; then put the URL into it",
        )
    if path.is_file():
        return [path]
    known = {suffix + end for suffix in SUFFIXES for end in COMPRESSED}
    found = sorted(file for file in path.rglob("*") if _ending(file) in known and file.is_file())
    if not found:
        raise TongwenError(
            "no data files there",
            where=str(path),
            expected=f"files ending in {', '.join(SUFFIXES)}, plain, .gz or .zst",
        )
    return found


def _ending(file: Path) -> str:
    suffixes = file.suffixes[-2:]
    return "".join(suffixes) if suffixes and suffixes[-1] in COMPRESSED[1:] else file.suffix


def examine_file(path: Path) -> FileFacts:
    """Read the first lines of a file."""
    lines = list(islice(_read_lines(path), SAMPLE_LINES))
    texts = [_text_of(line) for line in lines]
    languages = Counter(_language_of(line, text) for line, text in zip(lines, texts, strict=True))
    read = sum(len(json.dumps(line, ensure_ascii=False).encode()) for line in lines)
    ratio = sum(len(text) for text in texts) / read if read else 0.0
    growth = 4.5 if path.suffix in COMPRESSED[1:] or path.suffix == ".parquet" else 1.0
    return FileFacts(
        path=path,
        characters=round(path.stat().st_size * growth * ratio),
        languages=languages,
        num_prompts=sum("target" in line for line in lines),
        num_lines=len(lines),
    )


def _read_lines(path: Path) -> Iterator[dict[str, object]]:
    """Lines of a file as tables; what cannot be read is left for the corpus stage to reject."""
    from corpus.reading.readers import sample_lines

    return sample_lines(path)


def _text_of(line: dict[str, object]) -> str:
    return str(line.get("target") or line.get("text") or "")


def _language_of(line: dict[str, object], text: str) -> str:
    from corpus.reading.language import detect_language

    known = line.get("language") or line.get("lang")
    return str(known) if known else detect_language(text)


def _summary(recipe: Path, facts: list[FileFacts]) -> str:
    languages: Counter[str] = Counter()
    for each in facts:
        for language, count in each.languages.items():
            languages[language] += round(each.characters * count / max(1, each.num_lines))
    parts = ", ".join(f"{name} {count / 1e6:,.1f} M" for name, count in languages.most_common())
    return (
        f"{len(facts)} files, about {sum(languages.values()) / 1e6:,.1f} M characters ({parts}).\n"
        f"Wrote {recipe}. Read it, then:\n  tongwen plan {recipe}\n  tongwen run {recipe}"
    )


def _render(
    recipe: Path,
    groups: dict[Path, list[FileFacts]],
    base_tokenizer: str,
    compare: list[str],
    size: int,
) -> str:
    home = recipe.resolve().parent
    inputs = "\n".join(_render_input(path, group, home) for path, group in groups.items())
    facts = [each for group in groups.values() for each in group]
    base = base_tokenizer
    if not base.startswith("package:"):
        base = _relative(Path(base_tokenizer), home)
    return _TEMPLATE.format(
        name=recipe.stem,
        workers=len(os.sched_getaffinity(0)),
        inputs=inputs,
        base=json.dumps(base, ensure_ascii=False),
        size=size,
        compare="".join(_render_comparison(each, home) for each in compare),
        tokens=CPU_TOKENS,
        pretraining=_render_mixture(_PRETRAINING, facts),
        injection=_render_mixture(_INJECTION, facts),
        replay=_render_mixture(_REPLAY, facts),
    )


def _relative(path: Path, home: Path) -> str:
    return Path(os.path.relpath(path.resolve(), home)).as_posix()


def _render_input(path: Path, group: list[FileFacts], home: Path) -> str:
    endings = sorted({_ending(each.path) for each in group})
    place = _relative(path, home)
    nested = any(each.path.parent != path for each in group) and path.is_dir()
    glob = "/**/*" if nested else "/*"
    paths = [place] if path.is_file() else [place + glob + ending for ending in endings]
    form = "questions and answers" if all(each.is_qa for each in group) else "documents"
    characters = sum(each.characters for each in group)
    return (
        f"[[corpus.inputs]]            # {len(group)} files, {form}, "
        f"about {characters / 1e6:,.1f} M characters\n"
        f"paths = {json.dumps(paths, ensure_ascii=False)}\n"
    )


def _render_comparison(text: str, home: Path) -> str:
    name, equals, path = text.partition("=")
    if not equals:
        raise TongwenError(
            f"--compare {text!r} names no file", expected="NAME=FILE, e.g. --compare qwen=a.model"
        )
    place = json.dumps(_relative(Path(path), home), ensure_ascii=False)
    return (
        f"\n[[tokenizer.compare]]\nname = {json.dumps(name, ensure_ascii=False)}\npath = {place}\n"
    )


Share = tuple[float, str, str]
_PRETRAINING: tuple[Share, ...] = ((0.9, "en", "text"), (0.1, "zh", "text"))
_INJECTION: tuple[Share, ...] = ((0.7, "zh", "text"), (0.2, "en", "text"), (0.1, "", "qa"))
_REPLAY: tuple[Share, ...] = ((0.4, "zh", "text"), (0.4, "en", "text"), (0.2, "", "qa"))


def _render_mixture(parts: tuple[Share, ...], facts: list[FileFacts]) -> str:
    """The parts that the files can fill; their shares add up to 1 again."""
    texts = {name for each in facts if not each.is_qa for name in each.languages}
    has_qa = any(each.is_qa for each in facts)
    kept = [part for part in parts if (part[1] in texts if part[1] else has_qa)]
    kept = kept or [(1.0, "", "qa" if has_qa else "text")]
    total = sum(part[0] for part in kept)
    return "\n".join(_render_part(part[0] / total, *part[1:]) for part in kept)


def _render_part(share: float, language: str, kind: str) -> str:
    languages = f'languages = ["{language}"]\n' if language else ""
    return (
        f'[[stages.mixture]]\nshare = {share:.10g}\n{languages}kinds = ["{kind}"]\n'
        "max_epochs = 4.0\n"
    )


_TEMPLATE = """\
# {name}: a recipe of tongwen, written for your files by `tongwen init`.
# Everything that changes a result stands here; paths are relative to this file.
#   tongwen plan {name}.toml      checks it and shows what it will do and cost
#   tongwen run {name}.toml       does all that is not done yet, and ends with a report

[run]
folder = "runs/{name}"        # everything is written below this folder
seed = 1                      # of every choice made by chance
workers = {workers}                   # processes or threads; never changes a result
memory = "4GB"                # the out-of-core stages keep to about this

# ---- corpus: raw files to documents, duplicates marked, statistics --------------------------
[corpus]
max_document_characters = 10000000

{inputs}
[corpus.duplicates]
threshold = 0.8               # exact Jaccard similarity of shingles, verified for every pair
num_perm = 128                # permutations of a MinHash signature
ngram = 5                     # characters (Han) or words (space-separated scripts) of a shingle

# ---- tokenizer: pieces learned from your text, appended to the base model's -----------------
[tokenizer]
base = {base}
size = {size}                  # pieces in all, base included; 69,104 = 16 x 4,319 suits TP 1-16
languages = ["zh"]            # learned from documents in these languages
punctuation_in_pieces = true  # Chinese punctuation may join a piece
spaces_in_pieces = true       # and so may the space in front of Chinese text
balance = 0.25                # 1: every character counts alike, 0: every source
max_piece_length = 16
character_coverage = 0.9995   # rarer characters stay bytes
min_count = 2
{compare}
# ---- buckets: one bin of every category in each, packed into sequences ----------------------
[buckets]
sequence_length = 512         # LLaMA-2 trains with 4096
held_out_documents = 2        # of each category and language, never trained on: they measure
small_categories = "merge"    # categories too small for a bin in every bucket join "other"

# ---- the three training stages, in order ----------------------------------------------------
# tokens: budget of the stage; small here so that a CPU ends in minutes.  Raise it on a cluster.
[[stages]]
name = "pretraining"          # large-scale pre-training: with a base checkpoint in [model] base,
done_by = "run"               # write done_by = "base" and nothing is trained here
vocabulary = "base"
tokens = {tokens}
buckets = 4
learning_rate = 1e-3
min_learning_rate = 1e-4
warmup = 0.05

{pretraining}
[[stages]]
name = "injection"            # Chinese knowledge injection, with the extended vocabulary
vocabulary = "extended"
tokens = {tokens}
buckets = 4
learning_rate = 1e-3
min_learning_rate = 1e-4
warmup = 0.05

{injection}
[[stages]]
name = "replay"               # knowledge replay: both languages, more questions and answers
vocabulary = "extended"
tokens = {tokens}
buckets = 4
learning_rate = 3e-4
min_learning_rate = 3e-5
warmup = 0.05

{replay}
# ---- the model: a small LLaMA; recipes/colossal_llama2_7b.toml has the 7B shape -------------
[model]
# base = "path/to/llama-2-7b"  # a Hugging Face folder to start from
num_layers = 4
hidden_size = 96
ffn_hidden_size = 256
num_attention_heads = 4
num_query_groups = 4

# ---- training: num_processes = tensor x pipeline x data parallel ----------------------------
[train]
num_processes = 4
tensor_parallel = 2
pipeline_parallel = 2
micro_batch_size = 1
global_batch_size = 16        # sequences of one iteration
precision = "fp32"            # "bf16" on a GPU
distributed_optimizer = true
checkpoint_every = 25
evaluate_every = 25

[reports]
title = "{name}"
"""
