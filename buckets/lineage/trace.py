"""Both questions about a token: what stands at a place of the training, and where did a text go.

    (stage, iteration, rank, position)  ->  sequence  ->  plan/  ->  document, FILE:LINE, duplicates
    document  ->  places.parquet  ->  bucket, sequence, offset  ->  iteration, rank, trained or not

Iterations count from 1, as metrics.jsonl has them; ranks (data-parallel ones), micro-batches,
sequences and positions from 0.

The price: a few row groups of the tables a question, and one pass over the duplicates for those
that went for the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from buckets.lineage.stage import Piece, StageBuckets, Visit
from buckets.lineage.training import Fate, Training, read_training
from buckets.schedule import Turn
from tongwen.errors import TongwenError
from tongwen.recipe import Recipe
from tongwen.run import RunFolder

_WINDOW = 24


@dataclass(frozen=True)
class Spot:
    """A place of a stage: `number` is the sequence's in the stage, `sequence` its in the bucket."""

    stage: str
    bucket: int
    sequence: int
    number: int
    iteration: int
    rank: int
    micro_batch: int
    place: int
    fate: Fate
    when: str


@dataclass(frozen=True)
class Duplicate:
    """A document that went for another one."""

    id: str
    origin: str
    jaccard: float
    kind: str


@dataclass(frozen=True)
class PositionTrace:
    """What stands at a position of a sequence.

    Attributes:
        piece: None where there is padding.
        token: its id; `text` is what it stands for, `before` and `after` what is around it.
        learned: there is loss on it.
        document_token: its number in BOS + prompt + text + EOS; -1 for padding.
        duplicates: documents that went for this one.
        versions: of the corpus: name of the output -> fingerprint.
    """

    spot: Spot
    position: int
    piece: Piece | None
    token: int
    before: str
    text: str
    after: str
    learned: bool
    document_token: int
    duplicates: tuple[Duplicate, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class DocumentTrace:
    """Where a document went.

    Attributes:
        visits: its pieces with the place of each, stage by stage.
        went_for: the document that stays for it, where it is a duplicate.
    """

    id: str
    visits: tuple[tuple[Visit, Spot], ...]
    duplicates: tuple[Duplicate, ...]
    went_for: tuple[str, ...]
    versions: dict[str, str]


class Lineage:
    """A run opened for questions; stages and vocabularies are opened when asked for."""

    def __init__(self, recipe: Recipe, run: RunFolder) -> None:
        self.recipe, self.run = recipe, run
        self.stage = lru_cache(None)(self._open_stage)
        self.training = lru_cache(None)(self._read_training)
        self.words = lru_cache(None)(self._load_words)

    @property
    def stages(self) -> list[str]:
        """The stages that have buckets."""
        names = [stage.name for stage in self.recipe.trained_stages]
        return [name for name in names if self.run.record(f"buckets/{name}") is not None]

    @cached_property
    def versions(self) -> dict[str, str]:
        """Fingerprints of the corpus that the documents are of."""
        names = ("corpus/documents", "corpus/duplicates")
        records = {name: self.run.record(name) for name in names}
        return {name: record.fingerprint for name, record in records.items() if record}

    def find_spot(self, stage: str, bucket: int, sequence: int) -> Spot:
        """When and where a sequence of a bucket is trained on."""
        number, training = self.stage(stage).find_number(bucket, sequence), self.training(stage)
        turn = training.layout.find_turn(number)
        iteration = turn.iteration + 1
        fate = training.judge(iteration)
        when = training.when if fate == "trained" else ""
        where = (iteration, turn.rank, turn.micro_batch, turn.place)
        return Spot(stage, bucket, sequence, number, *where, fate, when)

    def find_duplicates(self, document: str) -> tuple[Duplicate, ...]:
        """The documents that went for this one."""
        rows = self._ask("SELECT id, origin, jaccard, kind", "keeper", document)
        return tuple(Duplicate(*row) for row in rows)

    def find_keepers(self, document: str) -> tuple[str, ...]:
        """The documents that this one went for."""
        return tuple(row[0] for row in self._ask("SELECT DISTINCT keeper", "id", document))

    def _ask(self, select: str, column: str, value: str) -> list[tuple[Any, ...]]:
        path = str(self.run.finished("corpus/duplicates") / "duplicates.parquet")
        query = f"{select} FROM read_parquet($path) WHERE {column} = $value ORDER BY ALL"
        with duckdb.connect(config={"threads": 1, "memory_limit": "500MB"}) as database:
            return database.execute(query, {"path": path, "value": value}).fetchall()

    def _open_stage(self, name: str) -> StageBuckets:
        record, vocabulary = self.run.record(f"buckets/{name}"), "tokenizer/vocabulary"
        now = self.run.record(vocabulary)
        used = record.inputs.get(vocabulary) if record else None
        if now is not None and used is not None and used != now.content:
            raise TongwenError(
                "the buckets were made with another vocabulary than the one that is there now",
                where=f"buckets/{name}",
                do=f"build them again: tongwen run RECIPE --redo buckets/{name}",
            )
        return StageBuckets(self.run, name)

    def _read_training(self, name: str) -> Training:
        return read_training(self.recipe, self.run, name)

    def _load_words(self, stage: str) -> list[bytes]:
        chosen = next(each for each in self.recipe.stages if each.name == stage)
        folder = self.run.finished("tokenizer/vocabulary")
        folder = folder / "base" if chosen.vocabulary == "base" else folder
        return load_words(folder / "tokenizer.model")


def load_words(model: Path) -> list[bytes]:
    """What each id stands for; bytes, since a character may be several tokens."""
    from tokenizer.model import SPACE, PieceType, parse_model

    return [
        bytes([int(piece.piece[3:-1], 16)])
        if piece.type == PieceType.BYTE
        else piece.piece.replace(SPACE, " ").encode()
        for piece in parse_model(model).pieces
    ]


def join_words(words: list[bytes], ids: NDArray[np.integer]) -> str:
    """The text of ids; halves of characters as U+FFFD."""
    return b"".join(words[token] for token in ids.tolist()).decode(errors="replace")


def find_sequence(
    lineage: Lineage, stage: str, iteration: int, rank: int, turn: tuple[int, int] = (0, 0)
) -> tuple[int, int]:
    """Bucket, and sequence in it, that a rank reads.

    Args:
        iteration: from 1.
        turn: micro-batch, and place in it.

    Raises:
        TongwenError: the layout or the stage has no such place.
    """
    layout = lineage.training(stage).layout
    try:
        number = layout.find_sequence(Turn(iteration - 1, rank, *turn))
    except IndexError as error:
        raise TongwenError(
            str(error),
            where=f"stage {stage}",
            expected=f"iterations from 1, ranks below {layout.num_ranks}, micro-batches below "
            f"{layout.num_micro_batches}, places below {layout.micro_batch_size}",
        ) from None
    return lineage.stage(stage).find_bucket(number)


def trace_position(
    lineage: Lineage, stage: str, bucket: int, sequence: int, position: int
) -> PositionTrace:
    """What stands at a position of a sequence.

    Raises:
        TongwenError: there is no such place.
    """
    buckets = lineage.stage(stage)
    spot = lineage.find_spot(stage, bucket, sequence)
    packed = buckets.open_bucket(bucket).read(sequence)
    if not 0 <= position < len(packed.tokens):
        raise TongwenError(
            f"there is no position {position}",
            where=f"stage {stage}, sequences of {len(packed.tokens):,} tokens",
            expected=f"0 to {len(packed.tokens) - 1:,}",
        )
    pieces = buckets.list_pieces(bucket, sequence)
    piece = next((p for p in pieces if 0 <= position - p.offset < p.length), None)
    first = piece.offset if piece else position
    last = piece.offset + piece.length if piece else position + 1
    words, tokens = lineage.words(stage), packed.tokens
    return PositionTrace(
        spot=spot,
        position=position,
        piece=piece,
        token=int(tokens[position]),
        before=join_words(words, tokens[max(first, position - _WINDOW) : position]),
        text=join_words(words, tokens[position : position + 1]),
        after=join_words(words, tokens[position + 1 : min(last, position + 1 + _WINDOW)]),
        learned=bool(packed.learn[position]),
        document_token=piece.start + position - piece.offset if piece else -1,
        duplicates=lineage.find_duplicates(piece.id) if piece else (),
        versions=lineage.versions,
    )


def trace_document(lineage: Lineage, document: str) -> DocumentTrace:
    """Where a document went, in every stage that has buckets."""
    visits = tuple(
        (visit, lineage.find_spot(stage, visit.bucket, visit.sequence))
        for stage in lineage.stages
        for visit in lineage.stage(stage).find_visits([document])
    )
    return DocumentTrace(
        document,
        visits,
        lineage.find_duplicates(document),
        lineage.find_keepers(document),
        lineage.versions,
    )
