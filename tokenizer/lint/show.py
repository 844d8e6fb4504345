"""A report for people: rows of a table, then what was found with its reason and examples."""

from __future__ import annotations

from textwrap import wrap

from tokenizer.lint.report import Finding, Report

NAMES = ("severity", "rule", "found", "what is looked for")
_WIDTH = 98


def list_rows(report: Report) -> list[tuple[str, str, int, str]]:
    """A row for each rule that was run, in the order of the rules."""
    return [(each.severity, each.rule, each.count, each.title) for each in report.findings]


def format_details(report: Report, examples: int = 5) -> str:
    """Each finding that is not `ok`: why it matters and its first examples."""
    found = [each for each in report.findings if each.severity != "ok"]
    blocks = [_format_finding(each, examples) for each in found]
    if report.skipped:
        lines = [f"  {rule}: needs {need}" for rule, need in report.skipped.items()]
        blocks.append("\n".join(["not run", *lines]))
    return "\n\n".join([*blocks, summarise(report)])


def summarise(report: Report) -> str:
    """The report in one line."""
    counts = ", ".join(
        f"{report.count(severity)} {severity}{'s' if report.count(severity) != 1 else ''}"
        for severity in ("error", "warning", "note")
    )
    base = f", {report.base_size:,} of them the base's" if report.base_size else ""
    text = f"{report.file}: {report.kind}, {report.size:,} pieces{base}; {counts}"
    if report.lines:
        text += (
            f"; {report.changed_lines:,} of {report.lines:,} lines of the base's language changed"
        )
    return text


def _format_finding(finding: Finding, most: int) -> str:
    head = f"{finding.severity}: {finding.rule} ({finding.count:,})"
    lines = [head, *(f"  {line}" for line in wrap(finding.explanation, _WIDTH))]
    lines += [f"    - {example}" for example in finding.examples[:most]]
    left = len(finding.examples) - most
    if left > 0:
        lines.append(f"    - ... and {left:,} more in the JSON")
    return "\n".join(lines)
