"""Rates, ratios, means and intervals, against numbers worked out by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from tokenizer.comparing import compare
from tokenizer.comparing.bootstrap import REPLICATES, Weights
from tokenizer.comparing.compare import Comparer, compare_tokenizers, measure_rate
from tokenizer.comparing.kinds import Tally
from tokenizer.comparing.published import PUBLISHED_RATIO, find_reference, list_published
from tokenizer.comparing.rates import Rate, list_intervals, make_rates
from tokenizer.comparing.show import format_rates
from tongwen.errors import TongwenError


class EveryNth:
    """A token for every n characters, the first of them a byte; "?" is unknown."""

    def __init__(self, every: int, size: int) -> None:
        self.every, self.size = every, size

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return self.measure(texts).tokens

    def measure(self, texts: Sequence[str]) -> Tally:
        tokens = np.array([-(-len(text) // self.every) for text in texts], np.int64)
        unknown = np.array([text.count("?") for text in texts], np.int64)
        lengths = np.array([len(text) for text in texts], np.int64)
        return Tally(tokens, np.minimum(tokens, 1), unknown, lengths)


COUNTERS = {
    "base": EveryNth(1, 32_000),
    "Chinese-LLaMA-2": EveryNth(2, 55_296),
    "ours": EveryNth(4, 69_104),
}


def make_batch(*rows: tuple[str, str, str, str, str]) -> pa.RecordBatch:
    names = ["text", "prompt", "category", "language", "source"]
    columns = zip(*rows, strict=True)
    return pa.record_batch([pa.array(list(each), pa.string()) for each in columns], names=names)


ROWS = (
    ("春眠不觉晓", "", "poem", "zh", "one"),
    ("处处闻啼鸟", "夜来", "poem", "zh", "one"),
    ("好" * 100, "", "law", "zh", "two"),
    ("one two, three", "", "web", "en", "three"),
)


def find(rates: Sequence[Rate], tokenizer: str, language: str, name: str = "") -> Rate:
    (found,) = [
        rate
        for rate in rates
        if (rate.tokenizer, rate.language, rate.name) == (tokenizer, language, name)
    ]
    return found


def test_pooled_rate_and_mean_of_sources_are_both_given() -> None:
    rates = make_rates(compare_tokenizers(COUNTERS, [make_batch(*ROWS)]))
    ours = find(rates, "ours", "zh")
    # 5 -> 2; 5 and its prompt of 2 -> 2 + 1; 100 -> 25 tokens of four characters.
    assert (ours.documents, ours.characters, ours.tokens) == (3, 112, 30)
    assert ours.bytes == 3 * 112
    assert ours.tokens_per_character == 30 / 112
    assert ours.characters_per_token == 112 / 30
    assert ours.bytes_per_token == 336 / 30
    assert ours.sources == 2
    assert ours.mean_of_sources == pytest.approx((5 / 12 + 25 / 100) / 2)
    assert ours.fallback_share == 4 / 30  # one a text and one of the prompt
    assert ours.token_length == 112 / 26
    assert ours.fertility == 30 / 112
    base = find(rates, "base", "zh")
    assert base.mean_of_sources == base.tokens_per_character == 1
    assert ours.to_base == 30 / 112
    assert ours.mean_to_base == ours.mean_of_sources


def test_colossal_is_the_published_ratio_of_chinese_llama_2() -> None:
    assert PUBLISHED_RATIO == 0.9865
    assert pytest.approx(0.659 / 0.668, abs=5e-5) == PUBLISHED_RATIO
    rates = make_rates(compare_tokenizers(COUNTERS, [make_batch(*ROWS)]))
    reference = find(rates, "Chinese-LLaMA-2", "zh")
    colossal = find(rates, "Colossal-LLaMA-2 (by the ratio)", "zh")
    assert reference.tokens_per_character == (3 + 3 + 1 + 50) / 112
    assert colossal.tokens_per_character == pytest.approx(0.9865 * 57 / 112)
    assert colossal.to_reference == colossal.mean_to_reference == pytest.approx(0.9865)
    assert colossal.pieces == 69_104
    assert colossal.tokens is None
    ours = find(rates, "ours", "zh")
    assert ours.to_reference == pytest.approx(30 / 57)
    # The table was published for Chinese; nothing follows from it for English.
    assert not [rate for rate in rates if rate.language == "en" and "ratio" in rate.tokenizer]


def test_the_published_table_keeps_its_figures() -> None:
    table = {row["name"]: row for row in list_published()}
    assert table["Colossal-LLaMA-2"]["rate"] == 0.659
    assert table["InternLM"]["to_reference"] == pytest.approx(0.566 / 0.668)
    assert table["Qwen"]["to_base"] == pytest.approx(0.578 / 1.205)


def test_the_reference_goes_by_its_name_or_is_named() -> None:
    assert find_reference(["base", "chinese_llama2 (55k)"]) == "chinese_llama2 (55k)"
    assert find_reference(["base", "ours"]) is None
    table = compare_tokenizers(COUNTERS, [make_batch(*ROWS)])
    rates = make_rates(table, reference="ours")
    assert find(rates, "ours", "zh").to_reference == 1
    assert not [rate for rate in rates if "ratio" in rate.tokenizer]
    with pytest.raises(TongwenError, match="no tokenizer is called 'theirs'"):
        make_rates(table, reference="theirs")
    # Of ours at 55,296 pieces nothing is derived, unless the user says that it is the reference.
    own = compare_tokenizers({"base": COUNTERS["base"], "ours": EveryNth(2, 55_296)}, [])
    assert make_rates(own) == []


def test_categories_and_sources_have_rows_of_their_own() -> None:
    table = compare_tokenizers(COUNTERS, [make_batch(*ROWS[:2]), make_batch(*ROWS[2:])])
    by_category = make_rates(table, "category")
    assert find(by_category, "ours", "zh", "law").tokens == 25
    assert find(by_category, "ours", "zh", "poem").documents == 2
    by_source = make_rates(table, "source")
    assert find(by_source, "ours", "en", "three").characters == 14
    assert list(dict.fromkeys(rate.name for rate in by_source)) == ["two", "three", "one"]
    assert measure_rate(table, "ours", "zh") == 30 / 112
    assert measure_rate(table, "ours", "fr") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("今天，天气。", 4),
        ("it's fine -- really", 3),
        ("用Python写3行code！", 6),  # 用 Python 写 3 行 code！
        ("　全 角\u00a0abc\n", 3),
        ("……“”", 0),
        ("", 0),
        ("naïve Größe 〇", 3),
    ],
)
def test_words_are_han_characters_and_what_stands_between_spaces(text: str, words: int) -> None:
    table = compare_tokenizers(COUNTERS, [make_batch((text, "", "c", "zh", "s"))])
    assert table["words"].to_pylist() == [words] * 3


def test_text_without_words_has_no_fertility_and_none_no_rate() -> None:
    rates = make_rates(compare_tokenizers(COUNTERS, [make_batch(("……", "", "c", "zh", "s"))]))
    assert find(rates, "ours", "zh").fertility is None
    empty = make_rates(compare_tokenizers(COUNTERS, [make_batch(("", "", "c", "zh", "s"))]))
    assert find(empty, "ours", "zh").tokens_per_character is None
    assert find(empty, "ours", "zh").mean_of_sources is None


def test_where_a_source_is_not_known_there_is_no_mean_of_sources() -> None:
    batch = make_batch(*ROWS).drop_columns(["source"])
    table = compare_tokenizers(COUNTERS, [batch])
    assert table["source"].null_count == table.num_rows
    ours = find(make_rates(table), "ours", "zh")
    assert ours.mean_of_sources is ours.mean_to_base is ours.sources is None
    assert ours.tokens_per_character == 30 / 112


def test_sources_beyond_the_limit_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "MOST_SOURCES", 2)
    rows = [("好", "", "c", "zh", f"source {number}") for number in range(6)]
    table = compare_tokenizers(COUNTERS, [make_batch(*rows)])
    own = table.filter(pa.compute.equal(table["tokenizer"], "ours"))  # pyright: ignore
    assert own["source"].to_pylist() == [compare.OTHER_SOURCES, "source 0", "source 1"]
    assert own["documents"].to_pylist() == [4, 1, 1]


def make_documents(count: int) -> Iterator[pa.RecordBatch]:
    chance = random.Random(3)
    for _ in range(count // 50):
        rows = [
            ("好" * chance.randint(1, 60), "", "c", "zh", chance.choice("ab")) for _ in range(50)
        ]
        yield make_batch(*rows)


def test_intervals_are_those_of_the_ratios_standard_error() -> None:
    """The oracle: the variance of a ratio by linearisation, sum (t - R c)^2 / C^2."""
    comparer = Comparer({"three": EveryNth(3, 100)})
    tokens, characters = [], []
    for batch in make_documents(2000):
        comparer.add(batch)
        lengths = [len(text) for text in batch.column("text").to_pylist()]
        characters += lengths
        tokens += [-(-length // 3) for length in lengths]
    t, c = np.array(tokens, float), np.array(characters, float)
    ratio = t.sum() / c.sum()
    error = math.sqrt(((t - ratio * c) ** 2).sum()) / c.sum()
    (rate,) = make_rates(comparer.finish(), intervals=list_intervals(comparer))
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low < ratio < rate.high
    assert (rate.high - rate.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.12)
    assert (rate.high + rate.low) / 2 == pytest.approx(ratio, abs=error / 4)
    assert rate.mean_low is not None
    assert rate.mean_high is not None
    assert rate.mean_low < (rate.mean_of_sources or 0) < rate.mean_high


def test_intervals_depend_on_the_seed_and_not_on_batches_or_threads() -> None:
    batches = list(make_documents(300))
    tables: list[pa.Table] = []
    for seed, workers, joined in ((1, 1, False), (1, 3, True), (2, 1, False)):
        comparer = Comparer(COUNTERS, seed=seed, workers=workers)
        for batch in [pa.concat_batches(batches)] if joined else batches:
            comparer.add(batch)
        tables.append(list_intervals(comparer))
    assert tables[0].num_rows == 4 * 3 + 3  # language, category, two sources; and the means
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])


def test_weights_are_poisson() -> None:
    weights = Weights(1).draw(400)
    assert weights.shape == (400, REPLICATES)
    for number in range(4):
        expected = math.exp(-1) / math.factorial(number)
        assert np.mean(weights == number) == pytest.approx(expected, abs=0.003)
    assert weights.mean() == pytest.approx(1, abs=0.005)


def test_one_document_has_no_interval() -> None:
    comparer = Comparer(COUNTERS)
    comparer.add(make_batch(ROWS[0]))
    assert list_intervals(comparer).num_rows == 0


def test_a_table_aligns_chinese_names_and_hides_control_characters() -> None:
    rows = [("好", "", "法律\x1b[2J", "zh", "s"), ("好好", "", "诗", "zh", "s")]
    text = format_rates(
        make_rates(compare_tokenizers(COUNTERS, [make_batch(*rows)]), "category"), "category"
    )
    lines = text.splitlines()
    assert "\x1b" not in text
    assert "法律·[2J  base" in text
    assert "诗        base" in text
    assert lines[0].startswith("language")
