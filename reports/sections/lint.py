"""A part of section 3: what `tongwen tokenizer lint` found in the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Block, Finding, Findings, Heading, Pieces, Text, make_table
from reports.numbers import count, plain
from reports.sections.common import Row

_SEVERITIES = ("error", "warning", "note", "ok")
_EXAMPLES, _CHANGED, _PIECES = 12, 8, 80


def describe_lint(tokenizer: Row) -> list[Block]:
    """Findings, the worst first; what could not be checked; text that changed."""
    lint = tokenizer["lint"]
    if lint is None:
        words = "The vocabulary was not checked further: tongwen tokenizer lint does."
        return [Text(words)] if tokenizer["pieces"] else []
    return [
        Heading("Lint"),
        Text(_say_lint(lint)),
        Findings("What was checked", tuple(map(_make_finding, _sort(lint["findings"])))),
        *_list_skipped(lint),
        *_show_changed(lint),
    ]


def _sort(findings: Sequence[Row]) -> list[Row]:
    """The worst first, in the order of the rules."""
    return sorted(findings, key=lambda found: _rank(found.get("severity")))


def _rank(severity: object) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else 0


def _say_lint(lint: Row) -> str:
    counts = [
        (name, sum(found.get("severity") == name for found in lint["findings"]))
        for name in _SEVERITIES
    ]
    found = ", ".join(f"{number} {name}" for name, number in counts if number)
    words = f"{plain(lint.get('file') or 'The vocabulary')}: {count(lint.get('size'))} pieces"
    words += f"; {len(lint['findings'])} checks: {found}."
    if lint.get("lines"):
        changed = count(lint.get("changed_lines") or 0)
        words += f" {changed} of {count(lint['lines'])} lines of the base language are cut anew."
    return words


def _make_finding(found: Row) -> Finding:
    severity = found.get("severity")
    return Finding(
        severity if severity in _SEVERITIES else "error",
        str(found.get("title") or found.get("rule") or "-"),
        count(found.get("count")),
        str(found.get("explanation") or ""),
        tuple(str(example) for example in (found.get("examples") or ())[:_EXAMPLES]),
    )


def _list_skipped(lint: Row) -> list[Block]:
    skipped = lint.get("skipped") or {}
    rows = [(rule, str(what)) for rule, what in skipped.items()]
    table = make_table("Not checked", ("rule", "what it needs"), rows, num_labels=2, folded=True)
    return [table] if rows else []


def _show_changed(lint: Row) -> list[Block]:
    """The same text by base and extended vocabulary, where they part."""
    return [
        Pieces(
            f"Cut anew: {str(change.get('text', ''))[:200]}",
            tuple(
                (name, tuple(change[name][:_PIECES]), f"{count(len(change[name]))} tokens")
                for name in ("base", "extended")
            ),
        )
        for change in lint["changed"][:_CHANGED]
    ]
