"""The sections of the report: from the collected data to blocks, one module for each section."""

from __future__ import annotations

from typing import Any

from reports.blocks import Section
from reports.sections.buckets import describe_buckets
from reports.sections.corpus import describe_corpus
from reports.sections.provenance import describe_provenance
from reports.sections.summary import describe_summary
from reports.sections.tokenizer import describe_tokenizer
from reports.sections.training import describe_training

Data = dict[str, Any]


def make_sections(data: Data, machine: Data) -> tuple[Section, ...]:
    """All sections in reading order.

    Args:
        data: what `reports.collect.collect` returns.
        machine: what `reports.collect.collect_machine` returns.
    """
    return (
        describe_summary(data, machine),
        describe_corpus(data),
        describe_tokenizer(data),
        describe_buckets(data),
        describe_training(data),
        describe_provenance(data, machine),
    )
