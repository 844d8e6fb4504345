"""The shares of a mixture are met in tokens, by whole documents, as often as allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buckets.candidates import Candidates, find_candidates
from buckets.fitting import take_fitting
from buckets.mixture import Selection, choose_documents, divide
from buckets.tokens import TokenStore, encode_documents
from tokenizer import Encoder
from tongwen.errors import TongwenError
from tongwen.recipe import Part, Stage

SIZES = {
    ("zh", "law"): (500, 60),
    ("zh", "news"): (1_500, 30),
    ("zh", "qa"): (40, 40),
    ("en", "books"): (60, 40),
}


class Chosen:
    """A stage's choice among made documents, with all it was made from."""

    def __init__(
        self, batches: list[pa.RecordBatch], model: Path, folder: Path, stage: Stage, seed: int = 1
    ) -> None:
        encoder = Encoder(model)
        self.candidates: Candidates = find_candidates(batches, stage, [])
        self.store = TokenStore(folder / "tokens", len(self.candidates), encoder.size)
        self.rounds = 0

        def encode(documents: np.ndarray) -> None:
            self.rounds += 1
            encode_documents(batches, self.candidates, documents, encoder, self.store)

        args = (stage, self.candidates, self.store, encode, seed)
        self.selection: Selection = choose_documents(*args)

    def tokens_of(self, language: str, category: str) -> tuple[int, int]:
        """Tokens used of a category, and of its longest document."""
        cells = [
            number
            for number, cell in enumerate(self.candidates.cells)
            if (cell.language, cell.category) == (language, category)
        ]
        document_U = self.selection.document_U
        length = self.store.length_N[document_U]
        here = np.isin(self.candidates.cell_N[document_U], cells)
        return int(length[here].sum()), int(length[here].max(initial=0))


@pytest.fixture(scope="module")
def batches(rows_of: Callable, batches_of: Callable) -> list[pa.RecordBatch]:
    return batches_of(rows_of(7, SIZES), 300)


def make_stage(tokens: int, *parts: Part) -> Stage:
    return Stage(name="one", tokens=tokens, mixture=parts)


def test_shares_are_met_by_whole_documents(
    batches: list[pa.RecordBatch], model_path: Path, tmp_path: Path
) -> None:
    parts = (Part(share=0.8, languages=("zh",)), Part(share=0.2, languages=("en",)))
    chosen = Chosen(batches, model_path, tmp_path, make_stage(4_000, *parts))
    zh, en = chosen.selection.parts
    assert (zh.asked, en.asked) == (3_200, 800)
    longest = int(chosen.store.length_N.max())
    assert abs(zh.used - 3_200) <= longest / 2 and abs(en.used - 800) <= longest / 2
    assert zh.documents + en.documents == len(chosen.selection.document_U)
    assert chosen.selection.epoch_U.tolist() == [1] * len(chosen.selection.document_U)
    assert len(set(chosen.selection.document_U.tolist())) == len(chosen.selection.document_U)


def test_categories_in_proportion_to_what_they_have(
    batches: list[pa.RecordBatch], model_path: Path, tmp_path: Path
) -> None:
    stage = make_stage(8_000, Part(share=1, languages=("zh",), kinds=("text",)))
    chosen = Chosen(batches, model_path, tmp_path, stage)
    texts: dict[str, list[str]] = {}
    for row in pa.Table.from_batches(batches).to_pylist():
        if row["language"] == "zh" and not row["prompt"]:
            texts.setdefault(row["category"], []).append(row["text"])
    encoder = Encoder(model_path)
    real = {name: len(encoder.encode(each)[0]) + 2 * len(each) for name, each in texts.items()}
    for name in ("law", "news"):
        used, longest = chosen.tokens_of("zh", name)
        asked = 8_000 * real[name] / sum(real.values())
        assert 0.97 * asked - longest < used < 1.03 * asked + longest
    available = chosen.selection.parts[0].available
    assert abs(available - sum(real.values())) < 0.05 * sum(real.values())


def test_only_what_is_needed_is_encoded(
    batches: list[pa.RecordBatch], model_path: Path, tmp_path: Path
) -> None:
    stage = make_stage(3_000, Part(share=1, languages=("zh",), categories=("news",)))
    chosen = Chosen(batches, model_path, tmp_path, stage)
    encoded = int((chosen.store.length_N > 0).sum())
    assert encoded < 400 < len(chosen.candidates) and chosen.rounds <= 2


def test_documents_are_used_again_in_another_order(
    batches: list[pa.RecordBatch], model_path: Path, tmp_path: Path
) -> None:
    stage = make_stage(3_000, Part(share=1, languages=("en",), max_epochs=4))
    chosen = Chosen(batches, model_path, tmp_path, stage)
    document_U, epoch_U = chosen.selection.document_U, chosen.selection.epoch_U
    part = chosen.selection.parts[0]
    longest = int(chosen.store.length_N.max())
    assert abs(part.used - 3_000) <= longest / 2 and epoch_U.max() == np.ceil(
        3_000 / part.available
    )
    first, second = (document_U[epoch_U == epoch].tolist() for epoch in (1, 2))
    assert sorted(first) == list(range(len(chosen.candidates)))
    assert second != first[: len(second)] and len(set(second)) == len(second)


