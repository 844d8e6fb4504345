"""Bits of a text by a Hugging Face LLaMA whose embeddings get more rows, without a training step.

The model is read once.  New rows lie beside its own: an id picks a row from either, and the
softmax runs over both in blocks of the vocabulary, so a start costs its rows and no copy of the
model.  transformers is the forward pass, because it is what others load the result with; products
with the output embedding are float32.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tongwen.errors import TongwenError

_LONGEST = 2048
_VOCABULARY_BLOCK = 8192
_PLAIN = ("llama", "mistral", "qwen2")
"""Types of models whose logits are the output embedding times the last hidden state, no more."""

Rows = NDArray[np.float32]


class StepZero:
    """A model to measure with.

    Args:
        folder: config.json and *.safetensors.

    Attributes:
        window: tokens of the longest piece of text that is seen at once.
        tied: whether the output embedding is the input embedding.

    Raises:
        TongwenError: torch or transformers is missing, or it is another kind of model.
    """

    def __init__(self, folder: Path) -> None:
        _check_type(folder)
        try:
            import torch
            import transformers
        except ImportError as error:
            raise TongwenError(
                f"measuring a model needs torch and transformers: {error}",
                do="pip install 'tongwen[train]'",
            ) from None
        version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
        kind = {"dtype" if version >= (4, 56) else "torch_dtype": "auto"}
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, **kind)
        model.eval()
        self._torch: Any = torch
        self._body, self._head = model.model, model.lm_head.weight.detach()
        self._input = model.get_input_embeddings().weight.detach()
        self.tied = self._head.data_ptr() == self._input.data_ptr()
        positions = getattr(model.config, "max_position_embeddings", None) or _LONGEST
        self.window = min(positions, _LONGEST)

    def measure(
        self,
        sequences: Sequence[NDArray[np.int32]],
        new_input: Rows | None = None,
        new_output: Rows | None = None,
        advance: Callable[[float], None] = lambda _: None,
    ) -> NDArray[np.float64]:
        """Nats of each sequence after its first token, which is given.

        Args:
            sequences: ids; a longer one than the window is seen in parts that share one token.
            new_input, new_output: rows of the ids after the model's own, [pieces, width]; of a
                tied model the output is that of the input.
            advance: told the tokens that were done.
        """
        torch = self._torch
        width = self._input.shape[1]
        none = np.empty((0, width), np.float32)
        rows = none if new_input is None else new_input
        inputs = [self._input, torch.from_numpy(rows).to(self._input.dtype)]
        heads = inputs
        if not self.tied:
            rows = none if new_output is None else new_output
            heads = [self._head, torch.from_numpy(rows).to(self._head.dtype)]
        nats = np.zeros(len(sequences), np.float64)
        with torch.inference_mode():
            for number, ids in enumerate(sequences):
                for begin in range(0, len(ids) - 1, self.window):
                    part = torch.from_numpy(ids[begin : begin + self.window + 1]).long()
                    nats[number] += self._measure_part(part, inputs, heads)
                    advance(len(part) - 1)
        return nats

    def _measure_part(self, ids: Any, inputs: list[Any], heads: list[Any]) -> float:
        embedded = self._pick(inputs, ids[:-1])[None]
        hidden = self._body(inputs_embeds=embedded, use_cache=False).last_hidden_state[0].float()
        blocks = [block for head in heads for block in head.split(_VOCABULARY_BLOCK)]
        sums = [self._torch.logsumexp(hidden @ block.float().T, dim=1) for block in blocks]
        everything = self._torch.logsumexp(self._torch.stack(sums), dim=0)
        wanted = (hidden * self._pick(heads, ids[1:]).float()).sum(dim=1)
        return float((everything - wanted).double().sum())

    def _pick(self, tables: list[Any], ids: Any) -> Any:
        """The row of each id, from the model's own rows or from the new ones."""
        own, new = tables
        rows = own[ids.clamp(max=len(own) - 1)]
        later = ids >= len(own)
        rows[later] = new[ids[later] - len(own)]
        return rows


def _check_type(folder: Path) -> None:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"cannot read the model's config.json: {error!r}"
        raise TongwenError(what, where=str(folder)) from None
    if kind not in _PLAIN:
        raise TongwenError(
            f"the model is of the type {kind!r}",
            where=str(folder / "config.json"),
            expected="one of " + ", ".join(_PLAIN),
        )
