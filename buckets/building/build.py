"""The build of a stage: what calls what.

    survey and rounds (choosing) -> token store and index (encoding) -> a plan for each bucket
    (planning) -> sequences (packing) -> .bin/.idx (shards) and the lineage beside them

Everything unfinished lies in `work/` of the output's own folder.  A build that was killed goes on:
rounds and chunks that are encoded stay, the plan is worked out again (it needs no text), and
buckets with their mark in `work/` are left as they are.

The price: tokens are written twice, into the store in the order of the corpus and into the shards
in the order of training.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from buckets.building.survey import COLUMNS, survey_stage
from buckets.building.tally import Tally
from buckets.building.writing import BucketWriter, Written
from buckets.choosing.cells import make_salt
from buckets.choosing.rounds import Chosen, Rounds
from buckets.encoding import Choose, DocumentIndex, TokenStore
from buckets.lineage.places import write_places
from buckets.planning.plan import BucketPlan, StagePlan, Supply, measure_supply
from buckets.proof.order import write_order
from corpus import read_kept
from tokenizer import Encoder
from tokenizer.files import resolve_model
from tongwen.progress import progress
from tongwen.recipe import Recipe, Stage
from tongwen.record import Counts
from tongwen.run import RunFolder


@dataclass(frozen=True)
class Start:
    """Where a build begins; by default at the stage's beginning.

    Attributes:
        bucket: the first bucket to be built; those before it stay.
        mixture: number of the mixture that they are built by.
        consumed: a Parquet table (id, tokens) of what of each document was used before.
        tokens, sequences: that the earlier buckets hold.
    """

    bucket: int = 0
    mixture: int = 0
    consumed: Path | None = None
    tokens: int = 0
    sequences: int = 0


def load_encoder(recipe: Recipe, run: RunFolder, vocabulary: str) -> Encoder:
    """The encoder of a vocabulary, `base` or `extended`."""
    if vocabulary == "base":
        path = resolve_model(recipe, recipe.tokenizer.base)
    else:
        path = run.finished("tokenizer/vocabulary") / "tokenizer.model"
    return Encoder(path, num_threads=recipe.run.workers)


def build_buckets(
    recipe: Recipe, run: RunFolder, out: Path, stage: Stage, start: Start | None = None
) -> Counts:
    """Build a stage's buckets, or those from some bucket on.

    Raises:
        TongwenError: the mixture asks for documents that are not there, a group is too small for
            the buckets, or a document is longer than one.
    """
    work, start = out / "work", start or Start()
    for folder in (work, out / "plan"):
        folder.mkdir(exist_ok=True)
    encoder = load_encoder(recipe, run, stage.vocabulary)
    store = TokenStore(work / "store", encoder.size)
    choosing = _Choosing(recipe, run, stage, store, encoder, start)
    chosen = choosing.choose()
    plan, index = choosing.make_plan(chosen)
    writer = BucketWriter(
        out=out,
        work=work,
        store=store,
        index=index,
        cells=choosing.cells,
        bins=plan.bins,
        sequence_length=recipe.buckets.sequence_length,
        num_pieces=encoder.size,
        padding=encoder.eos,
        key=("sequences", recipe.run.seed, stage.name),
        ordered=stage.curriculum is not None,
    )
    tally = Tally(choosing.cells, plan.bins)
    _write_buckets(plan, writer, tally, recipe.run.workers, stage.tokens - start.tokens)
    places = {"first_bucket": start.bucket, "first_sequence": start.sequences}
    tally.write(out, stage, chosen, mixture=start.mixture, **places)
    write_places(out, memory=recipe.run.memory, workers=recipe.run.workers)
    write_order(out, sequence_length=recipe.buckets.sequence_length)
    store.remove()
    shutil.rmtree(work)
    return count_stage(out, recipe.buckets.sequence_length, tally)


class _Choosing:
    """From the recipe to the plan: which documents, encoded and sorted."""

    def __init__(
        self,
        recipe: Recipe,
        run: RunFolder,
        stage: Stage,
        store: TokenStore,
        encoder: Encoder,
        start: Start,
    ) -> None:
        self._recipe, self._run, self._stage = recipe, run, stage
        self._store, self._encoder, self._start = store, encoder, start
        survey, excluded = survey_stage(recipe, run, stage)
        self.cells = survey.cells
        salt = make_salt("order", recipe.run.seed, stage.name)
        self._rounds = Rounds(stage, survey, stage.tokens - start.tokens, excluded, salt)

    def choose(self) -> Chosen:
        """Encode what the mixture takes."""
        return self._rounds.run(self._encode, self._measure)

    def make_plan(self, chosen: Chosen) -> tuple[StagePlan, DocumentIndex]:
        """Sort what was encoded and lay it out over the buckets."""
        recipe, stage = self._recipe, self._stage
        index = self._sort()
        supplies = self._supply(index, chosen)
        if stage.curriculum is not None:
            table = stage.curriculum.table
            index = self._store.reorder(
                np.array([supply.limit for supply in supplies], np.uint64),
                stage.curriculum,
                recipe.resolve(table) if table else None,
                memory=recipe.run.memory,
            )
            supplies = self._supply(index, chosen)
        plan = StagePlan(
            index,
            self.cells,
            supplies,
            range(self._start.bucket, stage.buckets),
            sequence_length=recipe.buckets.sequence_length,
            small_categories=recipe.buckets.small_categories,
            where=f"stages.{stage.name}",
        )
        return plan, index

    def _encode(self, name: str, choose: Choose) -> None:
        self._store.encode_round(name, lambda: read_kept(self._run, COLUMNS), choose, self._encoder)

    def _measure(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        documents_C, tokens_C = self._store.count_cells(len(self.cells))
        used_C = np.zeros_like(tokens_C)
        if self._start.consumed is not None:
            index = self._sort()
            for cell in range(len(self.cells)):
                first, stop = index.bounds(cell)
                used_C[cell] = int(index.rows["used"][first:stop].sum())
        return documents_C, tokens_C, used_C

    def _sort(self) -> DocumentIndex:
        return self._store.sort(memory=self._recipe.run.memory, consumed=self._start.consumed)

    def _supply(self, index: DocumentIndex, chosen: Chosen) -> list[Supply]:
        length = self._recipe.buckets.sequence_length
        return [
            measure_supply(
                index,
                number,
                int(chosen.quotas.asked_C[number]),
                self._stage.mixture[cell.part].max_epochs,
                length,
            )
            for number, cell in enumerate(self.cells)
        ]


def _write_buckets(
    plan: StagePlan, writer: BucketWriter, tally: Tally, workers: int, tokens: int
) -> None:
    """Write all buckets, several at a time, in order."""
    with progress("writing buckets", total=tokens, unit="tokens") as advance:
        for written in _write_in_threads(plan, writer, tally, workers):
            tally.written.append(written)
            advance(written.tokens)


def _write_in_threads(
    plan: StagePlan, writer: BucketWriter, tally: Tally, workers: int
) -> Iterator[Written]:
    waiting: deque[Future[Written]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for bucket in _count_plans(plan, tally):
            waiting.append(pool.submit(writer.write, bucket))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _count_plans(plan: StagePlan, tally: Tally) -> Iterator[BucketPlan]:
    for bucket in plan:
        tally.add_plan(bucket)
        yield bucket


def count_stage(out: Path, sequence_length: int, tally: Tally) -> Counts:
    """What a record says of a stage's buckets, all of them."""
    buckets = pq.read_table(out / "buckets.parquet").to_pydict()
    sequences, tokens = sum(buckets["sequences"]), sum(buckets["tokens"])
    points, group = tally.balance.largest_deviation
    return {
        "documents": sum(buckets["documents"]),
        "sequences": sequences,
        "tokens": tokens,
        "fill": round(tokens / (sequences * sequence_length), 6),
        "buckets": len(buckets["bucket"]),
        "bins": len(tally.bins),
        "split_documents": sum(buckets["split_documents"]),
        "largest_deviation_points": round(points, 6),
        "largest_deviation_bin": group.bin,
        "longest_run": max(buckets["longest_run"]),
    }
