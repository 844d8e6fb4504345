"""What an extended vocabulary promises: exact size, live pieces, and a base that is untouched."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tokenizer import Encoder
from tokenizer.learning.characters import is_cjk_only, list_common_characters
from tokenizer.lint.proof import find_changes, find_unreachable
from tokenizer.merge import append_pieces
from tokenizer.model import SPACE, ModelProto, load_model, parse_model
from tongwen.errors import TongwenError

SHARED = Path(__file__).parents[3] / "shared" / "data"
TEXT = (
    "你好，世界！今天天气很好。hello  world\n\n\t<0x41> “it’s” 🙂 龘鼴 ▁ x====y\r\n    def f(x):\n"
)
MIXED = st.text(
    st.sampled_from("中华人民共和国机器学习，。“”…— ▁ab1\n\té🙂龘\u3000意大利国务院我们可以")
)


@pytest.fixture(scope="module")
def extended(vocabulary: Path) -> ModelProto:
    return load_model(vocabulary / "tokenizer.model")


def test_size_is_met_exactly(vocabulary: Path, extended: ModelProto) -> None:
    assert len(extended.pieces) == 32_160
    assert extended.trainer_spec.vocab_size == 32_160
    assert Encoder(vocabulary / "tokenizer.model").size == 32_160


def test_base_ids_and_scores_are_unchanged(base: ModelProto, extended: ModelProto) -> None:
    for old, new in zip(base.pieces, extended.pieces, strict=False):
        assert old == new
    lowest = min(piece.score for piece in base.pieces if piece.piece.strip(SPACE))
    scores = [piece.score for piece in list(extended.pieces)[len(base.pieces) :]]
    assert scores == [lowest - number for number in range(1, len(scores) + 1)]


def test_no_piece_is_dead(extended: ModelProto) -> None:
    assert find_unreachable(extended) == []


def test_dead_piece_is_found(base: ModelProto) -> None:
    model = append_pieces(base, ["意大利"])
    assert [model.pieces[number].piece for number in find_unreachable(model)] == ["意大利"]
    assert find_unreachable(append_pieces(base, ["意大", "意大利"])) == []


def test_pieces_table_describes_the_model(vocabulary: Path, extended: ModelProto) -> None:
    rows = pq.read_table(vocabulary / "pieces.parquet").to_pylist()
    assert [row["id"] for row in rows] == list(range(32_000, 32_160))
    for row in rows:
        piece = extended.pieces[row["id"]]
        assert (row["piece"], row["score"]) == (piece.piece, piece.score)
        assert row["characters"] == len(piece.piece) and row["reachable"]
    kinds = [row["kind"] for row in rows]
    assert kinds == sorted(kinds, key=["character", "merge", "filler"].index)
    merges = [row for row in rows if row["kind"] == "merge"]
    assert min(row["count"] for row in merges) >= 2 and len(merges) > 50
    assert {"鼴", "龘"} <= {row["piece"] for row in rows if row["kind"] == "character"}


def test_no_english_text_can_meet_a_new_piece(vocabulary: Path) -> None:
    for piece in pq.read_table(vocabulary / "pieces.parquet")["piece"].to_pylist():
        assert any(map(is_cjk_only, piece)), piece
        assert not any(character.isascii() or character.isspace() for character in piece), piece
        assert len(piece) <= 16


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=5))
def test_text_without_cjk_characters_keeps_its_ids(
    base: ModelProto, extended: ModelProto, texts: list[str]
) -> None:
    assert find_changes(base, extended, [TEXT.replace("，", "“…”—"), *texts]) == []


def test_a_change_of_english_is_found(base: ModelProto) -> None:
    other = append_pieces(base, [])
    next(piece for piece in other.pieces if piece.piece == "lo").score = 1000.0
    assert find_changes(base, other, ["hello", "你hello", "x"]) == ["hello"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=MIXED)
def test_tokenizer_json_gives_the_same_ids(vocabulary: Path, text: str) -> None:
    check_same_ids(vocabulary, [text])


def test_transformers_gives_the_same_ids(vocabulary: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    encoder = Encoder(vocabulary / "tokenizer.model")
    for text in (TEXT, "机器学习", " 两 个  空格"):
        ids = tokenizer(text).input_ids
        assert ids == [encoder.bos, *encoder.encode([text])[0]]
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert decoded.strip() == text.replace("▁", " ").strip()
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (encoder.bos, encoder.eos)


_OPENED: dict[Path, tuple[Any, Any]] = {}


def check_same_ids(folder: Path, texts: list[str]) -> None:
    if folder not in _OPENED:
        _OPENED[folder] = (
            Tokenizer.from_file(str(folder / "tokenizer.json")),
            sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model")),
        )
    fast, processor = _OPENED[folder]
    for text in [TEXT, *texts]:
        assert fast.encode(text, add_special_tokens=False).ids == processor.encode(text)


def test_base_is_kept_beside(vocabulary: Path, base_path: Path) -> None:
    assert (vocabulary / "base" / "tokenizer.model").read_bytes() == base_path.read_bytes()
    check_same_ids(vocabulary / "base", ["运行  x", "a   b"])


def test_same_bytes_again(make_recipe, build, vocabulary: Path, tmp_path: Path) -> None:
    again = build(make_recipe(tmp_path / "run"), "tokenizer/vocabulary")
    for file in sorted(path for path in vocabulary.rglob("*") if path.name != "record.json"):
        if file.is_file():
            assert (again / file.relative_to(vocabulary)).read_bytes() == file.read_bytes(), file


def test_held_out_documents_are_not_learned_from(make_recipe, tmp_path: Path, corpus_file) -> None:
    import pyarrow as pa

    from tokenizer.learning.sampling import read_chosen

    table = pa.table(
        {
            "id": ["00000a", "7fffff", "fffff0", "111111"],
            "text": ["甲乙", "丙丁", "戊己", "held"],
            "prompt": ["", "问", "", ""],
            "language": ["zh", "zh", "zh", "zh"],
            "category": ["law"] * 4,
            "source": ["a", "b", "a", "b"],
        }
    )

    def read(columns: list[str]) -> list[pa.RecordBatch]:
        return table.select(columns).to_batches()

    held_out = pa.array(["111111"])
    chosen = pa.Table.from_batches(read_chosen(read, ("zh",), held_out, 5))
    assert chosen["text"].to_pylist() == ["甲乙", "丙丁"]
    assert chosen["prompt"].to_pylist() == ["", "问"]
    assert chosen["source"].to_pylist() == ["a", "b"]
    assert list(read_chosen(read, ("en",), held_out, 5)) == []


def test_size_below_the_base_is_refused(make_recipe, build, tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match=r"32,000 pieces.*cannot have 32,000"):
        build(make_recipe(tmp_path / "run", size=32_000), "tokenizer/vocabulary")


def test_a_language_that_the_corpus_lacks_is_refused(make_recipe, build, tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match="no document in 'ja'") as caught:
        build(make_recipe(tmp_path / "run", languages=["ja"]), "tokenizer/vocabulary")
    assert "zh (" in str(caught.value) and "en (" in str(caught.value)


def test_lists_and_denylist_of_a_recipe_are_kept_to(make_recipe, build, tmp_path: Path) -> None:
    listed, denied = tmp_path / "terms.jsonl", tmp_path / "denied.txt"
    terms = ["讯飞星火", "hello", "讯飞星火"]
    listed.write_text("".join(f'{{"piece": "{term}"}}\n' for term in terms), encoding="utf-8")
    denied.write_text("# ours\n意大利\n", encoding="utf-8")
    keys = {"lists": [str(listed)], "filter": {"denylist": str(denied)}}
    folder = build(make_recipe(tmp_path / "run", **keys), "tokenizer/vocabulary")
    pieces = {row["piece"]: row for row in pq.read_table(folder / "pieces.parquet").to_pylist()}
    assert pieces["讯飞星火"]["kind"] == "list" and "意大利" not in pieces
    left_out = pq.read_table(folder / "left_out.parquet").to_pylist()
    rules = {row["piece"]: row["rule"] for row in left_out}
    assert rules["意大利"] == "denylist"
    assert (rules["hello"], rules["讯飞星火"]) == ("list:no-cjk", "list:duplicate")
    assert find_unreachable(load_model(folder / "tokenizer.model")) == []


def test_a_list_that_is_not_there_is_named_before_anything_runs(
    make_recipe, build, tmp_path
) -> None:
    recipe = make_recipe(tmp_path / "run", lists=["nowhere.jsonl"])
    with pytest.raises(TongwenError, match=r"there is no file .*nowhere\.jsonl"):
        build(recipe, "tokenizer/vocabulary")
    assert not (tmp_path / "run" / "corpus").exists()


def test_corpus_too_small_says_what_it_supports(make_recipe, build, tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match=r"the corpus supports [\d,]+ new pieces") as caught:
        build(make_recipe(tmp_path / "run", size=69_104), "tokenizer/vocabulary")
    assert "tokenizer.size = 69104" in str(caught.value)


def test_fillers_are_common_characters_and_counted(make_recipe, build, tmp_path: Path) -> None:
    folder = build(make_recipe(tmp_path / "run", size=36_000, min_count=9), "tokenizer/vocabulary")
    rows = pq.read_table(folder / "pieces.parquet").to_pylist()
    fillers = [row["piece"] for row in rows if row["kind"] == "filler"]
    assert len(rows) == 4_000 and len(fillers) > 1_000
    assert set(fillers) <= set(list_common_characters())
    assert find_unreachable(load_model(folder / "tokenizer.model")) == []


def test_common_characters_are_those_of_gb2312() -> None:
    common = list_common_characters()
    assert len(common) == len(set(common)) == 6_763
    assert (common[0], common[3754], common[3755]) == ("啊", "座", "亍")


def train_unigram(path: Path) -> Path:
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["hello world you and me", "a small model of words"] * 20),
        model_writer=writer,
        vocab_size=40,
        model_type="unigram",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path.write_bytes(writer.getvalue())
    return path


def test_unigram_model_is_refused(tmp_path: Path) -> None:
    path = train_unigram(tmp_path / "unigram.model")
    assert len(parse_model(path).pieces) > 10
    with pytest.raises(TongwenError, match="a unigram model"):
        load_model(path)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b'{"model": 1}', "JSON"),
        (b"version https://git-lfs.x", "LFS"),
        (b"\xff" * 9, "else"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, data: bytes, word: str) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data)
    with pytest.raises(TongwenError, match=word):
        load_model(path)


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(MIXED, max_size=6))
def test_encoder_equals_sentencepiece(vocabulary: Path, texts: list[str]) -> None:
    encoder = Encoder(vocabulary / "tokenizer.model")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary / "tokenizer.model"))
    ids, offsets = encoder.encode(texts)
    assert (ids.dtype, offsets.dtype, len(offsets)) == (np.int32, np.int64, len(texts) + 1)
    for number, text in enumerate(texts):
        assert ids[offsets[number] : offsets[number + 1]].tolist() == processor.encode(text)


@pytest.mark.skipif(not SHARED.exists(), reason="real text not present")
def test_published_vocabulary_has_657_dead_additions() -> None:
    model = parse_model(SHARED / "tokenizers" / "chinese-llama2-55296" / "tokenizer.model")
    assert len(find_unreachable(model, start=32_000)) == 657
    assert find_unreachable(parse_model(SHARED / "tokenizers" / "llama2" / "tokenizer.model")) == []
