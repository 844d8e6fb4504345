"""JSON lines to .bin/.idx by the steps of Megatron-LM's tools/preprocess_data.py.

    python with_preprocess_data.py LINES OUTPUT TOKENIZER WORKERS

Its steps, with its own classes of megatron.core: a pool of WORKERS processes, each of which loads
`HuggingFaceTokenizer` (fast, special tokens included: the tool's defaults); lines handed out 32 at
a time; the ids of a document, with an end-of-document token (--append-eod), sent back and added to
an `IndexedDatasetBuilder` by the parent.  WORKERS = 0 does the same without a pool.  Tells the CPU
seconds and wall after the imports.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
warnings.simplefilter("ignore")

from harness import cpu_seconds  # noqa: E402
from megatron.core.datasets import indexed_dataset  # noqa: E402
from megatron.core.tokenizers.text.libraries.huggingface_tokenizer import (  # noqa: E402
    HuggingFaceTokenizer,
)

_LINES_AT_ONCE = 32
_state: dict[str, Any] = {}


def main(lines: str, output: str, tokenizer: str, workers: str) -> None:
    cpu, wall = cpu_seconds(), time.perf_counter()
    tokens = convert(Path(lines), Path(output), tokenizer, int(workers))
    taken = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall}
    print(json.dumps(taken | {"tokens": tokens}))


def convert(lines: Path, output: Path, tokenizer: str, workers: int) -> int:
    """Write the shard; returns its tokens."""
    start(tokenizer)
    output.mkdir(parents=True, exist_ok=True)
    prefix = str(output / "all_text_document")
    builder = indexed_dataset.IndexedDatasetBuilder(
        prefix + ".bin",
        dtype=indexed_dataset.DType.optimal_dtype(_state["tokenizer"].vocab_size),
    )
    tokens = 0
    with lines.open(encoding="utf-8") as file, encode_all(file, tokenizer, workers) as encoded:
        for ids, lengths in encoded:
            builder.add_document(ids, lengths)  # pyright: ignore[reportArgumentType]
            tokens += len(ids)
    builder.finalize(prefix + ".idx")
    return tokens


def start(path: str) -> None:
    """Load the tokenizer of this process."""
    _state["tokenizer"] = HuggingFaceTokenizer(path, use_fast=True, include_special_tokens=True)


def encode(line: str) -> tuple[list[int], list[int]]:
    """Ids of a line's text, and the lengths of its sentences: one."""
    tokenizer = _state["tokenizer"]
    ids = tokenizer.text_to_ids(json.loads(line)["text"])
    if ids:
        ids.append(tokenizer.eod)
    return ids, [len(ids)] if ids else []


@contextmanager
def encode_all(
    file: Iterable[str], tokenizer: str, workers: int
) -> Iterator[Iterable[tuple[list[int], list[int]]]]:
    """Every line encoded, in order."""
    if not workers:
        yield map(encode, file)
        return
    with multiprocessing.get_context("fork").Pool(workers, start, (tokenizer,)) as pool:
        yield pool.imap(encode, file, _LINES_AT_ONCE)
        pool.close()
        pool.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
