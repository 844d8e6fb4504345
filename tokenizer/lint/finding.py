"""What a rule is: a check with a name, a severity and words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tokenizer.lint.report import Finding, Severity
from tokenizer.lint.subject import Subject

MOST_EXAMPLES = 1000


@dataclass(frozen=True)
class Found:
    """What a check found.

    Attributes:
        count: pieces, lines or sizes.
        examples: lines to read; kept also where nothing was found, as a table of facts.
        severity: another than the rule's own.
    """

    count: int
    examples: Iterable[str] = ()
    severity: Severity | None = None


@dataclass(frozen=True)
class Rule:
    """A check and what to tell about it.

    Attributes:
        name: stable name, as lint.json has it.
        severity: of what it finds, unless the check says otherwise.
        title: what it looks for.
        explanation: why it matters and what to do.
        check: looks at a subject.
        needs: what the subject must have (`Subject.has`).
    """

    name: str
    severity: Severity
    title: str
    explanation: str
    check: Callable[[Subject], Found]
    needs: str = ""

    def run(self, subject: Subject) -> Finding:
        """Run the check."""
        found = self.check(subject)
        severity = (found.severity or self.severity) if found.count else "ok"
        examples = tuple(found.examples)[:MOST_EXAMPLES]
        return Finding(self.name, severity, found.count, self.title, self.explanation, examples)
