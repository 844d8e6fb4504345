"""Train a small LLaMA on a CPU, so that a step-0 table has a model that knows its language.

    python benchmarks/small_llama.py FOLDER --tokenizer base.model --zh data/zh/*.zst --en ...

One document in forty is held out and written beside the model (`held_out.jsonl`); some of the
others are packed in a seeded order.  The softmax of a step is over the tokens of its batch and a
sample of the others, whose logits are raised by the inverse of their share: the same in expectation
as the whole softmax, at a fifth of the cost.  The price: one thread and some minutes give a model
that is far from good, only clearly better than frequencies.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_input import read_lines
from numpy.typing import NDArray
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from tokenizer import Encoder
from tongwen.progress import progress, say

HELD_OUT = 40
CANDIDATES = 4096
"""Tokens that the softmax of a step is over: those of the batch, and a sample for all others."""
WIDTHS: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4}
LENGTH, BATCH = 256, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--zh", type=Path, nargs="+", required=True)
    parser.add_argument("--en", type=Path, nargs="+", required=True)
    parser.add_argument("--characters", type=float, default=1.5e6, help="of each language")
    parser.add_argument("--iterations", type=int, default=900)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    encoder = Encoder(options.tokenizer)
    tokens = read_tokens(options, encoder)
    model = train(tokens, encoder.size, options.iterations, options.seed)
    model.to(torch.bfloat16).save_pretrained(options.folder, max_shard_size="20MB")
    shutil.copyfile(options.tokenizer, options.folder / "tokenizer.model")


def read_tokens(options: argparse.Namespace, encoder: Encoder) -> NDArray[np.int32]:
    """The training documents as one row of ids; one in 40 of all goes to `held_out.jsonl`.

    All Chinese documents that are not held out go to `others.jsonl`, for learning a vocabulary.
    """
    texts: list[str] = []
    rng = np.random.default_rng(options.seed)
    with (
        (options.folder / "held_out.jsonl").open("w", encoding="utf-8") as held_out,
        (options.folder / "others.jsonl").open("w", encoding="utf-8") as others,
    ):
        for language, files in (("zh", options.zh), ("en", options.en)):
            for file in files:
                found = [str(line.get("text") or line.get("target")) for line in read_lines([file])]
                rng.shuffle(found)
                left = options.characters / len(files)
                for number, text in enumerate(found):
                    line = json.dumps({"text": text, "lang": language}, ensure_ascii=False) + "\n"
                    if number % HELD_OUT == 0:
                        held_out.write(line)
                        continue
                    if left > 0:
                        texts.append(text[: int(left)])
                        left -= len(texts[-1])
                    if language == "zh":
                        others.write(line)
    rng.shuffle(texts)
    parts = [encoder.encode([text])[0] for text in texts]
    return np.concatenate([[encoder.bos, *ids, encoder.eos] for ids in parts]).astype(np.int32)


def train(tokens: NDArray[np.int32], size: int, iterations: int, seed: int) -> Any:
    """A LLaMA after so many iterations of AdamW, float32 with bfloat16 products."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size, num_attention_heads=4, max_position_embeddings=LENGTH, **WIDTHS
    )
    model: Any = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.01, fused=True
    )
    rng = np.random.default_rng(seed)
    with progress("training a small model", total=iterations, unit="iterations") as advance:
        for number in range(iterations):
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * min((number + 1) / 40, 1.02 - number / iterations)
            loss = measure_loss(model, draw_batch(tokens, rng), size)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            advance(1)
            if number % 50 == 49:
                say(f"  iteration {number + 1}: {loss.item() / math.log(2):.3f} bits a token")
    return model


def draw_batch(tokens: NDArray[np.int32], rng: np.random.Generator) -> torch.Tensor:
    """[BATCH, LENGTH + 1] ids that follow each other in the text."""
    starts = rng.integers(0, len(tokens) - LENGTH - 1, BATCH)
    return torch.from_numpy(np.stack([tokens[at : at + LENGTH + 1] for at in starts])).long()


def measure_loss(model: Any, batch: torch.Tensor, size: int) -> torch.Tensor:
    """Mean nats of a token, over a sample of the vocabulary that holds every target."""
    wanted, places = torch.unique(batch[:, 1:].reshape(-1), return_inverse=True)
    absent = torch.ones(size, dtype=torch.bool)
    absent[wanted] = False
    others = torch.nonzero(absent)[:, 0]
    sampled = others[torch.randperm(len(others))[: CANDIDATES - len(wanted)]]
    rows = functional.embedding(torch.cat([wanted, sampled]), model.lm_head.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(batch[:, :-1]).last_hidden_state.reshape(-1, rows.shape[1])
        logits = hidden @ rows.T
    logits = logits.float()
    logits[:, len(wanted) :] += math.log(len(others) / len(sampled))
    return functional.cross_entropy(logits, places)


if __name__ == "__main__":
    main()
