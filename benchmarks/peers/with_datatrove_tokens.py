"""JSON lines to token files by datatrove's DocumentTokenizer.

    python with_datatrove_tokens.py FOLDER OUTPUT TOKENIZER TASKS

FOLDER holds TASKS files, TOKENIZER a tokenizer.json.  Defaults but for the end token: batches of
10,000 documents, an index of documents, documents shuffled inside a file.  Tells the CPU seconds
and wall after the imports.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from harness import cpu_seconds


def main(source: str, target: str, tokenizer: str, tasks: str) -> None:
    folder = Path(target)
    cpu, wall = cpu_seconds(), time.perf_counter()
    pipeline = [
        JsonlReader(source, glob_pattern="*.jsonl"),
        DocumentTokenizer(
            str(folder / "tokens"),
            tokenizer_name_or_path=str(Path(tokenizer) / "tokenizer.json"),
            eos_token="</s>",
            seed=1,
        ),
    ]
    # Children of its default, a fork server, are nobody's: their CPU seconds would be lost.
    LocalPipelineExecutor(
        pipeline=pipeline,
        tasks=int(tasks),
        workers=int(tasks),
        logging_dir=str(folder / "logs"),
        start_method="fork",
    ).run()
    taken = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall}
    size = sum(path.stat().st_size for path in (folder / "tokens").glob("*.ds"))
    print(json.dumps(taken | {"tokens": size // 4}))


if __name__ == "__main__":
    main(*sys.argv[1:])
