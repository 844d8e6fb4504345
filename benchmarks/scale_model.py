"""What deduplicating a corpus of any size takes, computed from constants: see docs/scale.md.

A step costs seconds of one core, bytes read and written, and now and then seconds in one process.
Its time on a machine is the longest of three: its seconds shared by the cores, its bytes over the
bandwidth, its tasks over the rate at which they are handed out.  Nothing overlaps between steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Constants = Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """A stage of the plan.

    Attributes:
        cpu: seconds of one core, all tasks together.
        reads, writes: bytes.
        tasks: that may run at the same time.
        memory: bytes that one of them holds.
        serial: seconds in one process, when no task runs.
    """

    name: str
    cpu: float
    reads: float
    writes: float
    tasks: int
    memory: float
    serial: float = 0.0


@dataclass(frozen=True)
class Size:
    """The corpus, as it becomes smaller."""

    text: float
    documents: float
    distinct: float
    left: float
    candidates: float
    pairs: float
    removed: float


def measure_size(c: Constants) -> Size:
    """How many documents each step meets."""
    text = c["text_tb"] * 1e12
    documents = text / c["bytes_per_document"]
    distinct = documents * (1 - c["exact_share"])
    left = distinct * (1 - c["normalized_share"])
    return Size(
        text=text,
        documents=documents,
        distinct=distinct,
        left=left,
        candidates=left * c["candidate_share"],
        pairs=left * c["pairs_per_document"],
        removed=documents - left * (1 - c["near_share"]),
    )


def plan_steps(c: Constants) -> list[Step]:
    """Every step in its turn."""
    size = measure_size(c)
    return [*_plan_reading(c, size), *_plan_keys(c, size), *_plan_verdict(c, size)]


def _plan_reading(c: Constants, size: Size) -> list[Step]:
    parts = count_parts(c)
    packed = size.text * c["compressed"]
    entry = c["id_entry_bytes"] + c["rank_bytes"]
    return [
        Step("documents", size.text / (c["read_mbs"] * 1e6), packed, packed, parts, 300e6),
        Step(
            "ids",
            size.documents / (c["ids_mdocs"] * 1e6),
            size.documents * c["id_column_bytes"],
            size.documents * (entry + c["id_bytes"]),
            parts,
            100e6,
        ),
        _group(c, "exact", size.documents, entry, size.documents - size.distinct),
    ]


def _plan_keys(c: Constants, size: Size) -> list[Step]:
    packed = size.text * c["compressed"]
    bands, copies = c["bands"] * c["band_entry_bytes"], c["copy_entry_bytes"] + c["rank_bytes"]
    distinct_text = size.distinct * c["bytes_per_document"]
    return [
        Step(
            "sketch",
            distinct_text / (c["sketch_mbs"] * 1e6),
            packed,
            size.distinct * (bands + copies),
            count_parts(c),
            c["part_gb"] * 1e9 / c["bytes_per_document"] * (bands + copies) * 2,
        ),
        _group(c, "copies", size.distinct, copies, size.distinct - size.left),
        _group(
            c,
            "bands",
            size.distinct * c["bands"],
            c["band_entry_bytes"],
            size.pairs * c["finds_per_pair"] * c["pair_bytes"] / c["verdict_bytes"],
        ),
    ]


def _group(c: Constants, name: str, entries: float, width: float, verdicts: float) -> Step:
    """Equal keys of all entries, a partition at a time."""
    partitions = count_partitions(c, entries)
    return Step(
        name,
        entries * c["group_ns"] * 1e-9,
        entries * width,
        verdicts * c["verdict_bytes"],
        partitions,
        entries / partitions * c["group_memory"],
    )


def _plan_verdict(c: Constants, size: Size) -> list[Step]:
    found = size.pairs * c["finds_per_pair"] * c["pair_bytes"]
    pairs = size.pairs * c["pair_bytes"]
    text = size.candidates * c["bytes_per_document"]
    sets = text * c["shingles_per_byte"] * c["shingle_bytes"]
    bins = count_bins(c, sets)
    unpack = size.text / (c["unpack_mbs"] * 1e6)
    near = size.removed - (size.documents - size.left)
    return [
        Step(
            "pairs",
            size.pairs * c["finds_per_pair"] * c["unique_ns"] * 1e-9,
            found + pairs,
            2 * pairs,
            count_partitions(c, size.pairs * c["finds_per_pair"]),
            c["worker_gb"] * 1e9,
            size.pairs * c["union_ns"] * 1e-9,
        ),
        Step(
            "sets",
            unpack + text / (c["sets_mbs"] * 1e6),
            size.text * c["compressed"],
            sets,
            count_parts(c),
            c["part_gb"] * 1e9 * c["candidate_share"] * c["shingles_per_byte"] * c["shingle_bytes"],
        ),
        Step(
            "decide",
            size.pairs * (c["compare_us"] * 1e-6 + c["decide_ns"] * 1e-9),
            sets + pairs,
            near * c["verdict_bytes"],
            bins,
            2 * sets / bins,
        ),
        Step(
            "table",
            size.removed / (c["table_mrows"] * 1e6),
            size.removed * c["verdict_bytes"] + size.documents * c["id_column_bytes"],
            size.removed * c["table_row_bytes"],
            count_parts(c),
            300e6,
        ),
    ]


def count_parts(c: Constants) -> int:
    """Tasks over the documents."""
    return round(c["text_tb"] * 1000 / c["part_gb"])


def count_partitions(c: Constants, entries: float) -> int:
    """Partitions of which one fits in a worker: a power of two."""
    return _power(entries * c["group_memory"] / (c["worker_gb"] * 1e9))


def count_bins(c: Constants, set_bytes: float) -> int:
    """Bins of components of which one's sets fill at most half a worker."""
    return _power(2 * set_bytes / (c["worker_gb"] * 1e9))


def _power(least: float) -> int:
    return 1 << max(0, int(max(1.0, least) - 1e-9)).bit_length()


def time_step(c: Constants, step: Step, machine: str) -> tuple[float, str]:
    """Seconds of a step on a machine, and what bounds it."""
    nodes, cores = c[f"{machine}_nodes"], c[f"{machine}_nodes"] * c[f"{machine}_cores"]
    disk = c[f"{machine}_disk_gbs"] * 1e9
    if nodes > 1:
        disk = min(disk, nodes * c[f"{machine}_net_gbs"] * 1e9)
    bounds = {
        "CPU": step.cpu / (min(cores, step.tasks) * c["efficiency"]),
        "disk": (step.reads + step.writes) / disk,
        "dispatch": step.tasks * c["dispatch_ms"] / 1000,
    }
    name = max(bounds, key=lambda key: bounds[key])
    return bounds[name] + step.serial, "one process" if step.serial > bounds[name] else name
