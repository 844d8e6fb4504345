"""What lint found, as one value: for lint.json, for the terminal and for an exit status.

A finding is always there for a rule that was run, also when nothing was found (severity `ok`), so
that a reader sees what was looked at.  A rule that needs what was not given (a base, texts, a
config.json) stands under `skipped` with what it lacks.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tongwen.record import write_text

Severity = Literal["ok", "note", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("ok", "note", "warning", "error")
"""From harmless to harmful."""


@dataclass(frozen=True)
class Finding:
    """One rule's answer.

    Attributes:
        rule: its name, stable: programs may look for it.
        severity: `ok` when nothing was found.
        count: how many pieces, lines or sizes it concerns.
        title: what was looked for, one line.
        explanation: why it matters and what to do.
        examples: lines to read, the most telling first.
    """

    rule: str
    severity: Severity
    count: int
    title: str
    explanation: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """Text of the base language that is cut differently: the places where the two part."""

    text: str
    base: list[str]
    extended: list[str]


@dataclass(frozen=True)
class Report:
    """Everything about one file.

    Attributes:
        file: its name, without folders: the same file gives the same bytes wherever it lies.
        kind: "BPE", "unigram", "word" or "character".
        size: number of pieces.
        base_size: pieces of the base; None without one.
        findings: one for each rule that was run, in the order of the rules.
        skipped: rule -> what it would have needed.
        changed: the first changes, each cut to the place where the two part.
        lines: lines that were compared with the base (those without a CJK-only character).
        changed_lines: those of them that are encoded differently.
    """

    file: str
    kind: str
    size: int
    base_size: int | None
    findings: tuple[Finding, ...]
    skipped: dict[str, str]
    changed: tuple[Change, ...]
    lines: int
    changed_lines: int

    @property
    def worst(self) -> Severity:
        """The highest severity of all findings."""
        found = [SEVERITIES.index(finding.severity) for finding in self.findings]
        return SEVERITIES[max(found, default=0)]

    def find(self, rule: str) -> Finding:
        """The finding of a rule.

        Raises:
            KeyError: the rule was not run.
        """
        for finding in self.findings:
            if finding.rule == rule:
                return finding
        raise KeyError(rule)

    def count(self, severity: Severity) -> int:
        """How many rules found something of that severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def to_table(self) -> dict[str, Any]:
        """The report as plain lists and dictionaries, as lint.json holds it."""
        table = asdict(self)
        table["findings"] = [asdict(finding) for finding in self.findings]
        return table

    def to_json(self) -> str:
        """The text of lint.json."""
        return json.dumps(self.to_table(), ensure_ascii=False, indent=1) + "\n"


def write_report(report: Report, path: Path) -> None:
    """Write lint.json; the same report gives the same bytes."""
    write_text(path, report.to_json())