@pytest.mark.parametrize("max_epochs", [1.0, 1.5])
def test_too_few_tokens_is_an_error_with_all_numbers(
    batches: list[pa.RecordBatch], model_path: Path, tmp_path: Path, max_epochs: float
) -> None:
    parts = (
        Part(share=0.75, languages=("en",), max_epochs=max_epochs),
        Part(share=0.25, languages=("zh",)),
    )
    with pytest.raises(TongwenError) as error:
        Chosen(batches, model_path, tmp_path, make_stage(40_000, *parts))
    message = str(error.value)
    for words in ("30,000", "0.75", "40,000", f"{max_epochs:g}", "stages.one.mixture.0"):
        assert words in message
    for advice in ("lower the stage's tokens", "max_epochs", "languages, categories"):
        assert advice in message


def test_the_advice_is_right(
    batches: list[pa.RecordBatch], model_path: Path, tmp_path: Path
) -> None:
    """What the message says would be enough is enough."""
    part = Part(share=1, languages=("en",))
    with pytest.raises(TongwenError) as error:
        Chosen(batches, model_path, tmp_path, make_stage(9_000, part))
    tokens = int(error.value.do.split("tokens to ")[1].split(", raise")[0].replace(",", ""))
    assert Chosen(batches, model_path, tmp_path, make_stage(tokens, part)).selection.parts
    with pytest.raises(TongwenError):
        Chosen(batches, model_path, tmp_path, make_stage(tokens + 1, part))
    epochs = float(error.value.do.split("max_epochs to ")[1].split(", give")[0])
    again = Part(share=1, languages=("en",), max_epochs=epochs)
    assert Chosen(batches, model_path, tmp_path, make_stage(9_000, again)).selection.parts


def test_store_holds_what_sentencepiece_says(
    batches: list[pa.RecordBatch], model_path: Path, tmp_path: Path
) -> None:
    chosen = Chosen(batches, model_path, tmp_path, make_stage(700, Part(share=1, kinds=("qa",))))
    encoder = Encoder(model_path)
    rows = pa.Table.from_batches(batches).to_pylist()
    for document in chosen.selection.document_U.tolist():
        row = rows[int(chosen.candidates.row_N[document])]
        prompt, text = encoder.encode([row["prompt"]])[0], encoder.encode([row["text"]])[0]
        whole = [encoder.bos, *prompt.tolist(), *text.tolist(), encoder.eos]
        assert chosen.store.read(document).tolist() == whole
        assert chosen.store.prompt_N[document] == len(prompt) + 1
    chosen.store.remove()
    assert not (tmp_path / "tokens").exists()


def test_many_small_categories_do_not_overshoot(
    batches_of: Callable, model_path: Path, tmp_path: Path
) -> None:
    """A budget far below one document a category is still the budget."""
    text = "月亮绕着地球转，地球绕着太阳转。" * 40
    rows = [
        {"text": f"{number}{text}", "prompt": "", "category": f"c{number % 40}", "language": "zh"}
        for number in range(400)
    ]
    for number, row in enumerate(rows):
        row["id"] = f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}"
    stage = make_stage(10_000, Part(share=1, languages=("zh",)))
    chosen = Chosen(batches_of(rows, 100), model_path, tmp_path, stage)
    used, longest = chosen.selection.parts[0].used, int(chosen.store.length_N.max())
    assert longest > 10_000 / 40
    assert abs(used - 10_000) <= longest / 2


def test_a_share_below_any_document_takes_the_shortest(
    batches: list[pa.RecordBatch], model_path: Path, tmp_path: Path
) -> None:
    chosen = Chosen(batches, model_path, tmp_path, make_stage(2, Part(share=1, kinds=("qa",))))
    (used,) = chosen.store.length_N[chosen.selection.document_U].tolist()
    assert used == chosen.store.length_N[chosen.store.length_N > 0].min()


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 50), max_size=30), room=st.integers(0, 400))
def test_fitting_documents_leave_no_room_for_another(lengths: list[int], room: int) -> None:
    taken = take_fitting(np.array(lengths, np.int32), room).tolist()
    assert taken == sorted(set(taken))
    used = sum(lengths[index] for index in taken)
    rest = [length for index, length in enumerate(lengths) if index not in taken]
    assert used - room <= max(lengths, default=0) / 2
    assert not rest or room - used <= min(rest) / 2
    everything = sum(lengths) <= room
    assert len(taken) == len(lengths) or not everything


@settings(max_examples=50, deadline=None)
@given(
    total=st.integers(0, 10**12),
    weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=9).filter(any),
)
def test_divide_adds_up_and_is_within_one(total: int, weights: list[int]) -> None:
    parts = divide(total, np.array(weights))
    assert parts.sum() == total and parts.min() >= 0
    exact = np.array(weights) / sum(weights) * total
    assert np.abs(parts - exact).max() <= 1 + 1e-9 * total
